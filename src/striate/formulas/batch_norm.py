"""Batch normalisation, with the batch's own statistics in training and the running ones in use (Ioffe and Szegedy 2015; row O8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.core.errors import ArgumentError
from striate.formulas.base import Array, Formula, Index, Numbers, Term, array, entry, number, spell
from striate.formulas.registry import formula


@formula("batch_norm", help="Standardise every channel, then scale and shift it", modules=("BatchNorm1d", "BatchNorm2d"))
@dataclass(frozen=True, kw_only=True)
class BatchNorm(Formula):
    """`x` N C …; all others C: running_mean, running_var (used when not `training`), weight γ and bias β (1 and 0 when left out).

    In training mean and (biased) variance are taken over N and all places of a channel, and the message flows through them too.
    """

    training: bool = True
    eps: float = 1e-5
    momentum: float = 0.1

    arrays: ClassVar[tuple[str, ...]] = ("x", "running_mean", "running_var", "weight", "bias")
    parameters: ClassVar[tuple[str, ...]] = ("weight", "bias")
    rules: ClassVar[dict[str, str]] = {
        "y": "y = γ·x̂ + β, x̂ = (x − μ)/√(var + ε)",
        "weight": "∂γ[c] = Σ δ·x̂ over the channel",
        "bias": "∂β[c] = Σ δ over the channel",
        "x": "training: ∂x = γ/√(var + ε)·(δ − mean(δ) − x̂·mean(δ·x̂)); in use: ∂x = γ/√(var + ε)·δ",
    }

    def forward(self, x: Numbers, running_mean: Numbers = None, running_var: Numbers = None, weight: Numbers = None, bias: Numbers = None) -> Array:
        """Return γ·(x − μ)/√(var + ε) + β, channel by channel."""
        x, standardised, _ = self._standardised(x, running_mean, running_var)
        found: Array = self._spread(weight, "weight", x, 1.0) * standardised + self._spread(bias, "bias", x, 0.0)
        return found

    def parameter_gradient(
        self, delta: Numbers, x: Numbers, running_mean: Numbers = None, running_var: Numbers = None, weight: Numbers = None, bias: Numbers = None
    ) -> dict[str, Array]:
        """Return ∂γ = Σ δ·x̂ and ∂β = Σ δ over each channel, for those that were given."""
        x, standardised, _ = self._standardised(x, running_mean, running_var)
        delta = array("delta", delta, shape=x.shape)
        found = {}
        if weight is not None:
            found["weight"] = (delta * standardised).sum(axis=others(x))
        if bias is not None:
            found["bias"] = delta.sum(axis=others(x))
        return found

    def message(
        self, delta: Numbers, x: Numbers, running_mean: Numbers = None, running_var: Numbers = None, weight: Numbers = None, bias: Numbers = None
    ) -> Array:
        """Return γ/√(var + ε) · (δ − mean(δ) − x̂·mean(δ·x̂)) in training, γ/√(var + ε) · δ in use."""
        del bias
        x, standardised, inverse = self._standardised(x, running_mean, running_var)
        delta = array("delta", delta, shape=x.shape)
        if self.training:
            means = {"axis": others(x), "keepdims": True}
            delta = delta - delta.mean(**means) - standardised * (delta * standardised).mean(**means)
        found: Array = self._spread(weight, "weight", x, 1.0) * inverse * delta
        return found

    def statistics(self, x: Numbers) -> tuple[Array, Array]:
        """Return the batch's mean and biased variance of every channel."""
        x = self._checked(x)
        return x.mean(axis=others(x)), x.var(axis=others(x))

    def running(self, x: Numbers, running_mean: Numbers, running_var: Numbers) -> tuple[Array, Array]:
        """Return the running statistics after this batch, torch's way: (1 − momentum)·old + momentum·new, the new variance unbiased."""
        x = self._checked(x)
        mean, variance = self.statistics(x)
        count = x.size / x.shape[1]
        new: list[Array] = []
        for name, old, fresh in (("running_mean", running_mean, mean), ("running_var", running_var, variance * count / (count - 1))):
            new.append((1 - self.momentum) * array(name, old, shape=mean.shape) + self.momentum * fresh)
        return new[0], new[1]

    def _standardised(self, x: Numbers, running_mean: Numbers, running_var: Numbers) -> tuple[Numbers, Array, Array]:
        x = self._checked(x)
        if self.training:
            mean, variance = x.mean(axis=others(x), keepdims=True), x.var(axis=others(x), keepdims=True)
        else:
            if running_mean is None or running_var is None:
                raise ArgumentError("running_mean, running_var: got none, but outside training they are what is used; give both or training=True")
            mean, variance = self._spread(running_mean, "running_mean", x, 0.0), self._spread(running_var, "running_var", x, 1.0)
        inverse = 1 / np.sqrt(variance + self.eps)
        return x, (x - mean) * inverse, np.asarray(inverse)

    def _spread(self, values: Numbers, name: str, x: Array, default: float) -> Array:
        found = np.full(x.shape[1], default) if values is None else array(name, values, shape=(x.shape[1],))
        return found.reshape(1, -1, *(1,) * (x.ndim - 2))

    def _checked(self, x: Numbers) -> Array:
        x = array("x", x, rank=(2, 3, 4, 5))
        if self.training and x.size // x.shape[1] < 2:
            raise ArgumentError(f"x: got {x.shape}, one value a channel; training needs at least two, or their deviation is 0: take a larger batch")
        return np.asarray(x)

    def _remarks(self, of: str, at: Index, *arrays: Numbers) -> tuple[str, str]:
        if of != "y":
            return "", ""
        mean, variance = self.statistics(arrays[0]) if self.training else (np.asarray(arrays[1], float), np.asarray(arrays[2], float))
        source = "the batch" if self.training else "training, running"
        return f"μ = {spell(float(mean[at[1]]))}, var = {spell(float(variance[at[1]]))} of {source}; ε = {self.eps:g}", ""

    def _terms(
        self,
        of: str,
        at: Index,
        x: Numbers,
        running_mean: Numbers = None,
        running_var: Numbers = None,
        weight: Numbers = None,
        bias: Numbers = None,
        *,
        delta: Numbers,
    ) -> Iterator[Term]:
        x, standardised, inverse = self._standardised(x, running_mean, running_var)
        channel = at[0] if of in ("weight", "bias") else at[1]
        scale = (entry("weight", array("weight", weight), (channel,)),) if weight is not None else ()
        if of == "y":
            over = float(inverse[0, channel].item())
            apart = float(standardised[at]) / over
            mean = spell(float(x[at]) - apart)
            yield Term((*scale, number(apart, "x − μ", f"({spell(float(x[at]))} − {mean})"), number(over, "1/√(var + ε)", f"1/{spell(1 / over)}")))
            if bias is not None:
                yield Term((entry("bias", array("bias", bias), (channel,)),))
        elif of in ("weight", "bias"):
            for place in np.ndindex(x.shape):
                if place[1] == channel:
                    other = (number(standardised[place], "x̂"),) if of == "weight" else ()
                    yield Term((entry("delta", delta, place), *other))
        else:
            front = (*scale, number(inverse[0, channel].item(), "1/√(var + ε)", f"1/{spell(1 / float(inverse[0, channel].item()))}"))
            yield Term((*front, entry("delta", delta, at)))
            if self.training:
                here, hat = delta[:, channel], standardised[:, channel]
                yield Term((*front, number(-here.mean(), "−mean(δ)")))
                yield Term((*front, number(-standardised[at], "−x̂"), number((here * hat).mean(), "mean(δ·x̂)")))


def others(x: Array) -> Index:
    """Return all axes but the channels'."""
    return (0, *range(2, x.ndim))
