"""Dropout with a given mask: in training some entries are set to 0; in use all are kept, scaled to the same expected value (row O8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.core.errors import ArgumentError
from striate.formulas.base import Array, Factor, Formula, Index, Numbers, Term, array, entry, number, spell
from striate.formulas.registry import formula


@formula("dropout", help="Set entries to 0 by a given mask and keep the expected value", modules=("Dropout", "Dropout1d", "Dropout2d"))
@dataclass(frozen=True, kw_only=True)
class Dropout(Formula):
    """`x` of any shape, `mask` of 0 and 1 in its shape (1 keeps); `p` is the probability to drop.

    Inverted (torch): training divides what is kept by 1 − p, use changes nothing. Not inverted (2012): training only drops, use multiplies by
    the probability to keep, 1 − p.
    """

    p: float = 0.5
    training: bool = True
    inverted: bool = True

    arrays: ClassVar[tuple[str, ...]] = ("x", "mask")
    rules: ClassVar[dict[str, str]] = {"y": "training: y = x·mask/(1 − p); in use: y = x", "x": "training: ∂x = δ·mask/(1 − p); in use: ∂x = δ"}

    def forward(self, x: Numbers, mask: Numbers = None) -> Array:
        """Return what is kept, scaled."""
        found: Array = array("x", x) * self._mask(x, mask) * self.scale
        return found

    def message(self, delta: Numbers, x: Numbers, mask: Numbers = None) -> Array:
        """Return the message where the mask keeps, scaled alike."""
        found: Array = array("delta", delta, shape=np.shape(x)) * self._mask(x, mask) * self.scale
        return found

    @property
    def scale(self) -> float:
        """What kept entries are multiplied by."""
        if not 0 <= self.p < 1:
            raise ArgumentError(f"p: got {self.p}, expected the probability to drop, from 0 up to 1")
        if self.training:
            return 1 / (1 - self.p) if self.inverted else 1.0
        return 1.0 if self.inverted else 1 - self.p

    def _mask(self, x: Numbers, mask: Numbers) -> Array:
        if not self.training:
            return np.ones(np.shape(x))
        if mask is None:
            raise ArgumentError("mask: got none; give zeros and ones in the shape of x (formulas draw nothing at random)")
        found = array("mask", mask, shape=np.shape(x))
        if not np.isin(found, (0, 1)).all():
            raise ArgumentError("mask: got numbers other than 0 and 1; 1 keeps, 0 drops, and the scale is the formula's own")
        return np.asarray(found)

    def _terms(self, of: str, at: Index, x: Numbers, mask: Numbers = None, *, delta: Numbers) -> Iterator[Term]:
        factors: list[Factor] = [entry("x", array("x", x), at) if of == "y" else entry("delta", delta, at)]
        if self.training:
            factors.append(entry("mask", self._mask(x, mask), at))
        if self.scale != 1:
            factors.append(number(self.scale, "1/(1 − p)", f"1/{spell(1 - self.p)}") if self.training else number(self.scale, "1 − p"))
        yield Term(tuple(factors))

    def _remarks(self, of: str, at: Index, *arrays: Numbers) -> tuple[str, str]:  # noqa: ARG002 - the same for every number
        return ("" if self.training else f"in use; every entry counts {'fully' if self.inverted else 'by the probability to keep it'}"), ""
