"""What class activation maps have in common: a layer's maps and the score's gradient there, for one forward pass where that is enough.

A network whose head is pooling and one dense layer has a score S = Σ_k w_k mean(A_k) + b, so ∂S/∂A_k = w_k / (h·w) everywhere: no backward pass.
Whether a head is of this kind is not guessed from its layers but computed: the scores must come out. Elsewhere the graph begins at the layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.core.errors import ArgumentError
from striate.probe import activations, edited, one_name
from striate.understand.last_maps import map_layers
from striate.understand.pixel_gradients import know

if TYPE_CHECKING:
    from striate.understand.inputs import Prepared

SAME = 1e-4
"""How near, relative to the largest score, scores computed from pooled maps must come."""


@dataclass(frozen=True)
class Look:
    """A layer's maps N C h w for each picture and, where asked for, the gradient of its target's score there, of the same shape."""

    layer: str
    maps: Tensor
    gradients: Tensor


def look(p: Prepared, layer: str | None, *, gradients: bool = True) -> Look:
    """Look at a layer, by default the last that gives maps before they are pooled (as `default_layer` finds it).

    Without `gradients` they are zeros. Raises `UnknownNameError` for a layer that is not there, `ArgumentError` for one without maps, and where the
    network chooses and runs its last maps without a graph, so that nothing tells how its scores depend on them.
    """
    if layer is None:
        return _default(p, gradients)
    parts = list(_cut(p, one_name(p.network, layer), gradients=gradients))
    return Look(layer, torch.cat([maps for maps, _ in parts]), torch.cat([back for _, back in parts]))


def combined(weights: Tensor, maps: Tensor) -> Tensor:
    """Return ReLU(Σ_k weight_k · map_k), N h w, for weights N C and maps N C h w."""
    return torch.einsum("nc,nchw->nhw", weights, maps).relu()


_FOUND: WeakKeyDictionary[nn.Module, tuple[str, torch.Size]] = WeakKeyDictionary()
"""Where pooled heads begin, by network, and for inputs of which size (smaller ones leave other layers with maps): looking there is cheaper than
watching everything, and the scores prove it anew each time."""


def _default(p: Prepared, gradients: bool) -> Look:
    """Look at the last layer with maps; where the head pools them, which the scores prove, the gradient is known without a backward pass."""
    size = p.preprocess(p.pixels[:1]).shape[1:]
    known, seen = _FOUND.get(p.network, ("", None))
    if seen == size:
        with suppress(ArgumentError):
            maps = torch.cat([found for found, _ in _cut(p, known, gradients=False)])
            if (weights := _head(p.network, maps, p.logits)) is not None:
                return _pooled(p, known, maps, weights, gradients)
    found = map_layers(p.network, p.preprocess(p.pixels[:1]), scorer=p.scorer)
    last = found.layers[-1]
    logits, _ = p.scorer(found.output, 1)
    if _head(p.network, _wide(last.maps), logits) is not None:
        maps = torch.cat([maps for maps, _ in _cut(p, last.name, gradients=False)])
        if (weights := _head(p.network, maps, p.logits)) is not None:
            _FOUND[p.network] = last.name, size
            return _pooled(p, last.name, maps, weights, gradients)
    parts = list(_cut(p, last.name, gradients=gradients, needed=not found.graph))
    return Look(last.name, torch.cat([maps for maps, _ in parts]), torch.cat([back for _, back in parts]))


def _pooled(p: Prepared, name: str, maps: Tensor, weights: Tensor, gradients: bool) -> Look:
    if not gradients:
        return Look(name, maps, torch.zeros_like(maps))
    share = weights[p.target] / (maps.shape[-2] * maps.shape[-1])
    return Look(name, maps, share[:, :, None, None].expand_as(maps))


def _head(network: nn.Module, maps: Tensor, logits: Tensor) -> Tensor | None:
    """Return weights K C with which the scores are those of the maps' means (up to a bias), or None where they are not."""
    pooled = maps.mean((2, 3))
    tolerance = SAME * float(logits.abs().max())
    if pooled.shape == logits.shape and bool((pooled - logits).abs().max() <= tolerance):
        return torch.eye(logits.shape[1], dtype=maps.dtype, device=maps.device)
    for module in reversed([each for each in network.modules() if isinstance(each, (nn.Linear, nn.Conv2d))]):
        weight = _wide(module.weight).flatten(1)
        if weight.shape == (logits.shape[1], maps.shape[1]):
            bias = 0 if module.bias is None else _wide(module.bias)
            if bool((pooled @ weight.T + bias - logits).abs().max() <= tolerance):
                return weight
    return None


def _cut(p: Prepared, layer: str, *, gradients: bool, needed: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
    """Run the network with its graph beginning at the layer; yield the maps and the gradients there of each chunk; `needed`: zeros will not do."""
    parts = list(p.chunks())
    for part in parts:
        seen: list[tuple[Tensor, Tensor | None]] = []
        with edited(p.network, {layer: partial(_begin, seen)}, held=True), torch.set_grad_enabled(gradients):
            logits = p.model(p.pixels[part])
        if len(seen) != 1:  # no such function, called again and again, or no tensor: this says which
            activations(p.network, p.preprocess(p.pixels[part]), at=layer)
            raise ArgumentError(f"layer: {layer} was called {len(seen)} times; give one call, {layer}[0]")
        maps, change = seen[0]
        if maps.ndim != 4:
            raise ArgumentError(f"layer: {layer} gives shape {tuple(maps.shape)}, expected maps N C H W; choose a layer before they are flattened")
        back = torch.zeros_like(maps)
        if len(parts) == 1:
            know(p, logits)
        if gradients and change is not None:
            score = logits.gather(1, p.target[part][:, None]).sum()
            found = torch.autograd.grad(score, change, allow_unused=True)[0] if score.requires_grad and change.requires_grad else None
            if found is None and needed:
                raise ArgumentError(f"model: no gradient leads from its scores back to {layer}, the last layer with maps (it runs without a graph)")
            if found is None:
                p.notes.append(f"the score does not depend on {layer}: its map is zero")
            back = back if found is None else found
        yield _wide(maps), _wide(back)


def _begin(seen: list[tuple[Tensor, Tensor | None]], output: Any) -> Any:
    """Keep a layer's output and, with gradients, let the graph begin there: a change of zero is added, whose gradient is the output's.

    Into the output itself where that can be: a network may go on with the tensor an operation in place has written, not with what it returned. Not
    where the network has a graph of its own, which may need the output as it was.
    """
    if not isinstance(output, Tensor) or not output.is_floating_point():
        return output
    if not torch.is_grad_enabled():
        seen.append((output.detach().clone(), torch.zeros_like(output)))
        return output
    change = torch.zeros_like(output, memory_format=torch.contiguous_format, requires_grad=True)
    seen.append((output.detach().clone(), change))
    if output.requires_grad:
        return output + change
    try:
        return output.add_(change)
    except RuntimeError:  # an expanded tensor, or one of several views
        return output + change


def _wide(values: Tensor) -> Tensor:
    """Return half precision as float32."""
    return values.detach().float() if values.dtype in (torch.float16, torch.bfloat16) else values.detach()


def resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps N C h w brought to the pictures' height and width, bilinearly."""
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
