"""Maxout: the largest of several linear pieces, so that the activation itself is learnt (Goodfellow et al. 2013)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.core.errors import ArgumentError
from striate.formulas.base import Array, Formula, Index, Numbers, Term, array, entry, number
from striate.formulas.registry import formula


@formula("maxout", help="The largest of each group of neighbouring channels", modules=("Maxout",))
@dataclass(frozen=True, kw_only=True)
class Maxout(Formula):
    """`x` N (K·pieces) … (or the pieces along another `axis`); channel k of y is the largest of x's channels from k·pieces to (k+1)·pieces − 1.

    Among equals the first wins.
    """

    pieces: int = 2
    axis: int = 1

    rules: ClassVar[dict[str, str]] = {
        "y": "y[n,k] = max_{0≤q<Q} x[n,kQ+q]",
        "x": "∂x[n,kQ+q] = δ[n,k]·[piece q has won]",
    }

    def forward(self, x: Numbers) -> Array:
        """Return the largest piece of each channel."""
        found: Array = self._pieces(x).max(axis=self._axis(x) + 1)
        return found

    def message(self, delta: Numbers, x: Numbers) -> Array:
        """Return δ at the piece that has won, 0 at the others."""
        pieces, axis = self._pieces(x), self._axis(x) + 1
        winner = pieces.argmax(axis=axis)
        delta = array("delta", delta, shape=winner.shape)
        sent = [delta * (winner == q) for q in range(self.pieces)]
        return np.stack(sent, axis=axis).reshape(np.shape(x))

    def _terms(self, of: str, at: Index, x: Numbers, *, delta: Numbers) -> Iterator[Term]:
        x, axis = array("x", x), self._axis(x)
        channel = at[axis]
        k = channel if of == "y" else channel // self.pieces
        places = [(*at[:axis], k * self.pieces + q, *at[axis + 1 :]) for q in range(self.pieces)]
        winner = places[int(np.argmax([x[place] for place in places]))]
        if of == "y":
            for place in places:
                yield Term((entry("x", x, place), number(place == winner, "switch")))
        else:
            yield Term((entry("delta", delta, (*at[:axis], k, *at[axis + 1 :])), number(at == winner, "switch")))

    def _axis(self, x: Numbers) -> int:
        rank = np.ndim(x)
        if not -rank <= self.axis < rank or self.pieces < 1 or np.shape(x)[self.axis] % self.pieces:
            raise ArgumentError(f"x: got shape {np.shape(x)}, expected a multiple of pieces={self.pieces} along axis {self.axis}")
        return self.axis % rank

    def _pieces(self, x: Numbers) -> Numbers:
        x, axis = array("x", x), self._axis(x)
        return x.reshape(*x.shape[:axis], -1, self.pieces, *x.shape[axis + 1 :])
