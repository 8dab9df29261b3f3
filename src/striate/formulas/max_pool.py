"""Max pooling: the largest of each window; among equals the first in row-major order. The message goes back to that one alone (row O5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError
from striate.formulas.base import ALL, Array, Formula, Index, Numbers, Term, array, entry, number, zeros
from striate.formulas.registry import formula
from striate.formulas.windows import Bins, Grid, Sizes, bins, each_axis, grid


@dataclass(frozen=True, kw_only=True)
class MaxPool(Formula):
    """The formula over any number of axes, each window a list of cells. Padding never wins: it counts as −∞."""

    axes: ClassVar[int] = 0
    rules: ClassVar[dict[str, str]] = {
        "y": "y[n,c,i] = max over the window's cells p of x[n,c,p] = Σ_p x[n,c,p]·switch(i,p)",
        "x": "∂x[n,c,p] = Σ_{i that sees p} δ[n,c,i]·switch(i,p)",
    }

    def forward(self, x: Numbers) -> Array:
        """Return y[n, c, i] = max over the cells p of window i of x[n, c, p]."""
        x, windows = self._checked(x)
        y = zeros((*x.shape[:2], *windows.out))
        for i in windows.places():
            y[ALL, ALL, *i] = self._patch(x, windows.cells(i)).max(axis=-1)
        return y

    def message(self, delta: Numbers, x: Numbers) -> Array:
        """Return ∂x[n, c, p] = Σ of δ[n, c, i] over the windows that p has won."""
        x, windows = self._checked(x)
        delta = array("delta", delta, shape=(*x.shape[:2], *windows.out))
        back = zeros(x.shape)
        for i in windows.places():
            cells = windows.cells(i)
            winner = self._patch(x, cells).argmax(axis=-1)
            for rank, p in enumerate(cells):
                back[ALL, ALL, *p] += delta[ALL, ALL, *i] * (winner == rank)
        return back

    def switches(self, x: Numbers) -> npt.NDArray[np.int64]:
        """Return where each maximum stood: for each y its cell's row-major number within the channel, as torch's `return_indices`."""
        x, windows = self._checked(x)
        found = np.zeros((*x.shape[:2], *windows.out), dtype=np.int64)
        for i in windows.places():
            cells = windows.cells(i)
            flat = np.array([np.ravel_multi_index(p, x.shape[2:]) for p in cells])
            found[ALL, ALL, *i] = flat[self._patch(x, cells).argmax(axis=-1)]
        return found

    def shape(self, x: Numbers) -> Index:
        """Return the shape of y without computing it."""
        x, windows = self._checked(x)
        return (*x.shape[:2], *windows.out)

    def windows(self, size: Index) -> Grid | Bins:
        """Return the windows over an input whose last axes have `size`."""
        raise NotImplementedError

    def _patch(self, x: Numbers, cells: list[Index]) -> Array:
        if not cells:
            raise ArgumentError(f"padding: a window of {self} over {x.shape[2:]} sees nothing but padding; take less padding or dilation")
        return np.stack([x[ALL, ALL, *p] for p in cells], axis=-1)

    def _terms(self, of: str, at: Index, x: Numbers, *, delta: Numbers) -> Iterator[Term]:
        x, windows = self._checked(x)
        n, c, *place = at
        if of == "y":
            cells = windows.cells(place)
            winner = int(self._patch(x, cells)[n, c].argmax())
            for rank, p in enumerate(cells):
                yield Term((entry("x", x, (n, c, *p)), number(rank == winner, "switch")))
        else:
            for i in windows.who_sees_cell(place):
                cells = windows.cells(i)
                winner = int(self._patch(x, cells)[n, c].argmax())
                yield Term((entry("delta", delta, (n, c, *i)), number(cells[winner] == tuple(place), "switch")))

    def _remarks(self, of: str, at: Index, *arrays: Numbers) -> tuple[str, str]:
        if of != "y":
            return "", ""
        x, windows = self._checked(arrays[0])
        patch = self._patch(x, windows.cells(at[2:]))[at[0], at[1]]
        equals = int((patch == patch.max()).sum())
        return (f"{equals} are equally large; the first, row by row, wins" if equals > 1 else ""), ""

    def _checked(self, x: Numbers) -> tuple[Numbers, Grid | Bins]:
        x = array("x", x, rank=self.axes + 2)
        return x, self.windows(x.shape[2:])


@dataclass(frozen=True, kw_only=True)
class MaxPoolWindows(MaxPool):
    """Windows of `kernel` every `stride` cells (the kernel's own size unless given)."""

    kernel: Sizes
    stride: Sizes | None = None
    padding: Sizes = 0
    dilation: Sizes = 1
    ceil_mode: bool = False

    def windows(self, size: Index) -> Grid:
        """Return the windows over an input whose last axes have `size`."""
        return pooling_grid(size, self.kernel, self.stride, self.padding, dilation=self.dilation, ceil_mode=self.ceil_mode)


@formula("max_pool1d", help="The largest of each window along one axis", modules=("MaxPool1d",))
@dataclass(frozen=True, kw_only=True)
class MaxPool1d(MaxPoolWindows):
    """1-D: `x` N C L."""

    axes: ClassVar[int] = 1


@formula("max_pool2d", help="The largest of each window over height and width", modules=("MaxPool2d",))
@dataclass(frozen=True, kw_only=True)
class MaxPool2d(MaxPoolWindows):
    """2-D: `x` N C H W."""

    axes: ClassVar[int] = 2


@dataclass(frozen=True, kw_only=True)
class AdaptiveMaxPool(MaxPool):
    """Bins of nearly equal size; `size` is how many along each axis."""

    size: Sizes = 1

    def windows(self, size: Index) -> Bins:
        """Return the bins over an input whose last axes have `size`."""
        return bins(size, self.size)


@formula("adaptive_max_pool1d", help="The largest of each of a given number of bins along one axis", modules=("AdaptiveMaxPool1d",))
@dataclass(frozen=True, kw_only=True)
class AdaptiveMaxPool1d(AdaptiveMaxPool):
    """1-D: `x` N C L."""

    axes: ClassVar[int] = 1


@formula("adaptive_max_pool2d", help="The largest of each of a given number of bins; one bin is global max pooling", modules=("AdaptiveMaxPool2d",))
@dataclass(frozen=True, kw_only=True)
class AdaptiveMaxPool2d(AdaptiveMaxPool):
    """2-D: `x` N C H W."""

    axes: ClassVar[int] = 2


def pooling_grid(size: Index, kernel: Sizes, stride: Sizes | None, padding: Sizes, *, dilation: Sizes = 1, ceil_mode: bool = False) -> Grid:
    """Lay a pool's windows; as in torch the padding may be at most half the kernel, and the stride is the kernel unless given."""
    kernels = each_axis("kernel", kernel, len(size), least=1)
    paddings = each_axis("padding", padding, len(size), least=0)
    if any(2 * p > k for p, k in zip(paddings, kernels, strict=True)):
        raise ArgumentError(
            f"padding: got {padding!r} for a pool of kernel {kernel!r}, expected at most half the kernel; more would pool nothing but padding"
        )
    return grid(size, kernels, stride=kernels if stride is None else stride, padding=paddings, dilation=dilation, ceil_mode=ceil_mode)
