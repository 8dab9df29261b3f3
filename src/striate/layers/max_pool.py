"""Max pooling that stays fast in bf16 on a CPU, whatever the number of channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.layers.registry import layer

VECTOR = 8
"""Channels that torch's bf16 pooling takes at once; a rest is done one by one, several times slower than in float32."""


@layer("max_pool", help="torch's max pooling; few channels in bf16 are pooled in float32, with the same values")
class MaxPool2d(nn.MaxPool2d):
    """`nn.MaxPool2d`; on the CPU, bf16 pictures whose channels are no multiple of 8 go through float32.

    Every bf16 value is a float32 value, so the result is the same, and the 6 maps of LeNet-5 take half the time.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name for it
        """Return the largest value of each window, ties to the first in row-major order."""
        if input.dtype == torch.bfloat16 and input.device.type == "cpu" and input.shape[-3] % VECTOR:
            wide: Tensor = super().forward(input.float())
            return wide.to(torch.bfloat16)
        largest: Tensor = super().forward(input)
        return largest


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return MaxPool2d(2), (torch.linspace(-4, 4, 96).reshape(2, 3, 4, 4).sin(),)
