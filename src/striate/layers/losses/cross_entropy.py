"""Softmax cross-entropy, with targets that may be smoothed (Szegedy et al. 2016, section 7; row O7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.core.errors import ArgumentError
from striate.layers import checks
from striate.layers.losses.registry import REDUCTIONS, Reduction, loss, reduced


@loss("softmax_cross_entropy", help="-Σ q_j log softmax(s)_j, with q the class's one-hot vector or shares, smoothed if asked")
class SoftmaxCrossEntropy(nn.Module):
    """Return -Σ_j q_j log softmax(s)_j with q = (1 - `smoothing`) · target + `smoothing` / K; it takes scores (logits), never probabilities.

    Its message to the scores is softmax(s) - q. `reduction` is over the samples. The loss is float32 at least, whatever the scores, and is
    computed from the largest score down, so that no exponential overflows.
    """

    def __init__(self, smoothing: float = 0.0, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        if not 0 <= checks.number("smoothing", smoothing) < 1:
            raise ArgumentError(f"smoothing: got {smoothing!r}, expected a share from 0 up to but not including 1")
        self.smoothing = smoothing
        self.reduction = checks.one_of("reduction", reduction, REDUCTIONS)

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        """Turn scores N K (or N K …) and class numbers N (N …) or shares shaped like the scores into a number, or into one a sample."""
        if target.is_floating_point():
            checks.same(self, scores, target, names=("scores", "target"))
            target = checks.wide(target)
        else:
            checks.classes(self, scores, target)
            target = target.long()
        each = F.cross_entropy(checks.wide(scores), target, reduction="none", label_smoothing=self.smoothing)
        return reduced(each, self.reduction)

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"smoothing={self.smoothing:g}, reduction={self.reduction!r}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return SoftmaxCrossEntropy(0.1), (torch.randn(4, 5), torch.tensor([0, 4, 2, 2]))
