"""L2 regularisation: a penalty on large weights, added to the loss (row O7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.formulas.base import Array, Formula, Index, Numbers, Term, array, entry, number
from striate.formulas.registry import formula


@formula("l2_penalty", help="L2 regularisation: strength times the sum of all squared weights")
@dataclass(frozen=True, kw_only=True)
class L2Penalty(Formula):
    """R = strength · Σ w². Its gradient 2·strength·w pulls every weight towards 0; torch's `weight_decay` λ is strength λ/2."""

    strength: float = 1.0

    arrays: ClassVar[tuple[str, ...]] = ("weight",)
    inputs: ClassVar[tuple[str, ...]] = ("weight",)
    rules: ClassVar[dict[str, str]] = {"y": "R = λ·Σ w²", "weight": "∂w = δ·2·λ·w"}

    def forward(self, weight: Numbers) -> Array:
        """Return strength · Σ w²."""
        return np.asarray(self.strength * (array("weight", weight) ** 2).sum())

    def message(self, delta: Numbers, weight: Numbers) -> Array:
        """Return 2 · strength · w, times the message."""
        found: Array = 2 * self.strength * array("weight", weight) * array("delta", delta, shape=())
        return found

    def _terms(self, of: str, at: Index, weight: Numbers, *, delta: Numbers) -> Iterator[Term]:
        weight = array("weight", weight)
        if of == "y":
            for place in np.ndindex(weight.shape):
                yield Term((number(self.strength, "λ"), entry("weight", weight, place), entry("weight", weight, place)))
        else:
            yield Term((entry("delta", delta, ()), number(2.0, "2"), number(self.strength, "λ"), entry("weight", weight, at)))
