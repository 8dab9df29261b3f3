"""L2 pooling: the root of each window's mean square, or of its sum of squares as torch's `lp_pool2d` has it (row O5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from striate.formulas.average_pool import padded_cells
from striate.formulas.base import ALL, Array, Formula, Index, Numbers, Term, array, entry, number, spell, zeros
from striate.formulas.max_pool import pooling_grid
from striate.formulas.registry import formula
from striate.formulas.windows import Grid, Sizes


@dataclass(frozen=True, kw_only=True)
class L2Pool(Formula):
    """y = √(Σ x²/n), or √(Σ x²) with `form` "root_sum_of_squares". n counts the padding's zeros unless `count_include_pad` is off.

    Where a window is all zero its root has no derivative; the message sent back there is 0.
    """

    kernel: Sizes
    stride: Sizes | None = None
    padding: Sizes = 0
    ceil_mode: bool = False
    form: Literal["root_mean_square", "root_sum_of_squares"] = "root_mean_square"
    count_include_pad: bool = True

    axes: ClassVar[int] = 0
    rules: ClassVar[dict[str, str]] = {
        "y": "y[n,c,i] = √(Σ_{p in window i} x[n,c,p]²/n(i)), n(i) = 1 for the root of the sum",
        "x": "∂x[n,c,p] = Σ_{i that sees p} δ[n,c,i]·x[n,c,p]/(n(i)·y[n,c,i])",
    }

    def forward(self, x: Numbers) -> Array:
        """Return y[n, c, i] = √(Σ over the cells p of window i of x[n, c, p]² / n(i))."""
        x, windows = self._checked(x)
        squares = zeros((*x.shape[:2], *windows.out))
        for i in windows.places():
            for p in windows.cells(i):
                squares[ALL, ALL, *i] += x[ALL, ALL, *p] ** 2 / self.divisor(windows, i)
        return np.sqrt(squares)

    def message(self, delta: Numbers, x: Numbers) -> Array:
        """Return ∂x[n, c, p] = Σ over the windows i that see p of δ[n, c, i] · x[n, c, p] / (n(i) · y[n, c, i])."""
        x, windows = self._checked(x)
        y = self.forward(x)
        delta = array("delta", delta, shape=y.shape)
        ratio = np.divide(delta, y, out=zeros(y.shape), where=y > 0)
        back = zeros(x.shape)
        for i in windows.places():
            for p in windows.cells(i):
                back[ALL, ALL, *p] += ratio[ALL, ALL, *i] * x[ALL, ALL, *p] / self.divisor(windows, i)
        return back

    def shape(self, x: Numbers) -> Index:
        """Return the shape of y without computing it."""
        x, windows = self._checked(x)
        return (*x.shape[:2], *windows.out)

    def divisor(self, windows: Grid, place: Index) -> int:
        """Return n(i): the window's number of cells, or 1 for the root of the sum."""
        if self.form == "root_sum_of_squares":
            return 1
        return padded_cells(windows, place) if self.count_include_pad else len(windows.cells(place))

    def _terms(self, of: str, at: Index, x: Numbers, *, delta: Numbers) -> Iterator[Term]:
        x, windows = self._checked(x)
        n, c, *place = at
        if of == "y":
            divisor = self.divisor(windows, at[2:])
            share = (number(1 / divisor, "1/n", f"1/{divisor}"),) if divisor > 1 else ()
            for p in windows.cells(place):
                cell = entry("x", x, (n, c, *p))
                yield Term((cell, cell, *share))
        else:
            y = self.forward(x)
            for i in windows.who_sees_cell(place):
                scale = self.divisor(windows, i) * float(y[n, c, *i])
                inverse = number(1 / scale if scale else 0.0, "1/(n·y)", f"1/({self.divisor(windows, i)}·{spell(y[n, c, *i])})" if scale else "0")
                yield Term((entry("delta", delta, (n, c, *i)), entry("x", x, at), inverse))

    def _remarks(self, of: str, at: Index, *arrays: Numbers) -> tuple[str, str]:  # noqa: ARG002 - the same for every number
        return "", "√" if of == "y" else ""

    def _checked(self, x: Numbers) -> tuple[Numbers, Grid]:
        x = array("x", x, rank=self.axes + 2)
        return x, pooling_grid(x.shape[2:], self.kernel, self.stride, self.padding, ceil_mode=self.ceil_mode)


@formula("l2_pool1d", help="The root of the mean square (or of the sum of squares) of each window along one axis")
@dataclass(frozen=True, kw_only=True)
class L2Pool1d(L2Pool):
    """1-D: `x` N C L."""

    axes: ClassVar[int] = 1


@formula("l2_pool2d", help="The root of the mean square (or of the sum of squares) of each window over height and width", modules=("L2Pool2d",))
@dataclass(frozen=True, kw_only=True)
class L2Pool2d(L2Pool):
    """2-D: `x` N C H W."""

    axes: ClassVar[int] = 2
