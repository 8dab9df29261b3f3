"""Locally connected layer: a convolution's windows with weights of their own at every place, nothing shared (row O2).

The patches are gathered once, as rows of one number from each sample, and every place's patch matrix is multiplied with its own weights in one
batched matrix product: N · places · K · C · F² multiply-adds, as many as a convolution of the same shape. Three things keep it from a convolution's
speed (bench/layers.py measures how far): the patches are written to memory, a convolution's are not; every place's weights are read anew, so few
samples wait for memory; and the machine's batched matrix product may be slower than its convolutions, on some CPUs a third of them in float32.
bf16 and a channels_last input bring the two closest.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.core.errors import ArgumentError
from striate.layers import checks
from striate.layers.registry import layer

FEW = 8
"""Up to so many samples the batched product is several times faster with a row for each sample than with a column."""


class LocallyConnected(nn.Module):
    """What the layers of one and of two axes share; use those.

    `weight` is places x K x C x kernel (2-D: OH OW K C kh kw), so that `weight[i, j]` is the filter bank of place (i, j), in a convolution's form;
    `bias` is places x K.
    """

    axes = 2
    gather: Tensor
    gather_last: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: int | Sequence[int],
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int],
        padding: int | Sequence[int] | str,
        dilation: int | Sequence[int],
        bias: bool,
    ) -> None:
        """Lay out weights for every place."""
        super().__init__()
        self.in_channels, self.out_channels = checks.count("in_channels", in_channels), checks.count("out_channels", out_channels)
        self.input_size = checks.pair("input_size", input_size, places=self.axes)
        self.kernel_size = checks.pair("kernel_size", kernel_size, places=self.axes)
        self.stride = checks.pair("stride", stride, places=self.axes)
        self.dilation = checks.pair("dilation", dilation, places=self.axes)
        self.padding = padding if isinstance(padding, str) else checks.pair("padding", padding, least=0, places=self.axes)
        self._zeros = self._sides(self.padding)
        padded = [size + before + after for size, (before, after) in zip(self.input_size, self._zeros, strict=True)]
        reach = [step * (size - 1) + 1 for size, step in zip(self.kernel_size, self.dilation, strict=True)]
        if any(window > whole for window, whole in zip(reach, padded, strict=True)):
            raise ArgumentError(
                f"kernel_size: got {self.kernel_size}, which reaches over {reach} places, "
                f"expected no more than the padded input_size has: {padded}; take a smaller kernel or more padding"
            )
        self.output_size = tuple((whole - window) // step + 1 for whole, window, step in zip(padded, reach, self.stride, strict=True))
        self.weight = nn.Parameter(torch.empty(*self.output_size, self.out_channels, self.in_channels, *self.kernel_size))
        self.register_parameter("bias", nn.Parameter(torch.empty(*self.output_size, self.out_channels)) if bias else None)
        numbers = torch.arange(self.in_channels * _product(padded), dtype=torch.int32).view(self.in_channels, *padded)
        gather = self._windows(numbers)
        channel, place = gather // _product(padded), gather % _product(padded)
        self.register_buffer("gather", gather, persistent=False)
        self.register_buffer("gather_last", place * self.in_channels + channel, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and biases uniformly within ±1/√(C · kernel), as torch's convolutions do: the fan-in is the same."""
        bound = (self.in_channels * _product(self.kernel_size)) ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def _sides(self, padding: tuple[int, ...] | str) -> tuple[tuple[int, int], ...]:
        """Return how many zeros go before and after each axis."""
        if not isinstance(padding, str):
            return tuple((each, each) for each in padding)
        if checks.one_of("padding", padding, ("valid", "same")) == "valid":
            return ((0, 0),) * self.axes
        if any(step != 1 for step in self.stride):
            raise ArgumentError(f"padding: 'same' keeps the size at stride 1 only, got stride {self.stride}; give the padding in numbers")
        spans = [step * (size - 1) for size, step in zip(self.kernel_size, self.dilation, strict=True)]
        return tuple((span // 2, span - span // 2) for span in spans)

    def _windows(self, numbered: Tensor) -> Tensor:
        """Return, for every place, the numbers of the C x kernel entries its window sees: one flat tensor, place by place."""
        for axis, (size, stride, dilation) in enumerate(zip(self.kernel_size, self.stride, self.dilation, strict=True), start=1):
            numbered = numbered.unfold(axis, dilation * (size - 1) + 1, stride)[..., ::dilation]
        places, windows = range(1, self.axes + 1), range(self.axes + 1, 2 * self.axes + 1)
        return numbered.permute(*places, 0, *windows).reshape(-1)

    def _forward(self, x: Tensor) -> Tensor:
        if x.shape[-self.axes :] != torch.Size(self.input_size):
            size = checks.spell(self.input_size)
            checks.refuse(self, "input", x, f"N x {self.in_channels} x {size}: its weights belong to the places of an input of {size}")
        if x.dim() == self.axes + 1:
            return self._forward(x.unsqueeze(0)).squeeze(0)
        if x.dtype != torch.float64 and torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))  # before the patches multiply it
        channels_last = self.axes == 2 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        if any(map(any, self._zeros)):
            x = F.pad(x, [zeros for sides in reversed(self._zeros) for zeros in sides])
        samples, places = x.size(0), _product(self.output_size)
        entries, gather = (x.permute(0, 2, 3, 1), self.gather_last) if channels_last else (x, self.gather)
        weight = self.weight.reshape(places, self.out_channels, -1)  # a copy only where the weights were made channels_last
        patches = entries.flatten(1).t().contiguous().index_select(0, gather).view(places, weight.size(2), samples)
        bias = None if self.bias is None else self.bias.reshape(places, self.out_channels, 1)
        if samples <= FEW:
            made = _multiplied(patches.transpose(1, 2).contiguous(), weight.transpose(1, 2), None if bias is None else bias.transpose(1, 2))
            made = made.transpose(0, 1).contiguous()
        else:
            made = _multiplied(weight, patches, bias).view(places * self.out_channels, samples).t().contiguous()
        made = made.view(samples, *self.output_size, self.out_channels).movedim(-1, 1)
        return made if channels_last else made.contiguous()

    def extra_repr(self) -> str:
        """Spell the options."""
        said = f"{self.in_channels}, {self.out_channels}, input_size={self.input_size}, kernel_size={self.kernel_size}, stride={self.stride}"
        if any(map(any, self._zeros)):
            said += f", padding={self.padding!r}"
        if any(step != 1 for step in self.dilation):
            said += f", dilation={self.dilation}"
        return said + ("" if self.bias is not None else ", bias=False")


