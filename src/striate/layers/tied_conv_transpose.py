"""A transposed convolution that shares a convolution's filters: the decoder of a tied convolutional autoencoder (row E3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.core.errors import ArgumentError
from striate.layers import checks
from striate.layers.registry import layer


@layer("tied_conv_transpose_2d", help="Transposed convolution with the filters of a convolution and a bias of its own")
class TiedConvTranspose2d(nn.Module):
    """Apply the transpose of the matrix that the convolution `source` is, then add a bias of its own, one a channel.

    Without the bias it is exactly the message that `source` sends back. Stride, padding, dilation and groups are those of `source`;
    `output_padding` adds rows and columns that a stride swallowed. `weight` is the very Parameter of `source`, tied as in `TiedLinear`.
    Raises `ArgumentError` for a source that pads with anything but zeros, or pads unevenly ("same" with an even kernel).
    """

    bias: Tensor | None

    def __init__(self, source: nn.Conv2d, *, bias: bool = True, output_padding: int | tuple[int, int] = 0) -> None:
        super().__init__()
        if not isinstance(source, nn.Conv2d):
            raise ArgumentError(f"source: got {type(source).__name__}, expected the nn.Conv2d whose filters are shared")
        if source.padding_mode != "zeros":
            raise ArgumentError(
                f"source: got padding_mode {source.padding_mode!r}, expected 'zeros': only then is the transpose one transposed convolution"
            )
        self.in_channels, self.out_channels = source.out_channels, source.in_channels
        self.kernel_size, self.stride, self.dilation, self.groups = source.kernel_size, source.stride, source.dilation, source.groups
        self.padding = _even(source)
        self.output_padding = checks.pair("output_padding", output_padding, least=0)
        self.weight = source.weight
        self.register_parameter("bias", nn.Parameter(source.weight.new_empty(self.out_channels)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the bias uniformly within ±1/√(fan-in), as torch's transposed convolution does; the filters belong to the source."""
        if self.bias is not None:
            bound = self.weight[0].numel() ** -0.5
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Turn N K OH OW into N C H W (the N may be missing); `output_size`, whose last two numbers are H and W, stands above `output_padding`."""
        checks.maps(self, x, self.in_channels)
        extra = self.output_padding if output_size is None else self._missing(x, output_size)
        return F.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _missing(self, x: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        least = [
            (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1
            for size, stride, padding, dilation, kernel in zip(x.shape[-2:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True)
        ]
        extra = tuple(wanted - small for wanted, small in zip(checks.sides(self, output_size), least, strict=True))
        if not all(0 <= more < stride for more, stride in zip(extra, self.stride, strict=True)):
            most = [small + stride - 1 for small, stride in zip(least, self.stride, strict=True)]
            raise ArgumentError(
                f"TiedConvTranspose2d: output_size: got {tuple(output_size)}, expected {checks.spell(least)} to {checks.spell(most)} for an input of "
                f"{checks.spell(x.shape)}"
            )
        return extra

    def extra_repr(self) -> str:
        """Spell the options."""
        said = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        said += f", output_padding={self.output_padding}" if any(self.output_padding) else ""
        said += f", dilation={self.dilation}" if self.dilation != (1, 1) else ""
        said += f", groups={self.groups}" if self.groups > 1 else ""
        return said + ("" if self.bias is not None else ", bias=False")


def _even(source: nn.Conv2d) -> tuple[int, int]:
    """Return the padding of `source` in numbers."""
    if not isinstance(source.padding, str):
        height, width = checks.pair("padding", source.padding, least=0)
        return height, width
    spans = [0, 0]
    if source.padding == "same":
        spans = [dilation * (size - 1) for size, dilation in zip(source.kernel_size, source.dilation, strict=True)]
        if any(span % 2 for span in spans):
            raise ArgumentError(f"source: got padding 'same' with kernel_size {source.kernel_size}, expected odd kernels: others are padded unevenly")
    return spans[0] // 2, spans[1] // 2


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return TiedConvTranspose2d(nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2)), (torch.randn(2, 4, 3, 2),)
