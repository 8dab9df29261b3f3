"""Average pooling: the mean of each window; the message spreads evenly over it (row O5). Over one bin it is global average pooling (row O9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from striate.core.errors import ArgumentError
from striate.formulas.base import ALL, Array, Factor, Formula, Index, Numbers, Term, array, entry, number, zeros
from striate.formulas.max_pool import pooling_grid
from striate.formulas.registry import formula
from striate.formulas.windows import Bins, Grid, Sizes, bins


@dataclass(frozen=True, kw_only=True)
class AveragePool(Formula):
    """The formula over any number of axes: window i has cells p and is divided by n(i)."""

    axes: ClassVar[int] = 0
    rules: ClassVar[dict[str, str]] = {
        "y": "y[n,c,i] = Σ_{p in window i} x[n,c,p]/n(i)",
        "x": "∂x[n,c,p] = Σ_{i that sees p} δ[n,c,i]/n(i)",
    }

    def forward(self, x: Numbers) -> Array:
        """Return y[n, c, i] = Σ over the cells p of window i of x[n, c, p] / n(i)."""
        x, windows = self._checked(x)
        y = zeros((*x.shape[:2], *windows.out))
        for i in windows.places():
            for p in windows.cells(i):
                y[ALL, ALL, *i] += x[ALL, ALL, *p] / self.divisor(windows, i)
        return y

    def message(self, delta: Numbers, x: Numbers) -> Array:
        """Return ∂x[n, c, p] = Σ over the windows i that see p of δ[n, c, i] / n(i)."""
        x, windows = self._checked(x)
        delta = array("delta", delta, shape=(*x.shape[:2], *windows.out))
        back = zeros(x.shape)
        for i in windows.places():
            for p in windows.cells(i):
                back[ALL, ALL, *p] += delta[ALL, ALL, *i] / self.divisor(windows, i)
        return back

    def shape(self, x: Numbers) -> Index:
        """Return the shape of y without computing it."""
        x, windows = self._checked(x)
        return (*x.shape[:2], *windows.out)

    def windows(self, size: Index) -> Grid | Bins:
        """Return the windows over an input whose last axes have `size`."""
        raise NotImplementedError

    def divisor(self, windows: Grid | Bins, place: Index) -> int:
        """Return n(i), by what the sum of the window at `place` is divided: its number of cells."""
        return len(windows.cells(place))

    def _terms(self, of: str, at: Index, x: Numbers, *, delta: Numbers) -> Iterator[Term]:
        x, windows = self._checked(x)
        n, c, *place = at
        if of == "y":
            for p in windows.cells(place):
                yield Term((entry("x", x, (n, c, *p)), self._share(windows, tuple(place))))
        else:
            for i in windows.who_sees_cell(place):
                yield Term((entry("delta", delta, (n, c, *i)), self._share(windows, i)))

    def _share(self, windows: Grid | Bins, place: Index) -> Factor:
        divisor = self.divisor(windows, place)
        return number(1 / divisor, "1/n", f"1/{divisor}")

    def _checked(self, x: Numbers) -> tuple[Numbers, Grid | Bins]:
        x = array("x", x, rank=self.axes + 2)
        return x, self.windows(x.shape[2:])


@dataclass(frozen=True, kw_only=True)
class AveragePoolWindows(AveragePool):
    """Windows of `kernel` every `stride` cells (the kernel's own size unless given).

    n(i) counts the padding's zeros, but not what `ceil_mode` lets a window reach beyond the padding (torch's rule); without `count_include_pad` only
    cells of the input; `divisor_override` replaces it.
    """

    kernel: Sizes
    stride: Sizes | None = None
    padding: Sizes = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None

    def windows(self, size: Index) -> Grid:
        """Return the windows over an input whose last axes have `size`."""
        if self.divisor_override is not None and self.divisor_override < 1:
            raise ArgumentError(f"divisor_override: got {self.divisor_override}, expected a whole number from 1 on")
        return pooling_grid(size, self.kernel, self.stride, self.padding, ceil_mode=self.ceil_mode)

    def divisor(self, windows: Grid | Bins, place: Index) -> int:
        """Return n(i), by what the sum of the window at `place` is divided."""
        if self.divisor_override is not None:
            return self.divisor_override
        return padded_cells(windows, place) if self.count_include_pad else len(windows.cells(place))


@formula("avg_pool1d", help="The mean of each window along one axis", modules=("AvgPool1d",))
@dataclass(frozen=True, kw_only=True)
class AveragePool1d(AveragePoolWindows):
    """1-D: `x` N C L."""

    axes: ClassVar[int] = 1


@formula("avg_pool2d", help="The mean of each window over height and width", modules=("AvgPool2d",))
@dataclass(frozen=True, kw_only=True)
class AveragePool2d(AveragePoolWindows):
    """2-D: `x` N C H W."""

    axes: ClassVar[int] = 2


@dataclass(frozen=True, kw_only=True)
class AdaptiveAveragePool(AveragePool):
    """Bins of nearly equal size; `size` is how many along each axis."""

    size: Sizes = 1

    def windows(self, size: Index) -> Bins:
        """Return the bins over an input whose last axes have `size`."""
        return bins(size, self.size)


@formula("adaptive_avg_pool1d", help="The mean of each of a given number of bins along one axis", modules=("AdaptiveAvgPool1d",))
@dataclass(frozen=True, kw_only=True)
class AdaptiveAveragePool1d(AdaptiveAveragePool):
    """1-D: `x` N C L."""

    axes: ClassVar[int] = 1


@formula("adaptive_avg_pool2d", help="The mean of each of a given number of bins; one bin is global average pooling", modules=("AdaptiveAvgPool2d",))
@dataclass(frozen=True, kw_only=True)
class AdaptiveAveragePool2d(AdaptiveAveragePool):
    """2-D: `x` N C H W."""

    axes: ClassVar[int] = 2


def padded_cells(windows: Grid | Bins, place: Index) -> int:
    """Return how many cells of the padded input the window at `place` covers."""
    if isinstance(windows, Bins):
        return len(windows.cells(place))
    count = 1
    for axis, i in zip(windows.axes, place, strict=True):
        count *= sum(axis.position(i, u) < axis.size + axis.after for u in range(axis.kernel))
    return count