@layer("locally_connected_2d", help="Convolution's windows with own weights at every place, for pictures")
class LocallyConnected2d(LocallyConnected):
    """Apply to every window of a picture filters of its own.

    `input_size` is H or (H, W), for it decides how many weights there are: OH·OW·K·(C·kh·kw + 1). 30² · (3² + 1) = 9,000 for one 3 x 3
    filter on 32 x 32, 25,200 with three channels. `kernel_size`, `stride`, `padding` (numbers, "same", "valid"), `dilation` and `bias` mean what
    they mean in `nn.Conv2d`. `weight` is OH OW K C kh kw, `bias` OH OW K.
    Raises `ArgumentError` for a kernel larger than the padded input.
    """

    axes = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: int | tuple[int, int],
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, input_size, kernel_size, stride, padding, dilation, bias)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name for it
        """Turn N C H W into N K OH OW (C H W into K OH OW); a channels_last input gives a channels_last output."""
        checks.maps(self, input, self.in_channels)
        return self._forward(input)


def _multiplied(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    return torch.bmm(a, b) if bias is None else torch.baddbmm(bias, a, b)


def _product(sizes: Sequence[int]) -> int:
    return int(torch.Size(sizes).numel())


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return LocallyConnected2d(2, 3, (5, 4), (3, 2), stride=(2, 1), padding=1, dilation=(1, 2)), (torch.randn(2, 2, 5, 4),)
