"""Exchange of two axes as a box of its own: word vectors N L D become channels N D L for a convolution over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.layers import checks
from striate.layers.registry import layer


@layer("transpose", help="Exchange of two axes, such as words' vectors into channels")
class Transpose(nn.Module):
    """Exchange axis `first` and axis `second`; the values stay where they lie in memory."""

    def __init__(self, first: int = 1, second: int = 2) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        """Turn N L D into N D L (with the axes 1 and 2). Raises `ArgumentError` for a tensor without these axes."""
        if not all(-x.dim() <= axis < x.dim() for axis in (self.first, self.second)):
            checks.refuse(self, "input", x, f"a tensor with the axes {self.first} and {self.second}")
        checks.values(self, x)
        return x.transpose(self.first, self.second)

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"{self.first}, {self.second}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return Transpose(1, 2), (torch.randn(2, 3, 4),)
