"""Softmax and its logarithm: scores become shares that sum to one (row O7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.core.errors import ArgumentError
from striate.formulas.base import Array, Formula, Index, Numbers, Term, array, entry, number, spell
from striate.formulas.registry import formula


@dataclass(frozen=True, kw_only=True)
class _OverAxis(Formula):
    axis: int = 1

    def _checked(self, x: Numbers) -> Array:
        x = array("x", x)
        if not -x.ndim <= self.axis < x.ndim:
            raise ArgumentError(f"axis: got {self.axis}, expected one of the {x.ndim} axes of x {x.shape}")
        return np.asarray(x)

    def _row(self, values: Array, at: Index) -> tuple[Array, int, list[Index]]:
        """Return the numbers along the axis through `at`, the place of `at` among them, and all their places."""
        axis = self.axis % values.ndim
        places = [(*at[:axis], i, *at[axis + 1 :]) for i in range(values.shape[axis])]
        return np.array([values[place] for place in places]), at[axis], places


@formula("softmax", help="e^x over the sum of all e^x: shares that sum to one", modules=("Softmax",))
@dataclass(frozen=True, kw_only=True)
class Softmax(_OverAxis):
    """`x` of any shape; shares along `axis`. The largest score is taken off first: the same shares, no overflow."""

    rules: ClassVar[dict[str, str]] = {
        "y": "p_k = e^(x_k − m)/Σ_j e^(x_j − m), m the largest x",
        "x": "∂x_k = Σ_j δ_j·p_j·([j = k] − p_k) = p_k·(δ_k − Σ_j δ_j·p_j)",
    }

    def forward(self, x: Numbers) -> Array:
        """Return p_k = e^(x_k) / Σ_j e^(x_j)."""
        x = self._checked(x)
        powers = np.exp(x - x.max(axis=self.axis, keepdims=True))
        found: Array = powers / powers.sum(axis=self.axis, keepdims=True)
        return found

    def message(self, delta: Numbers, x: Numbers) -> Array:
        """Return p_k · (δ_k − Σ_j δ_j p_j)."""
        p = self.forward(x)
        delta = array("delta", delta, shape=p.shape)
        found: Array = p * (delta - (delta * p).sum(axis=self.axis, keepdims=True))
        return found

    def _terms(self, of: str, at: Index, x: Numbers, *, delta: Numbers) -> Iterator[Term]:
        x = self._checked(x)
        row, k, places = self._row(x, at)
        powers = np.exp(row - row.max())
        if of == "y":
            m = spell(row.max())
            below = " + ".join(f"e^({spell(value)} − {m})" for value in row)
            yield Term((number(powers[k], "e^(x − m)", f"e^({spell(row[k])} − {m})"), number(1 / powers.sum(), "1/Σ", f"1/({below})")))
        else:
            p = powers / powers.sum()
            for j, place in enumerate(places):
                mixed = number((j == k) - p[k], "[j = k] − p_k", f"({int(j == k)} − {spell(p[k])})")
                yield Term((entry("delta", delta, place), number(p[j], "p_j"), mixed))


@formula("log_softmax", help="The logarithm of softmax, without taking the logarithm of small shares", modules=("LogSoftmax",))
@dataclass(frozen=True, kw_only=True)
class LogSoftmax(_OverAxis):
    """`x` of any shape; log p along `axis`."""

    rules: ClassVar[dict[str, str]] = {
        "y": "log p_k = (x_k − m) − log Σ_j e^(x_j − m), m the largest x",
        "x": "∂x_k = δ_k − p_k·Σ_j δ_j",
    }

    def forward(self, x: Numbers) -> Array:
        """Return x_k − log Σ_j e^(x_j)."""
        x = self._checked(x)
        shifted = x - x.max(axis=self.axis, keepdims=True)
        found: Array = shifted - np.log(np.exp(shifted).sum(axis=self.axis, keepdims=True))
        return found

    def message(self, delta: Numbers, x: Numbers) -> Array:
        """Return δ_k − p_k Σ_j δ_j."""
        p = np.exp(self.forward(x))
        delta = array("delta", delta, shape=p.shape)
        found: Array = delta - p * delta.sum(axis=self.axis, keepdims=True)
        return found

    def _terms(self, of: str, at: Index, x: Numbers, *, delta: Numbers) -> Iterator[Term]:
        x = self._checked(x)
        row, k, places = self._row(x, at)
        if of == "y":
            m, powers = row.max(), np.exp(row - row.max())
            yield Term((number(row[k] - m, "x − m", f"({spell(row[k])} − {spell(m)})"),))
            below = " + ".join(f"e^({spell(value)} − {spell(m)})" for value in row)
            yield Term((number(-1.0, "−1"), number(np.log(powers.sum()), "log Σ", f"log({below})")))
        else:
            p = float(np.exp(self.forward(x)[at]))
            yield Term((entry("delta", delta, at),))
            for place in places:
                yield Term((number(-p, "−p_k"), entry("delta", delta, place)))
