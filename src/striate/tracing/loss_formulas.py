"""The two losses that only a trace needs: the sum of the output, and −log of a share that softmax has made already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError
from striate.formulas import Formula, Term
from striate.formulas.base import Array, Index, entry, number


@dataclass(frozen=True, kw_only=True)
class Total(Formula):
    """The sum of all numbers: the loss where no target is given."""

    rules: ClassVar[dict[str, str]] = {"y": "L = Σ y", "x": "∂L/∂y = 1"}

    def forward(self, x: npt.ArrayLike) -> Array:
        """Return Σ x, a single number."""
        return np.asarray(np.sum(np.asarray(x, dtype=np.float64)))

    def message(self, delta: npt.ArrayLike, x: npt.ArrayLike) -> Array:
        """Return the message, the same for every number."""
        return np.full(np.shape(x), float(np.asarray(delta)))

    def _terms(self, of: str, at: Index, x: npt.ArrayLike, *, delta: Array | None) -> Iterator[Term]:  # noqa: ARG002 - the interface's
        if of == "y":
            values = np.asarray(x, dtype=np.float64)
            for place in np.ndindex(values.shape):
                yield Term((entry("x", values, place),))
        elif delta is not None:
            yield Term((entry("delta", delta, ()),))


@dataclass(frozen=True, kw_only=True)
class LogLoss(Formula):
    """−log p of the target's share, the mean over the samples: `shares` N K that sum to 1, `target` N class numbers."""

    arrays: ClassVar[tuple[str, ...]] = ("shares", "target")
    inputs: ClassVar[tuple[str, ...]] = ("shares",)
    rules: ClassVar[dict[str, str]] = {"y": "L = −1/N Σ_n log p[n,t(n)]", "shares": "∂p[n,k] = −δ/(N·p[n,k]) for k = t(n), else 0"}

    def forward(self, shares: npt.ArrayLike, target: npt.ArrayLike) -> Array:
        """Return the mean of −log p[n, t(n)]."""
        shares, right = self._checked(shares, target)
        return np.asarray(-np.log(shares[right]).mean())

    def message(self, delta: npt.ArrayLike, shares: npt.ArrayLike, target: npt.ArrayLike) -> Array:
        """Return −δ/(N·p) at the targets, 0 elsewhere."""
        shares, right = self._checked(shares, target)
        return np.where(right, -float(np.asarray(delta)) / (len(shares) * shares), 0.0)

    def _terms(self, of: str, at: Index, shares: npt.ArrayLike, target: npt.ArrayLike, *, delta: Array | None) -> Iterator[Term]:
        shares, right = self._checked(shares, target)
        share = number(1 / len(shares), "1/N", f"1/{len(shares)}")
        if of == "y":
            for place in np.argwhere(right):
                p = float(shares[tuple(place)])
                yield Term((number(-np.log(p), "−log p", f"−log {p:.5g}"), share))
        elif delta is not None:
            slope = -1 / shares[at] if right[at] else 0.0
            yield Term((entry("delta", delta, ()), number(slope, "−1/p", f"−1/{shares[at]:.5g}" if right[at] else "not the target"), share))

    def _checked(self, shares: npt.ArrayLike, target: npt.ArrayLike) -> tuple[Array, npt.NDArray[np.bool_]]:
        found = np.asarray(shares, dtype=np.float64)
        right = np.arange(found.shape[1]) == np.asarray(target, dtype=np.int64)[:, None]
        if not (found[right] > 0).all():
            least = float(found[right].min())
            why = "; the network is too sure of another class" if least == 0 else ""
            raise ArgumentError(f"shares: the target's share is {least:g}, whose logarithm is no number{why}")
        return found, right
