"""Which inputs each place of a resized map is made of: interpolation in torch's modes, uneven adaptive pools, pixel shuffling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor
from typing import Any

from torch import Tensor

from striate.measure.arithmetic import Window
from striate.measure.axes import Axes
from striate.measure.receptive_field import Field, Taps
from striate.probe import Call

INTERPOLATE = ("input", "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias")
REACH = {"linear": 1, "bilinear": 1, "trilinear": 1, "bicubic": 2}
"""How many neighbours on either side a mode mixes; every other takes one, or the mean of its share."""


def resized(call: Call, axes: Axes, output: Tensor) -> Axes:
    """Interpolation: units lie closer (or farther) than before, and see one unit of the input, or several where the mode mixes them."""
    given = _settings(call)
    mode, corners = str(given.get("mode") or "nearest"), bool(given.get("align_corners"))
    found = []
    for axis in axes:
        if axis.place is None or axis.units == output.shape[axis.place]:
            found.append(axis)
            continue
        units = output.shape[axis.place]
        scale = Fraction(axis.units, units) if corners else _scale(given, axis.units, units, output.ndim - axis.place)
        found.append(
            replace(axis, field=_interpolated(axis.field, mode, scale, axis.units, units, corners, bool(given.get("antialias"))), units=units)
        )
    return tuple(found)


def shuffled(_call: Call, axes: Axes, output: Tensor) -> Axes:
    """Pixel shuffling: r places of the output are channels of one of the input; unshuffling makes r places of the input channels of one."""
    found = []
    for axis in axes:
        if axis.place is None:
            found.append(axis)
            continue
        units = output.shape[axis.place]
        larger, smaller = units // axis.units, axis.units // units
        field = axis.field.through(Window(smaller, smaller)) if smaller > 1 else axis.field.read(*nearest(Fraction(1, larger)), units)
        found.append(replace(axis, field=field, units=units))
    return tuple(found)


def nearest(scale: Fraction) -> tuple[Taps, Fraction]:
    """Return the taps of nearest-neighbour interpolation where outputs lie `scale` inputs apart, and that distance."""
    return lambda unit: (floor(unit * scale),), scale


def shares(step: Fraction) -> tuple[Taps, Fraction]:
    """Return the taps of an adaptive pool whose outputs lie `step` inputs apart: its share, rounded to whole inputs on both sides."""
    return lambda unit: range(floor(unit * step), ceil((unit + 1) * step)), step


def _interpolated(field: Field, mode: str, scale: Fraction, before: int, after: int, corners: bool, antialias: bool) -> Field:
    if mode == "area":
        return field.read(*shares(Fraction(before, after)), after)
    if mode not in REACH:
        shift = Fraction(1, 2) if mode == "nearest-exact" else Fraction(0)
        return field.read(lambda unit: (floor((unit + shift) * scale),), scale, after)
    reach = REACH[mode]
    if corners:
        scale = Fraction(before - 1, after - 1) if after > 1 and before > 1 else scale

    def taps(unit: int) -> Iterable[int]:
        place = unit * scale if corners else (unit + Fraction(1, 2)) * scale - Fraction(1, 2)
        if antialias and not corners:
            support = reach * max(scale, Fraction(1))
            return range(floor(place - support) + 1, ceil(place + support))
        low = floor(place)
        return (low,) if place == low else range(low + 1 - reach, low + 1 + reach)

    return field.read(taps, scale, after)


def _settings(call: Call) -> dict[str, Any]:
    """Return the arguments of `interpolate`, also where a module gives them."""
    if call.module is not None:
        return {name: getattr(call.module, name, None) for name in INTERPOLATE[1:]}
    names = INTERPOLATE if call.operation == "interpolate" else ("input", "size", "scale_factor", "mode", "align_corners")
    return dict(zip(names, call.args, strict=False)) | call.kwargs


def _scale(given: dict[str, Any], before: int, after: int, from_end: int) -> Fraction:
    """Return how many inputs lie between two outputs: by the factor that was asked for, as torch has it, or by the sizes."""
    factor = given.get("scale_factor")
    if factor is None or given.get("recompute_scale_factor"):
        return Fraction(before, after)
    one = factor[-from_end] if isinstance(factor, (tuple, list)) else factor
    return 1 / Fraction(float(one)).limit_denominator(10**6)
