"""The way back through a chain of layers: for every layer with weights a stage of the encoder and its mirror image in the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.layers import ScaledTanh, TiedConvTranspose2d, TiedLinear

ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Tanh, nn.Sigmoid, ScaledTanh)
QUIET = (nn.Dropout, nn.Dropout2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.Identity)
"""Layers without a mirror image: what they do needs no undoing on the way back."""


@dataclass(frozen=True)
class Stage:
    """One layer with weights and what goes with it, there and back: `encoder` turns `input` into `output`, `decoder` turns it back.

    Both are named boxes; shapes are without the N. The decoder ends in the activation that made the stage's input.
    """

    encoder: dict[str, nn.Module]
    decoder: dict[str, nn.Module]
    input: tuple[int, ...]
    output: tuple[int, ...]


def mirrored(chain: Sequence[tuple[str, nn.Module]], shape: Sequence[int], *, tied: bool = False, last: nn.Module | None = None) -> list[Stage]:
    """Return the stages of a chain of named layers for an input of `shape` (without N), each with the way back.

    A linear layer is mirrored by a linear layer, a convolution by a transposed one, with the same weights where `tied`; a flatten by its opposite;
    pooling by enlarging; activations stand again behind the layer that undoes what followed them; dropout and batch norm have no mirror image.
    `last` ends the decoder (a sigmoid for pixels; None: linear). Raises `ArgumentError` for a layer that has none of these.
    """
    shapes = _shapes(chain, shape)
    starts = [place for place, (_, box) in enumerate(chain) if isinstance(box, (nn.Linear, nn.Conv2d))]
    if not starts:
        raise ArgumentError("model: it has neither a linear layer nor a convolution, so there is nothing to learn a code with")
    bounds = [0, *(_begin(chain, start) for start in starts[1:]), len(chain)]
    stages, before = [], last
    for first, end in pairwise(bounds):
        part = chain[first:end]
        boxes: dict[str, nn.Module] = {}
        for place in range(end - 1, first - 1, -1):
            name, box = chain[place]
            back = _opposite(name, box, shapes[place], shapes[place + 1], tied=tied)
            if back is not None:
                boxes[name] = back
        if before is not None:
            boxes["activation"] = before
        stages.append(Stage(dict(part), boxes, shapes[first], shapes[end]))
        kind = next((box for _, box in reversed(part) if isinstance(box, ACTIVATIONS)), None)
        before = None if kind is None else _again(kind)
    return stages


def chain_of(model: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """Return the layers of a chain (`nn.Sequential`, nested or not) in order, by name with `_` for dots. Raises `ArgumentError` for another model."""
    found: list[tuple[str, nn.Module]] = []
    for name, box in model.named_children():
        path = f"{prefix}{name}"
        if isinstance(box, nn.Sequential):
            found += chain_of(box, f"{path}_")
        elif any(True for _ in box.children()):
            raise ArgumentError(
                f"model: {path.replace('_', '.')} ({type(box).__name__}) is not a single layer; a mirror image needs a plain chain of layers"
            )
        else:
            found.append((path, box))
    if not isinstance(model, nn.Sequential):
        raise ArgumentError(f"model: {type(model).__name__} is not a chain of layers (nn.Sequential), and only a chain can be mirrored")
    return found


def _begin(chain: Sequence[tuple[str, nn.Module]], start: int) -> int:
    """A flatten directly before a layer belongs to that layer's stage."""
    while start > 0 and isinstance(chain[start - 1][1], (nn.Flatten, nn.Dropout)):
        start -= 1
    return start


def _shapes(chain: Sequence[tuple[str, nn.Module]], shape: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the shape before each layer and after the last, without N, found by running zeros through."""
    found = [tuple(shape)]
    weight = next((p for _, box in chain for p in box.parameters()), torch.zeros(0))
    x = torch.zeros(1, *shape, dtype=weight.dtype, device=weight.device)
    with torch.no_grad():
        for name, box in chain:
            mode, _ = box.training, box.eval()
            try:
                x = box(x)
            except (RuntimeError, ValueError) as error:
                raise ArgumentError(f"input: {tuple(shape)} does not go through {name}: {str(error).splitlines()[0]}") from error
            finally:
                box.train(mode)
            if not isinstance(x, Tensor):
                raise ArgumentError(f"model: {name} gives {type(x).__name__}, expected one tensor")
            found.append(tuple(x.shape[1:]))
    return found


def _opposite(name: str, box: nn.Module, before: tuple[int, ...], after: tuple[int, ...], *, tied: bool) -> nn.Module | None:
    if isinstance(box, nn.Linear):
        return TiedLinear(box) if tied else nn.Linear(box.out_features, box.in_features)
    if isinstance(box, nn.Conv2d):
        return _transposed(name, box, before, after, tied=tied)
    if isinstance(box, nn.Flatten):
        return nn.Unflatten(1, before) if len(before) > 1 else None
    if isinstance(box, (*ACTIVATIONS, *QUIET)):
        return None
    same_maps = len(before) == len(after) == 3 and before[0] == after[0]
    if same_maps and before != after and not any(True for _ in box.parameters()):
        return nn.Upsample(size=before[1:], mode="nearest")
    if before == after and not any(True for _ in box.parameters()):
        return None
    raise ArgumentError(
        f"model: {name} ({type(box).__name__}) has no mirror image; a chain of linear layers, convolutions, pooling, flatten, activations, "
        f"batch norm and dropout has one"
    )


def _transposed(name: str, box: nn.Conv2d, before: tuple[int, ...], after: tuple[int, ...], *, tied: bool) -> nn.Module:
    if isinstance(box.padding, str) or box.padding_mode != "zeros":
        raise ArgumentError(f"model: {name} pads with {box.padding_mode!r}, {box.padding!r}; its mirror image needs zero padding given in numbers")
    extra = [
        size - ((out - 1) * stride - 2 * pad + dilation * (kernel - 1) + 1)
        for size, out, stride, pad, dilation, kernel in zip(
            before[1:], after[1:], box.stride, box.padding, box.dilation, box.kernel_size, strict=True
        )
    ]
    missing = (extra[0], extra[1])
    if tied:
        return TiedConvTranspose2d(box, output_padding=missing)
    return nn.ConvTranspose2d(
        box.out_channels,
        box.in_channels,
        box.kernel_size,  # type: ignore[arg-type]
        box.stride,  # type: ignore[arg-type]
        box.padding,  # type: ignore[arg-type]
        missing,
        box.groups,
        True,
        box.dilation,  # type: ignore[arg-type]
    )


def _again(box: nn.Module) -> nn.Module:
    """A fresh activation of the same kind and slope."""
    import copy

    return copy.deepcopy(box)
