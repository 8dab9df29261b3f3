"""Losses: how wrong the scores are, as one number, and the message that starts the way back (row O7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from striate.core.errors import ArgumentError
from striate.formulas.base import Array, Formula, Index, Numbers, Term, array, entry, number, spell
from striate.formulas.registry import formula
from striate.formulas.softmax import LogSoftmax

Reduction = Literal["mean", "sum", "none"]


@dataclass(frozen=True, kw_only=True)
class ClassLoss(Formula):
    """A loss of scores against classes: `logits` N K, `target` N class numbers; one number a sample, then their mean, sum or neither."""

    reduction: Reduction = "mean"

    arrays: ClassVar[tuple[str, ...]] = ("logits", "target")
    inputs: ClassVar[tuple[str, ...]] = ("logits",)

    def forward(self, logits: Numbers, target: Numbers) -> Array:
        """Return the loss: a single number, or N of them with reduction "none"."""
        each = np.array([sum(term.value for term in self._sample(n, *self._checked(logits, target))) for n in range(len(logits))])
        return reduce(each, self.reduction)

    def message(self, delta: Numbers, logits: Numbers, target: Numbers) -> Array:
        """Return ∂logits, N K."""
        logits, shares = self._checked(logits, target)
        back = np.array([self._slopes(n, logits, shares) for n in range(len(logits))])
        found: Array = back * spread(delta, len(back), self.reduction)
        return found

    def _sample(self, n: int, logits: Array, shares: Array) -> Iterator[Term]:
        """Yield the terms whose sum is the loss of sample n."""
        raise NotImplementedError

    def _slopes(self, n: int, logits: Array, shares: Array) -> Array:
        """Return ∂(loss of sample n)/∂logits[n]."""
        raise NotImplementedError

    def _spelled_slope(self, n: int, k: int, logits: Array, shares: Array) -> str:
        """Spell the slope of one score."""
        raise NotImplementedError

    def _terms(self, of: str, at: Index, logits: Numbers, target: Numbers, *, delta: Numbers) -> Iterator[Term]:
        logits, shares = self._checked(logits, target)
        share = number(1 / len(logits), "1/N", f"1/{len(logits)}")
        outside = (share,) if self.reduction == "mean" and len(logits) > 1 else ()
        if of == "y":
            for n in at if self.reduction == "none" else range(len(logits)):
                for term in self._sample(n, logits, shares):
                    yield Term((*term.factors, *outside))
        else:
            n, k = at
            slope = number(self._slopes(n, logits, shares)[k], "slope", self._spelled_slope(n, k, logits, shares))
            yield Term((entry("delta", delta, (n,) if self.reduction == "none" else ()), slope, *outside))

    def _checked(self, logits: Numbers, target: Numbers) -> tuple[Array, Array]:
        logits = array("logits", logits, rank=2)
        return np.asarray(logits), one_hot(target, *logits.shape)


@formula("cross_entropy", help="Softmax cross-entropy: −log of the share of the true class", modules=("CrossEntropyLoss", "SoftmaxCrossEntropy"))
@dataclass(frozen=True, kw_only=True)
class CrossEntropy(ClassLoss):
    """L = −Σ_k q_k log p_k with p = softmax(logits). `target` holds N class numbers, or N K shares q of each class.

    With `smoothing` ε the wanted shares are (1 − ε)·q + ε/K.
    """

    smoothing: float = 0.0

    rules: ClassVar[dict[str, str]] = {
        "y": "L = −1/N Σ_n Σ_k q[n,k]·log p[n,k], p = softmax(logits)",
        "logits": "∂logits[n,k] = δ/N·(p[n,k]·Σ_j q[n,j] − q[n,k])",
    }

    def _sample(self, n: int, logits: Array, shares: Array) -> Iterator[Term]:
        logs = LogSoftmax().forward(logits)[n]
        for k, q in enumerate(shares[n]):
            if q:
                yield Term((number(q, "q"), number(-logs[k], "−log p", f"(−log {spell(float(np.exp(logs[k])))})")))

    def _slopes(self, n: int, logits: Array, shares: Array) -> Array:
        p = np.exp(LogSoftmax().forward(logits)[n])
        found: Array = p * shares[n].sum() - shares[n]
        return found

    def _spelled_slope(self, n: int, k: int, logits: Array, shares: Array) -> str:
        p = float(np.exp(LogSoftmax().forward(logits)[n, k]))
        whole = "" if np.isclose(shares[n].sum(), 1) else f"·{spell(shares[n].sum())}"
        return f"({spell(p)}{whole} − {spell(shares[n, k])})"

    def _checked(self, logits: Numbers, target: Numbers) -> tuple[Array, Array]:
        if not 0 <= self.smoothing < 1:
            raise ArgumentError(f"smoothing: got {self.smoothing}, expected a share from 0 up to 1")
        logits = array("logits", logits, rank=2)
        wanted: Array = one_hot(target, *logits.shape) if np.ndim(target) < 2 else array("target", target, shape=logits.shape)
        return np.asarray(logits), (1 - self.smoothing) * wanted + np.full(wanted.shape, self.smoothing / logits.shape[1])


@formula("hinge", help="Hinge loss: what every other class comes closer to the true one than the margin, summed", modules=("MultiClassHinge",))
@dataclass(frozen=True, kw_only=True)
class MultiClassHinge(ClassLoss):
    """L = Σ_{j≠y} max(0, s_j − s_y + margin), or of its square: summed over the classes (torch's `multi_margin_loss` divides by their number)."""

    margin: float = 1.0
    squared: bool = False

    rules: ClassVar[dict[str, str]] = {
        "y": "L = 1/N Σ_n Σ_{j≠y} max(0, s[n,j] − s[n,y] + margin), squared if asked",
        "logits": "∂s[n,j] = δ/N·[margin broken], ∂s[n,y] = −δ/N·Σ_{j≠y} [margin broken]; squared: 2·max(0, …) in place of [ ]",
    }

    def _sample(self, n: int, logits: Array, shares: Array) -> Iterator[Term]:
        y = int(shares[n].argmax())
        for j, score in enumerate(logits[n]):
            if j != y:
                short_of = max(0.0, float(score - logits[n, y] + self.margin))
                part = number(short_of, "max(0, s_j − s_y + margin)", f"max(0, {spell(score)} − {spell(logits[n, y])} + {spell(self.margin)})")
                yield Term((part, part) if self.squared else (part,))

    def _slopes(self, n: int, logits: Array, shares: Array) -> Array:
        y = int(shares[n].argmax())
        broken = logits[n] - logits[n, y] + self.margin
        slopes = np.where(broken > 0, 2 * broken if self.squared else 1.0, 0.0)
        slopes[y] = 0
        slopes[y] = -slopes.sum()
        return slopes

    def _spelled_slope(self, n: int, k: int, logits: Array, shares: Array) -> str:  # noqa: ARG002 - the number says it
        return ""


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


def one_hot(target: Numbers, samples: int, classes: int) -> Array:
    """Return N K with a one at each sample's class; raises `ArgumentError` for anything but N class numbers."""
    numbers = array("target", target, shape=(samples,))
    if not all(value == int(value) and 0 <= value < classes for value in numbers):
        raise ArgumentError(f"target: got {numbers.tolist()}, expected class numbers from 0 to {classes - 1}")
    rows: Array = np.eye(classes)[numbers.astype(int)]
    return rows


def reduce(each: Array, reduction: Reduction) -> Array:
    """Return the mean, the sum, or the values as they are."""
    return np.asarray(each.mean() if reduction == "mean" else each.sum() if reduction == "sum" else each)


def spread(delta: Numbers, samples: int, reduction: Reduction) -> Array:
    """Return the message of a reduced loss to each sample, N 1."""
    if reduction == "none":
        each: Array = array("delta", delta, shape=(samples,))[:, None]
        return each
    return np.full((samples, 1), array("delta", delta, shape=()) / (samples if reduction == "mean" else 1))
