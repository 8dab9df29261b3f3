"""Where windows lie: sizes, stride, padding and dilation of convolutions and pools, along one axis and over several."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from striate.core.errors import ArgumentError

Sizes = int | tuple[int, ...]
Padding = int | tuple[int, ...] | tuple[tuple[int, int], ...] | Literal["same", "valid"]
"""Zeros around the input: a number, one an axis, a pair (before, behind) an axis, or a word."""


@dataclass(frozen=True)
class Axis:
    """Windows along one axis: `out` = ⌊(size + before + after − dilation·(kernel − 1) − 1) / stride⌋ + 1 of them.

    Window i starts at i·stride − before; its tap u looks at i·stride − before + dilation·u, which lies in the padding when it is outside 0 … size−1.
    With `ceil_mode` the quotient is rounded up, but no window starts in the padding behind the input (torch's rule).
    """

    size: int
    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    ceil_mode: bool = False

    @property
    def out(self) -> int:
        """How many windows there are."""
        room = self.size + self.before + self.after - self.dilation * (self.kernel - 1) - 1
        windows = (-(-room // self.stride) if self.ceil_mode else room // self.stride) + 1
        if self.ceil_mode and (windows - 1) * self.stride >= self.size + self.before:
            windows -= 1
        return windows

    @property
    def lost(self) -> int:
        """How many of the last places (padding included) no window reaches: above 0, the stride does not fit."""
        reach = (self.out - 1) * self.stride + self.dilation * (self.kernel - 1) + 1
        return max(self.size + self.before + self.after - reach, 0)

    def position(self, window: int, tap: int) -> int:
        """Return where tap `tap` of window `window` looks; below 0 or from `size` on it is padding."""
        return window * self.stride - self.before + self.dilation * tap

    def inside(self, position: int) -> bool:
        """Say whether a position lies in the input rather than in the padding."""
        return 0 <= position < self.size

    def who_sees(self, position: int) -> Iterator[tuple[int, int]]:
        """Yield (window, tap) for every tap that looks at `position`."""
        for window, tap in itertools.product(range(self.out), range(self.kernel)):
            if self.position(window, tap) == position:
                yield window, tap


@dataclass(frozen=True)
class Grid:
    """Windows over one or more axes: each place is one window an axis, each tap one tap an axis."""

    axes: tuple[Axis, ...]

    @property
    def out(self) -> tuple[int, ...]:
        """How many windows there are along each axis."""
        return tuple(axis.out for axis in self.axes)

    def places(self) -> Iterator[tuple[int, ...]]:
        """Yield every window, row by row."""
        return itertools.product(*(range(axis.out) for axis in self.axes))

    def taps(self) -> Iterator[tuple[int, ...]]:
        """Yield every tap of a window, row by row."""
        return itertools.product(*(range(axis.kernel) for axis in self.axes))

    def position(self, place: Sequence[int], tap: Sequence[int]) -> tuple[int, ...]:
        """Return where `tap` of the window at `place` looks."""
        return tuple(axis.position(i, u) for axis, i, u in zip(self.axes, place, tap, strict=True))

    def inside(self, position: Sequence[int]) -> bool:
        """Say whether a position lies in the input rather than in the padding."""
        return all(axis.inside(p) for axis, p in zip(self.axes, position, strict=True))

    def cells(self, place: Sequence[int]) -> list[tuple[int, ...]]:
        """Return what the window at `place` sees of the input, row by row."""
        return [position for tap in self.taps() if self.inside(position := self.position(place, tap))]

    def who_sees_cell(self, position: Sequence[int]) -> list[tuple[int, ...]]:
        """Return the windows that see `position`, row by row."""
        return [place for place, _ in self.who_sees(position)]

    def connections(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
        """Yield (place, tap, position) for every tap of every window that looks into the input."""
        for place in self.places():
            for tap in self.taps():
                position = self.position(place, tap)
                if self.inside(position):
                    yield place, tap, position

    def who_sees(self, position: Sequence[int]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Yield (place, tap) for every tap that looks at `position`, place by place."""
        for pairs in itertools.product(*(axis.who_sees(p) for axis, p in zip(self.axes, position, strict=True))):
            yield tuple(window for window, _ in pairs), tuple(tap for _, tap in pairs)


@dataclass(frozen=True)
class Bins:
    """Windows of adaptive pooling: along each axis bin i of `out` reaches from ⌊i·size/out⌋ to ⌈(i+1)·size/out⌉; bins may overlap."""

    size: tuple[int, ...]
    out: tuple[int, ...]

    def places(self) -> Iterator[tuple[int, ...]]:
        """Yield every bin, row by row."""
        return itertools.product(*(range(bins) for bins in self.out))

    def cells(self, place: Sequence[int]) -> list[tuple[int, ...]]:
        """Return the positions in the bin at `place`, row by row."""
        reaches = (range(i * size // bins, -(-(i + 1) * size // bins)) for i, size, bins in zip(place, self.size, self.out, strict=True))
        return list(itertools.product(*reaches))

    def who_sees_cell(self, position: Sequence[int]) -> list[tuple[int, ...]]:
        """Return the bins that hold `position`, row by row."""
        return [place for place in self.places() if tuple(position) in self.cells(place)]


def each_axis(name: str, value: Any, axes: int, *, least: int) -> tuple[int, ...]:
    """Spread one number over all axes, or check that there is one an axis; raises `ArgumentError` for anything below `least`."""
    values = tuple(value) if isinstance(value, Iterable) else (value,) * axes
    if len(values) != axes or not all(isinstance(v, numbers.Integral) and int(v) >= least for v in values):
        raise ArgumentError(f"{name}: got {value!r}, expected a whole number from {least} on, or {axes} of them")
    return tuple(int(v) for v in values)


def grid(
    size: Sequence[int],
    kernel: Sizes,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Grid:
    """Lay windows of `kernel` over an input of `size` (L, or H W); "same" pads so that stride 1 keeps the size, "valid" pads nothing.

    Raises `ArgumentError` when no window fits into the padded input, saying which sizes do.
    """
    count = len(size)
    kernels, strides, dilations = (
        each_axis("kernel", kernel, count, least=1),
        each_axis("stride", stride, count, least=1),
        each_axis("dilation", dilation, count, least=1),
    )
    extents = tuple(d * (k - 1) + 1 for k, d in zip(kernels, dilations, strict=True))
    if padding == "same":
        if set(strides) != {1}:
            raise ArgumentError(
                f"padding: 'same' keeps the size only at stride 1, got stride {stride!r}; give the padding as a number, e.g. {extents[0] // 2}"
            )
        around = [((e - 1) // 2, e - 1 - (e - 1) // 2) for e in extents]
    elif isinstance(padding, str):
        if padding != "valid":
            raise ArgumentError(f"padding: got {padding!r}, expected a whole number from 0 on, 'same' or 'valid'")
        around = [(0, 0)] * count
    elif isinstance(padding, tuple) and any(isinstance(p, tuple) for p in padding):
        around = [(before, after) for before, after in (each_axis("padding", p, 2, least=0) for p in padding)]
        each_axis("padding", tuple(max(pair) for pair in around), count, least=0)
    else:
        around = [(p, p) for p in each_axis("padding", padding, count, least=0)]
    axes = []
    for i, (length, (before, after)) in enumerate(zip(size, around, strict=True)):
        if extents[i] > length + before + after:
            raise ArgumentError(
                f"kernel: {kernels[i]} at dilation {dilations[i]} spans {extents[i]}, more than the padded input of {length} + {before} + {after}; "
                f"take a kernel up to {(length + before + after - 1) // dilations[i] + 1} or a padding from {-(-(extents[i] - length) // 2)} on"
            )
        axes.append(Axis(length, kernels[i], strides[i], before, after, dilations[i], ceil_mode))
    return Grid(tuple(axes))


def bins(size: Sequence[int], count: Sizes) -> Bins:
    """Lay `count` bins, one number or one an axis, over an input of `size`."""
    return Bins(tuple(size), each_axis("size", count, len(size), least=1))


def output_size(size: int, kernel: int, *, stride: int = 1, padding: int | Literal["same", "valid"] = 0, dilation: int = 1) -> int:
    """Return ⌊(W + 2P − D(F−1) − 1)/S⌋ + 1: how many windows of extent F fit (row O3)."""
    return grid((size,), kernel, stride=stride, padding=padding, dilation=dilation).out[0]
