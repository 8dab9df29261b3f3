"""Concatenation as a box of its own, so that a hook sees what a join of branches gets and gives."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.layers import checks
from striate.layers.registry import layer


@layer("concat", help="Branches side by side along the channels, the join of inception and dense blocks")
class Concat(nn.Module):
    """Concatenate tensors along `dim` (the channels unless told)."""

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *branches: Tensor) -> Tensor:
        """Join N C_i H W into N ΣC_i H W; raises `ArgumentError` where anything but axis `dim` differs."""
        if not branches:
            raise ArgumentError("Concat: branches: got none, expected at least one tensor")
        first = branches[0]
        for number, other in enumerate(branches):
            if not -first.dim() <= self.dim < first.dim() or self._others(other.shape) != self._others(first.shape):
                checks.refuse(self, f"branch {number}", other, f"{checks.spell(first.shape)} as branch 0, but for axis {self.dim}")
            checks.values(self, other, name=f"branch {number}")
        return torch.cat(branches, self.dim)

    def _others(self, shape: Sequence[int]) -> list[int]:
        return [size for axis, size in enumerate(shape) if axis != self.dim % len(shape)]

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"dim={self.dim}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return Concat(), (torch.randn(2, 3, 4, 5), torch.randn(2, 1, 4, 5))
