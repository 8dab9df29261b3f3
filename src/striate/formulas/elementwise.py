"""What all elementwise operations share: y = f(x) at every entry, so the Jacobian is diagonal and the message is δ·f′(x), entry by entry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from striate.formulas.base import Array, Factor, Formula, Index, Numbers, Term, array, entry, number


class Elementwise(Formula):
    """y = f(x). A subclass gives f as `value` and f′ as `derivative`, and how both are spelled for one number."""

    rules: ClassVar[dict[str, str]] = {"y": "y = f(x)", "x": "∂x = δ·f′(x)"}

    def forward(self, x: Numbers) -> Array:
        """Return f(x), an array like x."""
        return self.value(array("x", x))

    def message(self, delta: Numbers, x: Numbers) -> Array:
        """Return δ · f′(x)."""
        x = array("x", x)
        return without_minus_zero(array("delta", delta, shape=x.shape) * self.derivative(x))

    def jacobian_vector(self, x: Numbers, v: Numbers) -> Array:
        """Return J·v, which is f′(x)·v: the Jacobian, with its size² entries all zero but the diagonal, is never formed."""
        x = array("x", x)
        return without_minus_zero(self.derivative(x) * array("v", v, shape=x.shape))

    def shape(self, x: Numbers) -> Index:
        """Return the shape of y: that of x."""
        found: Index = array("x", x).shape
        return found

    def value(self, x: Array) -> Array:
        """Return f(x)."""
        raise NotImplementedError

    def derivative(self, x: Array) -> Array:
        """Return f′(x)."""
        raise NotImplementedError

    def spelled(self, x: float) -> tuple[str, str]:
        """Return how f(x) and f′(x) are worked out for this x: `1/(1 + e^(−0.5))`; empty to show just the number."""
        raise NotImplementedError

    def _terms(self, of: str, at: Index, x: Numbers, *, delta: Numbers) -> Iterator[Term]:
        x = array("x", x)
        value, slope = self.spelled(float(x[at]))
        if of == "y":
            yield Term((number(self.value(x[at]), "f(x)", value),))
        else:
            yield Term((entry("delta", delta, at), number(self.derivative(x[at]), "f′(x)", slope)))


class Gate(Elementwise):
    """An activation that multiplies its input by a factor which depends on the sign alone: ReLU and its kin."""

    def value(self, x: Array) -> Array:
        """Return x·f′(x)."""
        return without_minus_zero(x * self.derivative(x))

    def spelled(self, x: float) -> tuple[str, str]:  # noqa: ARG002 - the numbers say it
        """Return nothing: x·0 and x·1 speak for themselves."""
        return "", ""

    def _terms(self, of: str, at: Index, x: Numbers, *, delta: Numbers) -> Iterator[Term]:
        x = array("x", x)
        gate: Factor = number(self.derivative(np.asarray(x[at])), "f′(x)")
        yield Term((entry("x", x, at) if of == "y" else entry("delta", delta, at), gate))


def without_minus_zero(values: Array) -> Array:
    """Return the values with 0 for the −0 that a negative number times 0 gives; they are equal, but one of them looks odd in print."""
    found: Array = values + 0.0
    return found
