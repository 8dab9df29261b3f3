"""PReLU: a leaky ReLU whose slope below 0 is learnt, one for all channels or one a channel (He et al. 2015)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.core.errors import ArgumentError
from striate.formulas.base import Array, Formula, Index, Numbers, Term, array, entry, number
from striate.formulas.registry import formula


@formula("prelu", help="x above 0, a·x below, with a learnt slope a", modules=("PReLU",))
@dataclass(frozen=True, kw_only=True)
class PReLU(Formula):
    """`x` N C …, `weight` 1 or C slopes."""

    arrays: ClassVar[tuple[str, ...]] = ("x", "weight")
    parameters: ClassVar[tuple[str, ...]] = ("weight",)
    rules: ClassVar[dict[str, str]] = {
        "y": "y = x if x > 0 else a·x",
        "weight": "∂a = Σ over the entries with x ≤ 0 of δ·x",
        "x": "∂x = δ·(1 if x > 0 else a)",
    }

    def forward(self, x: Numbers, weight: Numbers) -> Array:
        """Return x above 0, a·x below."""
        x, slopes = self._checked(x, weight)
        found: Array = x * slopes
        return found

    def parameter_gradient(self, delta: Numbers, x: Numbers, weight: Numbers) -> dict[str, Array]:
        """Return ∂a = Σ over x ≤ 0 of δ·x, of all entries or channel by channel."""
        x, _ = self._checked(x, weight)
        products = array("delta", delta, shape=x.shape) * np.where(x > 0, 0.0, x)
        one = np.size(weight) == 1
        found = products.sum() if one else products.sum(axis=(0, *range(2, x.ndim)))
        return {"weight": np.reshape(found, np.shape(weight))}

    def message(self, delta: Numbers, x: Numbers, weight: Numbers) -> Array:
        """Return δ above 0, a·δ below."""
        x, slopes = self._checked(x, weight)
        found: Array = array("delta", delta, shape=x.shape) * slopes
        return found

    def _terms(self, of: str, at: Index, x: Numbers, weight: Numbers, *, delta: Numbers) -> Iterator[Term]:
        x, _ = self._checked(x, weight)
        weight = array("weight", weight)
        if of == "weight":
            for place in np.ndindex(x.shape):
                if x[place] <= 0 and (weight.size == 1 or place[1] == at[0]):
                    yield Term((entry("delta", delta, place), entry("x", x, place)))
        else:
            channel = 0 if weight.size == 1 else at[1]
            gate = number(1.0, "f′(x)") if x[at] > 0 else entry("weight", weight, (channel,))
            yield Term((entry("x", x, at) if of == "y" else entry("delta", delta, at), gate))

    def _checked(self, x: Numbers, weight: Numbers) -> tuple[Numbers, Array]:
        x, weight = array("x", x), array("weight", weight, rank=1)
        if weight.size != 1 and (x.ndim < 2 or weight.size != x.shape[1]):
            raise ArgumentError(f"weight: got {weight.size} slopes, expected 1, or one for each channel of x {x.shape}")
        spread = weight.reshape(1, -1, *(1,) * (x.ndim - 2)) if weight.size > 1 else weight[0]
        return x, np.where(x > 0, 1.0, spread)
