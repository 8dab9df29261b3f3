"""Concatenation as a box of its own, so that a hook sees what a join of branches gets and gives."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.layers.registry import layer


@layer("concat", help="Branches side by side along the channels, the join of inception and dense blocks")
class Concat(nn.Module):
    """Concatenate tensors along `dim` (the channels unless told)."""

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *branches: Tensor) -> Tensor:
        """Join N C_i H W into N ΣC_i H W."""
        return torch.cat(branches, self.dim)

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"dim={self.dim}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return Concat(), (torch.randn(2, 3, 4, 5), torch.randn(2, 1, 4, 5))
