"""The fully connected layer: every output is a weighted sum of all inputs, plus a bias (row O1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.core.errors import ArgumentError
from striate.formulas.base import Array, Formula, Index, Numbers, Term, array, entry
from striate.formulas.registry import formula


@formula("linear", help="Fully connected layer: y = x·Wᵀ + b", modules=("Linear",))
@dataclass(frozen=True, kw_only=True)
class Linear(Formula):
    """`x` N F (or with more axes before F), `weight` K F, `bias` K; the output is N K."""

    arrays: ClassVar[tuple[str, ...]] = ("x", "weight", "bias")
    parameters: ClassVar[tuple[str, ...]] = ("weight", "bias")
    rules: ClassVar[dict[str, str]] = {
        "y": "y[n,k] = Σ_f x[n,f]·w[k,f] + b[k]",
        "weight": "∂w[k,f] = Σ_n δ[n,k]·x[n,f]",
        "bias": "∂b[k] = Σ_n δ[n,k]",
        "x": "∂x[n,f] = Σ_k δ[n,k]·w[k,f]",
    }

    def forward(self, x: Numbers, weight: Numbers, bias: Numbers = None) -> Array:
        """Return y[n, k] = Σ_f x[n, f] · w[k, f] + b[k]."""
        x, weight = self._checked(x, weight)
        y: Array = x @ weight.T
        return y if bias is None else y + array("bias", bias, shape=(len(weight),))

    def parameter_gradient(self, delta: Numbers, x: Numbers, weight: Numbers, bias: Numbers = None) -> dict[str, Array]:
        """Return ∂w[k, f] = Σ_n δ[n, k] · x[n, f] and ∂b[k] = Σ_n δ[n, k]."""
        x, weight = self._checked(x, weight)
        delta = array("delta", delta, shape=(*x.shape[:-1], len(weight))).reshape(-1, len(weight))
        found = {"weight": delta.T @ x.reshape(-1, x.shape[-1])}
        return found if bias is None else found | {"bias": delta.sum(axis=0)}

    def message(self, delta: Numbers, x: Numbers, weight: Numbers, bias: Numbers = None) -> Array:  # noqa: ARG002
        """Return ∂x[n, f] = Σ_k δ[n, k] · w[k, f]."""
        x, weight = self._checked(x, weight)
        back: Array = array("delta", delta, shape=(*x.shape[:-1], len(weight))) @ weight
        return back

    def parameter_shapes(self, inputs: int, outputs: int) -> dict[str, Index]:
        """Return the shapes of weight and bias."""
        return {"weight": (outputs, inputs), "bias": (outputs,)}

    def _terms(self, of: str, at: Index, x: Numbers, weight: Numbers, bias: Numbers = None, *, delta: Numbers) -> Iterator[Term]:
        x, weight = self._checked(x, weight)
        *n, last = at
        if of == "y":
            for f in range(x.shape[-1]):
                yield Term((entry("x", x, (*n, f)), entry("weight", weight, (last, f))))
            if bias is not None:
                yield Term((entry("bias", array("bias", bias), (last,)),))
        elif of == "weight":
            for sample in np.ndindex(x.shape[:-1]):
                yield Term((entry("delta", delta, (*sample, *n)), entry("x", x, (*sample, last))))
        elif of == "bias":
            for sample in np.ndindex(x.shape[:-1]):
                yield Term((entry("delta", delta, (*sample, last)),))
        else:
            for k in range(len(weight)):
                yield Term((entry("delta", delta, (*n, k)), entry("weight", weight, (k, last))))

    def _checked(self, x: Numbers, weight: Numbers) -> tuple[Numbers, Numbers]:
        x, weight = array("x", x), array("weight", weight, rank=2)
        if not x.ndim or x.shape[-1] != weight.shape[1]:
            raise ArgumentError(
                f"x: got shape {x.shape}, expected {weight.shape[1]} features on its last axis, as weight {weight.shape} has; flatten first?"
            )
        return x, weight
