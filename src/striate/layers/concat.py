"""Concatenation as a box of its own, so that a hook sees what a join of branches gets and gives."""

from __future__ import annotations

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
        first = branches[0].shape
        axis = self.dim + len(first) if self.dim < 0 else self.dim
        before, after = first[:axis], first[axis + 1 :]
        for number, other in enumerate(branches):  # a dense network has hundreds of branches: little is done for each
            shape = other.shape
            if not 0 <= axis < len(first) or len(shape) != len(first) or shape[:axis] != before or shape[axis + 1 :] != after:
                checks.refuse(self, f"branch {number}", other, f"{checks.spell(first)} as branch 0, but for axis {self.dim}")
        if checks.looking():
            for number, other in enumerate(branches):
                checks.finite(self, other, name=f"branch {number}")
        return torch.cat(branches, self.dim)

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"dim={self.dim}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return Concat(), (torch.randn(2, 3, 4, 5), torch.randn(2, 1, 4, 5))
