"""Multiplication by a constant as a box of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.layers import checks
from striate.layers.registry import layer


@layer("scale", help="Multiplication by a constant")
class Scale(nn.Module):
    """Multiply by a constant factor."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = checks.number("factor", factor)

    def forward(self, x: Tensor) -> Tensor:
        """Scale a tensor of any shape."""
        checks.values(self, x)
        return x * self.factor

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"factor={self.factor:g}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return Scale(0.25), (torch.randn(2, 3),)
