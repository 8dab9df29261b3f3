"""The multi-class hinge loss (Weston and Watkins 1999), summed over the classes, and its square (row O7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.layers import checks
from striate.layers.losses.registry import REDUCTIONS, Reduction, loss, reduced


@loss("hinge", help="Σ over the other classes of max(0, s_j - s_y + margin), or of its square")
class MultiClassHinge(nn.Module):
    """Return Σ_{j≠y} max(0, s_j - s_y + `margin`), a sum over the wrong classes; with `squared` each is squared before the sum.

    `nn.MultiMarginLoss` divides the sum by the number of classes, this does not. Where the maximum's two sides are equal the gradient is 0.
    `reduction` is over the samples. The loss is float32 at least, whatever the scores.
    """

    def __init__(self, margin: float = 1.0, *, squared: bool = False, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.margin, self.squared = checks.number("margin", margin), squared
        self.reduction = checks.one_of("reduction", reduction, REDUCTIONS)

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """Turn scores N K (or N K …) and class numbers N (N …) into a number, or with `reduction="none"` into one a sample."""
        checks.classes(self, scores, target)
        wide = checks.wide(scores)
        own = target.long().unsqueeze(1)
        excess = F.relu(wide - wide.gather(1, own) + self.margin).scatter(1, own, 0.0)
        return reduced((excess.square() if self.squared else excess).sum(1), self.reduction)

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"margin={self.margin:g}, squared={self.squared}, reduction={self.reduction!r}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return MultiClassHinge(), (torch.randn(4, 5), torch.tensor([0, 4, 2, 2]))
