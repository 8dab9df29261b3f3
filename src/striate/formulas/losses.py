"""Losses of scores against classes: how wrong they are, as one number, and the message that starts the way back (row O7)."""

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
        logits, shares = self._checked(logits, target)
        each = np.array([sum(term.value for term in self._sample(n, logits, shares)) for n in range(len(logits))])
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
        logs = LogSoftmax().forward(logits[n : n + 1])[0]
        for k, q in enumerate(shares[n]):
            if q:
                yield Term((number(q, "q"), number(-logs[k], "−log p", f"(−log {spell(float(np.exp(logs[k])))})")))

    def _slopes(self, n: int, logits: Array, shares: Array) -> Array:
        p = np.exp(LogSoftmax().forward(logits[n : n + 1])[0])
        found: Array = p * shares[n].sum() - shares[n]
        return found

    def _spelled_slope(self, n: int, k: int, logits: Array, shares: Array) -> str:
        p = float(np.exp(LogSoftmax().forward(logits[n : n + 1])[0, k]))
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
