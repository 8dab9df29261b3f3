"""Locally connected layer of one axis: every window of a sequence has weights of its own (row O2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.layers import checks
from striate.layers.locally_connected import LocallyConnected
from striate.layers.registry import layer


@layer("locally_connected_1d", help="Convolution's windows with own weights at every place, for sequences")
class LocallyConnected1d(LocallyConnected):
    """Apply to every window of a sequence filters of its own.

    `input_size` is the length L. Seven inputs to three nodes with windows of 3 and stride 2: 9 weights, where a dense layer has 21 and a
    convolution, which shares them, 3. Options as in `nn.Conv1d`. `weight` is OL K C k, `bias` OL K.
    Raises `ArgumentError` for a kernel larger than the padded input.
    """

    axes = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: int,
        kernel_size: int,
        stride: int = 1,
        padding: int | str = 0,
        dilation: int = 1,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, input_size, kernel_size, stride, padding, dilation, bias)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name for it
        """Turn N C L into N K OL (C L into K OL)."""
        checks.maps(self, input, self.in_channels, places=1)
        return self._forward(input)


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return LocallyConnected1d(2, 3, 7, 3, stride=2, padding=1), (torch.randn(2, 2, 7),)
