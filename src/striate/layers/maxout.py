"""Maxout: the largest of k linear functions (Goodfellow et al. 2013). The linear functions are the layer before it (row O6)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.layers import checks
from striate.layers.registry import layer


@layer("maxout", help="The largest of each run of k channels: max(w₁ᵀx + b₁, w₂ᵀx + b₂) after a linear layer or convolution")
class Maxout(nn.Module):
    """Return the largest of each `pieces` consecutive channels (or features) along `dim`.

    `nn.Sequential(nn.Linear(d, 2 * h), Maxout(2))` is max(w₁ᵀx + b₁, w₂ᵀx + b₂) for h units. It never saturates and never dies, and has
    `pieces` times the parameters. ReLU is the case where one piece is constantly 0, leaky ReLU (the course's slope is 0.1, torch's 0.01) the case
    where one piece is the other times the slope. Among equal pieces the first wins and gets the whole gradient.
    """

    def __init__(self, pieces: int = 2, dim: int = 1) -> None:
        super().__init__()
        self.pieces = checks.count("pieces", pieces)
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Turn N k·C … into N C …; raises `ArgumentError` when `pieces` does not divide the channels."""
        if not -x.dim() <= self.dim < x.dim() or x.size(self.dim) % self.pieces:
            raise ArgumentError(
                f"Maxout: input: got shape {checks.spell(x.shape)}, expected a multiple of {self.pieces} (pieces) along axis {self.dim}"
            )
        checks.values(self, x)
        dim = self.dim % x.dim()
        pieces = torch.unflatten(x, dim, (-1, self.pieces))
        if not (torch.is_grad_enabled() and x.requires_grad):
            return pieces.amax(dim + 1)  # several times sooner, but its gradient would be shared among equal pieces
        largest: Tensor = pieces.max(dim + 1).values
        return largest

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"pieces={self.pieces}, dim={self.dim}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return Maxout(3), (torch.randn(2, 6, 4, 3),)
