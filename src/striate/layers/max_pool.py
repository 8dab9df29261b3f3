"""Max pooling that hands out its switches, and stays fast in bf16 on a CPU, whatever the number of channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.layers import checks
from striate.layers.registry import layer

VECTOR = 8
"""Channels that torch's bf16 pooling takes at once; a rest is done one by one, several times slower than in float32."""


@layer("max_pool", help="Max pooling, on request with its switches; few channels in bf16 are pooled in float32, with the same values")
class MaxPool2d(nn.MaxPool2d):
    """`nn.MaxPool2d`; with `return_indices=True` it returns (largest, switches), and `MaxUnpool2d` takes both.

    A switch is the place of a window's largest value, row · W + column in its map of the input, int64. Of equal values the first in row-major
    order wins, and gets the whole gradient.

    On the CPU, bf16 pictures whose channels are no multiple of 8 go through float32. Every bf16 value is a float32 value, so the result is the
    same, and the 6 maps of LeNet-5 take half the time.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        return_indices: bool = False,  # noqa: FBT002 - torch's own signature
        ceil_mode: bool = False,  # noqa: FBT002
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, return_indices, ceil_mode)
        self._kernel, self._padding = checks.pair("kernel_size", kernel_size), checks.pair("padding", padding, least=0)
        self._dilation = checks.pair("dilation", dilation)
        steps = checks.pair("stride", kernel_size if stride is None else stride)
        self._spare = tuple(step - 1 if ceil_mode else 0 for step in steps)
        if any(2 * pad > size for pad, size in zip(self._padding, self._kernel, strict=True)):
            raise ArgumentError(f"padding: got {padding}, expected at most half of kernel_size {kernel_size}: a window must see the input")

    def forward(self, input: Tensor) -> Tensor | tuple[Tensor, Tensor]:  # noqa: A002 - torch's own name for it
        """Turn N C H W (or C H W) into N C OH OW, the largest value of each window; with `return_indices` also the switches."""
        checks.maps(self, input)
        checks.windows(self, input, self._kernel, self._padding, self._dilation, spare=self._spare)
        if input.dtype == torch.bfloat16 and input.device.type == "cpu" and input.shape[-3] % VECTOR:
            if self.return_indices:
                wide, switches = super().forward(input.float())
                return wide.to(torch.bfloat16), switches
            largest: Tensor = super().forward(input.float())
            return largest.to(torch.bfloat16)
        made: Tensor | tuple[Tensor, Tensor] = super().forward(input)
        return made


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return MaxPool2d(2), (torch.linspace(-4, 4, 96).reshape(2, 3, 4, 4).sin(),)
