"""Multiplication by a constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from striate.formulas.base import Array
from striate.formulas.elementwise import Gate
from striate.formulas.registry import formula


@formula("scale", help="Multiplication by a constant", modules=("Scale",))
@dataclass(frozen=True, kw_only=True)
class Scale(Gate):
    """y = factor·x."""

    factor: float = 1.0

    rules: ClassVar[dict[str, str]] = {"y": "y = factor·x", "x": "∂x = factor·δ"}

    def derivative(self, x: Array) -> Array:
        """Return the factor everywhere."""
        return np.full(x.shape, self.factor)
