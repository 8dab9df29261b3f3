"""A linear layer whose weight vectors may not grow past a length (Hinton et al. 2012, section 2; Kim 2014, section 2.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.layers import checks
from striate.layers.registry import layer

ROUNDING = 1e-5
"""Lengths this close to the largest, relatively, are equal to it up to rounding; in half precision, up to that precision's own."""


@layer("max_norm_linear", help="Linear layer that rescales each unit's weights to a largest length while it trains")
class MaxNormLinear(nn.Linear):
    """`nn.Linear`; before each training pass every row of weights longer than `most` is shortened to it, the bias is left alone.

    That is the papers' rescaling after each step of descent, done when the next begins; a frozen weight stays as it is. The weight is written only
    where a row is too long, so several training passes may come before one backward pass: the first shortens, all see the same rows up to rounding,
    and the gradient is the sum of theirs. Where rows grew after a pass whose gradient is still to come (one in evaluation, say), torch says in its
    backward pass that the weight has changed. Compiled, the weight is written in every training pass.

    Raises `ArgumentError` for a length that is not positive, and for features that are no whole numbers.
    """

    def __init__(self, in_features: int, out_features: int, most: float = 3.0) -> None:
        super().__init__(checks.count("in_features", in_features), checks.count("out_features", out_features))
        self.most = checks.number("most", most, above=0)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name for it
        """Turn N … in_features into N … out_features."""
        checks.last(self, input, self.in_features)
        if self.training and self.weight.requires_grad and self.weight.numel():
            self._shorten()
        return super().forward(input)

    @torch.no_grad()
    def _shorten(self) -> None:
        weight = self.weight
        if checks.has_values(weight):
            longest = float(torch.linalg.vector_norm(checks.wide(weight), dim=1).max())
            slack = max(ROUNDING, torch.finfo(weight.dtype).eps)
            if longest <= self.most * (1 - slack):
                return
            if longest <= self.most * (1 + slack):
                weight = weight.data  # a row just shortened may be too long by rounding: no change that a pass before has to hear of
        weight.renorm_(2, 0, self.most)

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"{super().extra_repr()}, most={self.most:g}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return MaxNormLinear(4, 3), (torch.randn(5, 4),)
