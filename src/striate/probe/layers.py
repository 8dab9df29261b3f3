"""Activations, gradients and codes at named layers, and the switches of pooling, each from a model that stays as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.utils._pytree import tree_map_only

from striate.core.errors import ArgumentError, unknown_name
from striate.probe.addresses import Place, places
from striate.probe.calls import tensors
from striate.probe.keeping import released
from striate.probe.untouched import traceless
from striate.probe.unwrapping import original
from striate.probe.watching import Draft, Enough, Watch, edge

if TYPE_CHECKING:
    from striate.core.contracts import Batch


@dataclass(frozen=True, eq=False)
class Gradients:
    """What `gradients` returns: for each layer its activation and the gradient of the objective there; both by the name it was asked by."""

    output: Any
    value: Tensor
    """The objective, one number."""
    activations: dict[str, Tensor]
    gradients: dict[str, Tensor]


def activations(model: nn.Module, *inputs: Any, at: str | Sequence[str], names: Mapping[str, str] | None = None) -> dict[str, Tensor]:
    """Run `model(*inputs)` once, without gradients and in the mode it is in, and return the outputs of the layers `at`.

    Layers: module paths, functions' addresses (`layer1.0/relu#2`), or paper names mapped by `names`; `[turn]` picks one call of a reused one.
    Values are safe from later in-place operations; the run ends after the last one if it can. Raises `UnknownNameError`, `ArgumentError`.
    """
    inner, _ = original(model)
    wanted = places(inner, at, names)
    with traceless(inner), torch.inference_mode(False), torch.no_grad():
        watch = Watch(inner, gradients=False, only={place.address for place in wanted})
        given = tree_map_only(Tensor, lambda tensor: tensor.detach().clone(), inputs)  # before the watch: no call of the model's
        with watch.watching():
            inner(*given)
        return {place.asked: _single(place, _draft(inner, place, watch, inputs)) for place in wanted}


def gradients(
    model: nn.Module, *inputs: Any, at: str | Sequence[str], of: Callable[[Any], Tensor], names: Mapping[str, str] | None = None
) -> Gradients:
    """Run `model(*inputs)` once and back, and return activations of the layers `at` and the gradient there of `of(output)` (summed).

    `at` takes the same names as `activations`, and `input` for the first input (unless a module is called so). A layer that the objective does
    not depend on has a gradient of zeros. Run inside `rules`, the gradient follows them. Raises `UnknownNameError`, `ArgumentError`.
    """
    inner, _ = original(model)
    wanted = (at,) if isinstance(at, str) else tuple(at)
    own_input = "input" in wanted and "input" not in dict(inner.named_modules())
    layers = [name for name in wanted if not (own_input and name == "input")]
    found = places(inner, layers, names) if layers or not own_input else ()
    with traceless(inner), ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        leaves = tree_map_only(Tensor, _leaf, inputs)
        watch = Watch(inner, gradients=True, only={place.address for place in found})
        given = tree_map_only(Tensor, lambda tensor: tensor.clone(), leaves)
        with watch.watching():
            output = inner(*given)
        drafts = {place: _draft(inner, place, watch, inputs) for place in found}
        values = {place.asked: _single(place, draft) for place, draft in drafts.items()}
        edges: dict[str, GradientEdge | None] = {place.asked: _edge(draft) for place, draft in drafts.items()}
        if own_input:
            values["input"], edges["input"] = tensors(leaves)[0].detach(), edge(tensors(leaves)[0])
        objective = of(output)
        if not isinstance(objective, Tensor) or not objective.requires_grad:
            raise ArgumentError("of: expected a tensor that depends on the model's output, got " + _came(objective))
        value = objective.sum()
        live = {name: place for name, place in edges.items() if place is not None}
        back = torch.autograd.grad(value, list(live.values()), allow_unused=True) if live else ()
        passed = dict(zip(live, back, strict=True))
        plain = tree_map_only(Tensor, Tensor.detach, output)
        zeros = {name: passed[name] if passed.get(name) is not None else torch.zeros_like(values[name]) for name in wanted}
        return Gradients(plain, value.detach(), {name: values[name] for name in wanted}, {name: each.detach() for name, each in zeros.items()})


def codes(
    model: nn.Module, batches: Iterable[Tensor | Batch | Sequence[Any]], at: str | Sequence[str], *, names: Mapping[str, str] | None = None
) -> dict[str, np.ndarray[Any, Any]]:
    """Run every batch through the model in eval mode and return each layer's outputs as one array, samples along the first axis.

    A batch is a tensor, a `Batch`, or a tuple whose first element is the input; it is moved to the device of the model's parameters.
    float32 unless the layer's output is float64 or integer. From the second batch on the forward pass ends after the last layer asked for.
    Raises `UnknownNameError` for a layer, `ArgumentError` for a layer without one tensor a sample, or no batches.
    """
    inner, _ = original(model)
    wanted = places(inner, at, names)
    device = next((parameter.device for parameter in inner.parameters()), None)
    gathered: dict[str, list[np.ndarray[Any, Any]]] = {place.asked: [] for place in wanted}
    until: dict[str, int] | None = None
    with traceless(inner), torch.inference_mode(False), torch.no_grad():
        inner.eval()
        for batch in batches:
            x = _input_of(batch)
            x = x.to(device) if device is not None else x
            watch = Watch(inner, gradients=False, only={place.address for place in wanted})
            if until is not None:
                watch.kept = _countdown(dict(until))
            given = x.clone()
            with watch.watching():
                inner(given)
            for place in wanted:
                gathered[place.asked].append(_as_array(_single(place, _draft(inner, place, watch, (x,))), place, len(x)))
            if until is None:
                drafts = [*watch.calls, *watch.blocks]
                until = {address: sum(draft.address == address for draft in drafts) for address in {place.address for place in wanted}}
    if until is None:
        raise ArgumentError("batches: got none, expected at least one")
    return {name: np.concatenate(parts) for name, parts in gathered.items()}


def _countdown(left: dict[str, int]) -> Callable[[Draft], None]:
    def kept(draft: Draft) -> None:
        left[draft.address] -= 1
        if not any(count > 0 for count in left.values()):
            raise Enough

    return kept


def _draft(model: nn.Module, place: Place, watch: Watch, inputs: tuple[Any, ...]) -> Draft:
    found = [draft for draft in (*watch.calls, *watch.blocks) if draft.address == place.address]
    if not found and place.is_function:
        from striate.probe.recording import record

        known = {call.key for call in record(model, *inputs)} | {name for name, _ in model.named_modules() if name}
        raise unknown_name("layer", place.asked, known)
    if not found:
        raise ArgumentError(f"{place.asked}: the model holds this module but did not call it in this run (mode: {_mode(model)})")
    if place.turn is None and len(found) > 1:
        raise ArgumentError(f"{place.asked} is called {len(found)} times; say which: {place.asked}[0] to {place.asked}[{len(found) - 1}]")
    if place.turn is not None and place.turn >= len(found):
        raise ArgumentError(f"{place.asked}: it is called {len(found)} times, so the last turn is [{len(found) - 1}]")
    return found[place.turn or 0]


def _single(place: Place, draft: Draft) -> Tensor:
    output = released(draft.output)
    if isinstance(output, Tensor):
        return output
    raise ArgumentError(f"{place.asked}: returns {_came(output)}, expected a layer that returns one tensor")


def _edge(draft: Draft) -> GradientEdge | None:
    found = draft.output_edges[0] if draft.output_edges else None
    return found if isinstance(found, GradientEdge) else None


def _leaf(tensor: Tensor) -> Tensor:
    copy = tensor.detach().clone()
    return copy.requires_grad_() if copy.is_floating_point() or copy.is_complex() else copy


def _input_of(batch: Any) -> Tensor:
    x = batch if isinstance(batch, Tensor) else getattr(batch, "x", None)
    if x is None and isinstance(batch, (tuple, list)) and batch:
        x = batch[0]
    if not isinstance(x, Tensor):
        raise ArgumentError(f"batches: got {type(batch).__name__}, expected a tensor, a Batch, or a tuple whose first element is a tensor")
    return x


def _as_array(value: Tensor, place: Place, samples: int) -> np.ndarray[Any, Any]:
    if not value.dim() or len(value) != samples:
        raise ArgumentError(f"{place.asked}: returns shape {tuple(value.shape)} for {samples} samples, expected samples along the first axis")
    wide = value.float() if value.is_floating_point() and value.dtype != torch.float64 else value
    array: np.ndarray[Any, Any] = wide.cpu().numpy()
    return array


def _came(value: Any) -> str:
    return f"a tensor of shape {tuple(value.shape)} without a graph" if isinstance(value, Tensor) else type(value).__name__


def _mode(model: nn.Module) -> str:
    return "train" if model.training else "eval"
