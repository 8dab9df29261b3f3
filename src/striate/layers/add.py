"""Addition as a box of its own, so that a hook sees what a residual sum gets and gives."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.layers import checks
from striate.layers.registry import layer


@layer("add", help="Sum of two tensors of one shape, the join of a residual block")
class Add(nn.Module):
    """Return the sum of two tensors of one shape."""

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Add; both are N C H W (or any one shape). Raises `ArgumentError` for two shapes: nothing is broadcast."""
        checks.same(self, x, other, names=("x", "other"))
        return torch.add(x, other)


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return Add(), (torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5))
