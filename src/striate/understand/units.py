"""What is to be made large: a class, or a layer's channel, neuron or direction, checked against the network (row U4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.understand.inputs import Prepared
from striate.understand.reading import reading

MANY = 12
"""Classes grown when none is asked for."""


@dataclass(frozen=True)
class Unit:
    """One thing to be made large: a class (`layer` None), or at a layer a channel or a direction, at a position or in the mean."""

    layer: str | None
    number: int
    position: tuple[int, int] | None = None
    direction: Tensor | None = None

    @property
    def name(self) -> str:
        """What it is called in captions."""
        if self.layer is None:
            return f"class {self.number}"
        what = "a direction" if self.direction is not None else f"channel {self.number}"
        return what + (f" at {self.position[0]}, {self.position[1]}" if self.position else "")

    def value(self, output: Tensor) -> Tensor:
        """Return this unit's answer, one number a picture, from the logits or its layer's output."""
        if output.ndim == 4:
            output = output.mean((2, 3)) if self.position is None else output[:, :, self.position[0], self.position[1]]
        return output[:, self.number] if self.direction is None else output @ self.direction.to(output)

    def lead(self, output: Tensor, rivals: float) -> Tensor:
        """Return the answer to be made large: of a class its logit less `rivals` times the other logits' log-sum-exp, else `value`."""
        if self.layer is not None or not rivals or output.shape[1] < 2:
            return self.value(output)
        others = torch.cat([output[:, : self.number], output[:, self.number + 1 :]], 1)
        return self.value(output) - rivals * torch.logsumexp(others, 1)


def units_of(
    p: Prepared, *, target: Any, layer: str | None, channel: int | Sequence[int] | None, position: Sequence[int] | None, direction: Any
) -> list[Unit]:
    """Return what is asked for: classes of the network, or channels or one direction of a layer. Raises `ArgumentError`, `UnknownNameError`."""
    if layer is None:
        for name, value in (("channel", channel), ("position", position), ("direction", direction)):
            if value is not None:
                raise ArgumentError(f"{name}: it belongs to a layer; give layer= too")
        return [Unit(None, number) for number in _classes(p, target)]
    if target is not None:
        raise ArgumentError("target: a class is of the network's output; give either target= or layer=")
    with reading(p, [layer]) as read, torch.no_grad():
        output = read(p.pixels)[layer]
    if output.ndim not in (2, 4):
        raise ArgumentError(f"layer: the output of {layer} has shape {tuple(output.shape)}, expected N C H W or N F")
    width, place = output.shape[1], _position(layer, tuple(output.shape), position)
    if direction is not None:
        if channel is not None:
            raise ArgumentError("direction: it weighs all channels; give either channel= or direction=")
        return [Unit(layer, 0, place, _direction(layer, width, direction))]
    if channel is None:
        raise ArgumentError(f"channel: {layer} has channels 0 to {width - 1}; say which, or give direction=")
    numbers = [channel] if isinstance(channel, int) else list(channel)
    if bad := [number for number in numbers if not isinstance(number, int) or not 0 <= number < width]:
        raise ArgumentError(f"channel: got {bad[0]!r}, but {layer} has channels 0 to {width - 1}")
    if not numbers:
        raise ArgumentError("channel: got none, expected one or more")
    return [Unit(layer, number, place) for number in numbers]


def _position(layer: str, shape: tuple[int, ...], position: Sequence[int] | None) -> tuple[int, int] | None:
    if position is None:
        return None
    if len(shape) != 4:
        raise ArgumentError(f"position: the output of {layer} has no positions")
    high, wide = shape[2:]
    if len(position) != 2 or not (0 <= position[0] < high and 0 <= position[1] < wide):
        raise ArgumentError(f"position: got {tuple(position)}, expected a row and a column within the {high} x {wide} of {layer}")
    return (int(position[0]), int(position[1]))


def _direction(layer: str, width: int, direction: Any) -> Tensor:
    weights = direction.detach().double().cpu() if isinstance(direction, Tensor) else torch.as_tensor(np.asarray(direction, dtype=np.float64))
    if weights.shape != (width,):
        raise ArgumentError(f"direction: got shape {tuple(weights.shape)}, expected {width} numbers, one for each channel of {layer}")
    if not bool(weights.isfinite().all()) or not bool(weights.any()):
        raise ArgumentError("direction: expected finite numbers that are not all 0")
    made: Tensor = weights / weights.norm()
    return made


def _classes(p: Prepared, target: Any) -> list[int]:
    whole = p.logits.shape[1]
    if target is None:
        if whole > MANY:
            raise ArgumentError(f"target: this network tells {whole} classes apart; say which to grow, by number or name, one or a list")
        return list(range(whole))
    asked = target.tolist() if isinstance(target, (Tensor, np.ndarray)) else target
    values = list(asked) if isinstance(asked, (list, tuple)) else [asked]
    if not values:
        raise ArgumentError("target: got none, expected one class or more")
    return [p._class(value) for value in values]  # noqa: SLF001
