"""Batch normalisation that learns a shift and no scale: what follows can scale as it likes, so the scale is spared."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.layers import checks
from striate.layers.registry import layer


@layer("batch_shift", help="Batch normalisation with a learnt shift and no scale")
class BatchShift(nn.BatchNorm2d):
    """Normalise each channel over batch and place, then add a learnt shift; the scale is the constant 1.

    `momentum` is torch's: the share of the newest batch in the running statistics. Raises `ArgumentError` for channels that are no whole number.
    """

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(checks.count("channels", channels), eps=eps, momentum=momentum)
        scale = torch.ones_like(self.weight)
        del self.weight
        self.register_buffer("weight", scale, persistent=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name for it
        """Normalise and shift N C H W; the shape stays."""
        checks.maps(self, input, self.num_features, batch_only=True)
        return super().forward(input)


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return BatchShift(3), (torch.randn(4, 3, 5, 5),)
