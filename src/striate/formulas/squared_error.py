"""Squared error, over samples or over all numbers (row O7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.formulas.base import Array, Formula, Index, Numbers, Term, array, entry, number, spell
from striate.formulas.losses import Reduction
from striate.formulas.registry import formula


@dataclass(frozen=True, kw_only=True)
class SquaredDifference(Formula):
    """`x` and `target` of one shape: (x − target)² of every number, then reduced."""

    reduction: Reduction = "mean"

    arrays: ClassVar[tuple[str, ...]] = ("x", "target")

    @property
    def scale(self) -> float:
        """What every square is multiplied by before the mean."""
        return 1.0

    def over(self, x: Array) -> int:
        """Return by how many the mean divides."""
        raise NotImplementedError

    def kept(self, x: Array) -> Index:
        """Return the shape of the losses before they are reduced."""
        raise NotImplementedError

    def forward(self, x: Numbers, target: Numbers) -> Array:
        """Return the loss: a single number, or one a part with reduction "none"."""
        x = array("x", x)
        each = self.scale * (x - array("target", target, shape=x.shape)) ** 2
        if self.reduction == "none":
            return np.asarray(each.reshape(*self.kept(x), -1).sum(axis=-1))
        return np.asarray(each.sum() / (self.over(x) if self.reduction == "mean" else 1))

    def message(self, delta: Numbers, x: Numbers, target: Numbers) -> Array:
        """Return 2 · scale · (x − target), divided by their number under a mean."""
        x = array("x", x)
        own = self.kept(x) if self.reduction == "none" else ()
        delta = array("delta", delta, shape=own).reshape(*own, *(1,) * (x.ndim - len(own)))
        found: Array = 2 * self.scale * (x - array("target", target, shape=x.shape)) * delta / (self.over(x) if self.reduction == "mean" else 1)
        return found

    def _terms(self, of: str, at: Index, x: Numbers, target: Numbers, *, delta: Numbers) -> Iterator[Term]:
        x, target = array("x", x), array("target", target)
        outside = [number(self.scale, "factor")] if self.scale != 1 else []
        if self.reduction == "mean":
            outside.append(number(1 / self.over(x), "1/n", f"1/{self.over(x)}"))
        for place in np.ndindex(x.shape) if of == "y" else [at]:
            apart = number(x[place] - target[place], "x − t", f"({spell(x[place])} − {spell(target[place])})")
            own = place[: len(self.kept(x))] if self.reduction == "none" else ()
            if of != "y":
                yield Term((entry("delta", delta, own), number(2.0, "2"), apart, *outside))
            elif own == at:
                yield Term((apart, apart, *outside))


@formula("squared_error", help="Squared error: the squared distance of a sample from its target", modules=("SquaredError",))
@dataclass(frozen=True, kw_only=True)
class SquaredError(SquaredDifference):
    """L = factor · Σ (x − t)² over a sample's numbers; the reduction is over the samples. With factor ½ the message is x − t."""

    factor: float = 1.0

    rules: ClassVar[dict[str, str]] = {"y": "L = 1/N Σ_n factor·Σ (x[n] − t[n])²", "x": "∂x = δ·2·factor·(x − t)/N"}

    @property
    def scale(self) -> float:
        """The factor."""
        return self.factor

    def over(self, x: Array) -> int:
        """Return the number of samples."""
        return len(x)

    def kept(self, x: Array) -> Index:
        """Return one loss a sample."""
        return x.shape[:1]


@formula("mse_loss", help="Mean squared error: the mean of squared differences over samples and their numbers, torch's way", modules=("MSELoss",))
@dataclass(frozen=True, kw_only=True)
class MeanSquaredError(SquaredDifference):
    """L = mean of (x − t)² over all numbers: `squared_error` divided by how many numbers a sample has."""

    rules: ClassVar[dict[str, str]] = {"y": "L = mean (x − t)²", "x": "∂x = δ·2·(x − t)/n"}

    def over(self, x: Array) -> int:
        """Return the number of numbers."""
        return x.size

    def kept(self, x: Array) -> Index:
        """Return one loss a number."""
        return x.shape
