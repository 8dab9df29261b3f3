"""The axes of a network's input as tensors deep inside still have them, and their joins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from striate.measure.arithmetic import Window
from striate.measure.receptive_field import Field


@dataclass(frozen=True)
class Axis:
    """One axis of the network's input as a tensor deep inside still has it.

    `place` is the tensor's dimension along which its `units` lie, None when there is nothing left of it but whole fields; `merged` when other
    axes lie along the same dimension (after a flatten). `path` are the windows that led here, along the first input of every join; None behind an
    adaptive pool, whose windows depend on the size.
    """

    field: Field
    place: int | None
    units: int
    merged: bool = False
    path: tuple[Window, ...] | None = ()

    def then(self, window: Window) -> tuple[Window, ...] | None:
        """The path through one more window; one that never changes the size is left out."""
        same = window.stride == 1 and window.before + window.after == window.extent - 1
        return self.path if self.path is None or same else (*self.path, window)

    def whole(self) -> Axis:
        """What sees all units of this axis."""
        return replace(self, field=self.field.over(self.units), place=None, units=1, merged=False)


Axes = tuple[Axis, ...]
"""One for each spatial axis of the network's input."""


def input_axes(tensor: Tensor) -> Axes:
    """Return the axes of an input: all dimensions after N and C, or the second of two (the values of a vector, the tokens of a text)."""
    places = range(2, tensor.ndim) if tensor.ndim > 2 else range(1, tensor.ndim)
    return tuple(Axis(Field(), place, tensor.shape[place]) for place in places)


def joined(given: Sequence[Axes], output: Tensor) -> Axes | None:
    """Join inputs axis by axis; one that sees all of an axis (a gate computed from the whole picture) makes the sum see all of it.

    None where an axis of the output is not as long as that of the inputs, or the inputs have different axes.
    """
    found = given[0]
    for other in given[1:]:
        if len(other) != len(found):
            return None
        found = tuple(_join_axis(a, b) for a, b in zip(found, other, strict=True))
    kept = []
    for axis in found:
        if axis.place is None:
            kept.append(axis)
        elif axis.place >= output.ndim or (axis.units > 1 and not axis.merged and output.shape[axis.place] != axis.units):
            return None
        else:
            kept.append(replace(axis, place=None) if axis.units == 1 and output.shape[axis.place] > 1 else axis)
    return tuple(kept)


def _join_axis(a: Axis, b: Axis) -> Axis:
    lead, other = (a, b) if a.place is not None and a.units >= b.units else (b, a)
    alike = a.units == b.units > 1 and not (a.merged or b.merged)
    if alike or a.field.stride == b.field.stride:
        return replace(lead, field=lead.field.joined(other.field, lead.units if alike else None))
    return replace(lead, field=lead.field.covering(other.field))
