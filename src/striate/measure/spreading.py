"""Receptive fields carried from call to call through a recorded run: which pixels a tensor's units see, and along which of its axes they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from striate.measure.axes import Axes, joined
from striate.measure.resizing import shares
from striate.measure.rules import pointwise, rule_of
from striate.measure.windows import Sliding
from striate.probe import Call


def spread(call: Call, given: Sequence[Axes | None], slid: Sliding | None) -> Axes | None:
    """Return the axes of a call's first output from those of its tensor inputs (None: not from the input); None where this cannot be told.

    `slid` is what slides in the call.
    """
    outputs = call.outputs
    known = [axes for axes in given if axes]
    if not outputs or not known:
        return None
    output = outputs[0]
    if slid is not None and given and given[0]:
        return _slid(slid, given[0], output)
    rule = rule_of(call)
    if rule is not None:
        first = given[0] if given and given[0] else known[0]
        return rule(call, first, output)
    if call.inside or (call.module is None and not pointwise(call)):
        return None
    return joined(known, output)


def _slid(slid: Sliding, axes: Axes, output: Tensor) -> Axes | None:
    count = len(slid.windows or slid.uneven)
    first = output.ndim - count
    found = []
    for axis in axes:
        if axis.place is None:
            found.append(axis)
            continue
        if axis.merged or axis.place < first:
            return None
        number = axis.place - first
        if slid.uneven:
            field = axis.field.read(*shares(slid.uneven[number][1]), output.shape[axis.place])
            found.append(replace(axis, field=field, units=output.shape[axis.place], path=None))
            continue
        window = slid.windows[number]
        if slid.kind == "transposed":
            field, path = axis.field.through_transposed(window), None
        else:
            field, path = axis.field.through(window), None if slid.adaptive else axis.then(window)
        found.append(replace(axis, field=field, units=output.shape[axis.place], path=path))
    return tuple(found)
