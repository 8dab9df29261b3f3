"""Operations that only move numbers or add them: flatten, add, concat. Their messages go back the way the numbers came (row O9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.core.errors import ArgumentError
from striate.formulas.base import Array, Formula, Index, Numbers, Term, array, entry
from striate.formulas.registry import formula


@formula("flatten", help="Lay all axes from one on into a row", modules=("Flatten",))
@dataclass(frozen=True, kw_only=True)
class Flatten(Formula):
    """`x` N C H W becomes N C·H·W, row-major: place (c, i, j) goes to (c·H + i)·W + j."""

    start_dim: int = 1
    end_dim: int = -1

    rules: ClassVar[dict[str, str]] = {"y": "y[n,(c·H + i)·W + j] = x[n,c,i,j]", "x": "∂x[n,c,i,j] = δ[n,(c·H + i)·W + j]"}

    def forward(self, x: Numbers) -> Array:
        """Return x with the axes from `start_dim` to `end_dim` laid into one."""
        x = array("x", x)
        first, behind = self._axes(x)
        found: Array = x.reshape(*x.shape[:first], -1, *x.shape[behind:])
        return found

    def message(self, delta: Numbers, x: Numbers) -> Array:
        """Return the message in the shape of x."""
        found: Array = array("delta", delta, shape=self.forward(x).shape).reshape(np.shape(x))
        return found

    def _axes(self, x: Array) -> tuple[int, int]:
        if not (-x.ndim <= self.start_dim < x.ndim and -x.ndim <= self.end_dim < x.ndim) or self.start_dim % x.ndim > self.end_dim % x.ndim:
            raise ArgumentError(
                f"start_dim, end_dim: got {self.start_dim}, {self.end_dim}, expected two of the {x.ndim} axes of x {x.shape}, in order"
            )
        return self.start_dim % x.ndim, self.end_dim % x.ndim + 1

    def _terms(self, of: str, at: Index, x: Numbers, *, delta: Numbers) -> Iterator[Term]:
        x = array("x", x)
        first, behind = self._axes(x)
        laid = x.shape[first:behind]
        if of == "y":
            yield Term((entry("x", x, (*at[:first], *map(int, np.unravel_index(at[first], laid)), *at[first + 1 :])),))
        else:
            yield Term((entry("delta", delta, (*at[:first], int(np.ravel_multi_index(at[first:behind], laid)), *at[behind:])),))


class Join(Formula):
    """An operation of any number of inputs, called x0, x1, …; `message` returns one array for each, in order."""

    rules: ClassVar[dict[str, str]] = {}

    def _names(self, count: int) -> tuple[str, ...]:
        return tuple(f"x{i}" for i in range(count))

    def _given(self) -> tuple[str, ...]:
        return ()


@formula("add", help="Add inputs of one shape: the meeting point of a residual block", modules=("Add",))
@dataclass(frozen=True, kw_only=True)
class Add(Join):
    """`x0`, `x1`, … of one shape. Every input gets the whole message: a sum hands it on unchanged."""

    arrays: ClassVar[tuple[str, ...]] = ("x0", "x1")
    inputs: ClassVar[tuple[str, ...]] = ("x0", "x1")
    rules: ClassVar[dict[str, str]] = {"y": "y = x0 + x1 + …", "x": "∂x0 = ∂x1 = … = δ"}

    def forward(self, *xs: Numbers) -> Array:
        """Return the sum."""
        return np.asarray(sum(self._checked(xs)))

    def message(self, delta: Numbers, *xs: Numbers) -> tuple[Array, ...]:
        """Return the message once for each input."""
        return tuple(np.array(array("delta", delta, shape=x.shape)) for x in self._checked(xs))

    def _terms(self, of: str, at: Index, *xs: Numbers, delta: Numbers) -> Iterator[Term]:
        if of == "y":
            for i, x in enumerate(self._checked(xs)):
                yield Term((entry(f"x{i}", x, at),))
        else:
            yield Term((entry("delta", delta, at),))

    def _checked(self, xs: tuple[Numbers, ...]) -> list[Array]:
        if not xs:
            raise ArgumentError("add: got no inputs, expected at least one")
        found = [array(f"x{i}", x) for i, x in enumerate(xs)]
        for i, x in enumerate(found):
            if x.shape != found[0].shape:
                raise ArgumentError(f"x{i}: got shape {x.shape}, expected {found[0].shape} as x0 has; a residual block needs a projection here")
        return found


@formula("cat", help="Lay inputs behind one another along an axis: the end of an inception module or a dense block", modules=("Concat",))
@dataclass(frozen=True, kw_only=True)
class Concat(Join):
    """`x0`, `x1`, … whose shapes differ along `axis` only. Every input gets its slice of the message."""

    axis: int = 1

    arrays: ClassVar[tuple[str, ...]] = ("x0", "x1")
    inputs: ClassVar[tuple[str, ...]] = ("x0", "x1")
    rules: ClassVar[dict[str, str]] = {"y": "y = x0, then x1, … along the axis", "x": "∂xᵢ = its own slice of δ"}

    def forward(self, *xs: Numbers) -> Array:
        """Return the inputs behind one another."""
        return np.concatenate(self._checked(xs), axis=self.axis)

    def message(self, delta: Numbers, *xs: Numbers) -> tuple[Array, ...]:
        """Return each input's slice of the message."""
        found = self._checked(xs)
        delta = array("delta", delta, shape=np.concatenate(found, axis=self.axis).shape)
        return tuple(np.split(delta, np.cumsum([x.shape[self.axis] for x in found])[:-1], axis=self.axis))

    def _terms(self, of: str, at: Index, *xs: Numbers, delta: Numbers) -> Iterator[Term]:
        found = self._checked(xs)
        axis = self.axis % found[0].ndim
        starts = [sum(x.shape[axis] for x in found[:i]) for i in range(len(found))]
        if of == "y":
            i = max(i for i, start in enumerate(starts) if start <= at[axis])
            yield Term((entry(f"x{i}", found[i], (*at[:axis], at[axis] - starts[i], *at[axis + 1 :])),))
        else:
            yield Term((entry("delta", delta, (*at[:axis], at[axis] + starts[int(of[1:])], *at[axis + 1 :])),))

    def _checked(self, xs: tuple[Numbers, ...]) -> list[Array]:
        if not xs:
            raise ArgumentError("concat: got no inputs, expected at least one")
        found = [array(f"x{i}", x) for i, x in enumerate(xs)]
        if not -found[0].ndim <= self.axis < found[0].ndim:
            raise ArgumentError(f"axis: got {self.axis}, expected one of the {found[0].ndim} axes of x0 {found[0].shape}")
        for i, x in enumerate(found):
            if np.delete(x.shape, self.axis).tolist() != np.delete(found[0].shape, self.axis).tolist():
                raise ArgumentError(f"x{i}: got shape {x.shape}, expected that of x0 {found[0].shape} in all axes but {self.axis}")
        return found
