"""Squared error: the squared distance between a sample's output and its target (row O7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.layers import checks
from striate.layers.losses.registry import REDUCTIONS, Reduction, loss, reduced


@loss("squared_error", help="Squared distance of output and target, summed over a sample's numbers")
class SquaredError(nn.Module):
    """Return `factor` · Σ (y - t)², summed over all numbers of a sample; `reduction` is over the samples.

    With `factor=0.5` the message to y is y - t. `nn.MSELoss` means over the numbers too: it is this divided by how many a sample has.
    The loss is float32 at least, whatever the output.
    """

    def __init__(self, *, factor: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.factor = checks.number("factor", factor)
        self.reduction = checks.one_of("reduction", reduction, REDUCTIONS)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Turn two tensors N … of one shape into a number, or with `reduction="none"` into one a sample."""
        checks.same(self, output, target, names=("output", "target"))
        each = (checks.wide(output) - checks.wide(target)).square()
        return reduced(self.factor * (each.flatten(1).sum(1) if each.dim() > 1 else each), self.reduction)

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"factor={self.factor:g}, reduction={self.reduction!r}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return SquaredError(factor=0.5), (torch.randn(3, 2, 2), torch.randn(3, 2, 2))
