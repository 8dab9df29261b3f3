"""A linear layer whose weight vectors may not grow past a length (Hinton et al. 2012, section 2; Kim 2014, section 2.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.layers import checks
from striate.layers.registry import layer


@layer("max_norm_linear", help="Linear layer that rescales each unit's weights to a largest length while it trains")
class MaxNormLinear(nn.Linear):
    """`nn.Linear`; before each training pass every row of weights longer than `most` is shortened to it, the bias is left alone.

    That is the papers' rescaling after each step of descent, done when the next begins. Raises `ArgumentError` for a length that is not positive.
    """

    def __init__(self, in_features: int, out_features: int, most: float = 3.0) -> None:
        super().__init__(in_features, out_features)
        self.most = checks.number("most", most, above=0)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name for it
        """Turn N … in_features into N … out_features."""
        checks.last(self, input, self.in_features)
        if self.training:
            with torch.no_grad():
                self.weight.renorm_(2, 0, self.most)
        return super().forward(input)

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"{super().extra_repr()}, most={self.most:g}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return MaxNormLinear(4, 3), (torch.randn(5, 4),)
