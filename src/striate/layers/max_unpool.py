"""Unpooling: values go back to the places their pooling took them from (Zeiler and Fergus 2014, section 2.1; row O5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.layers import checks
from striate.layers.registry import layer


@layer("max_unpool", help="Values put back where max pooling found them, by its switches; where windows overlap they add up")
class MaxUnpool2d(nn.Module):
    """Put every value at the place its switch names; zeros elsewhere. Where windows overlap and share a place, their values add up.

    So it is exactly the message that max pooling sends back, whatever the stride. (`nn.MaxUnpool2d` keeps only one of the values that share a
    place; for windows of 3 with stride 2, AlexNet's, that loses some.) Options as in `MaxPool2d`; they give the output's size where the call
    does not.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
    ) -> None:
        super().__init__()
        self.kernel_size = checks.pair("kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else checks.pair("stride", stride)
        self.padding, self.dilation = checks.pair("padding", padding, least=0), checks.pair("dilation", dilation)

    def forward(self, values: Tensor, switches: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Turn N C OH OW, twice, into N C H W (the N may be missing).

        `switches` are row · W + column, so the width must be the pooled input's: `output_size` (its last two numbers are H and W), or without
        it the size that (OH - 1) · stride - 2 · padding + dilation · (kernel - 1) + 1 gives, which is short where the stride did not fit.
        Raises `ArgumentError` for shapes that differ, an `output_size` without two whole numbers and, on the CPU, switches outside the output.
        """
        checks.maps(self, values, name="values")
        checks.same(self, values, switches, names=("values", "switches"))
        if switches.dtype != torch.int64:
            raise ArgumentError(f"MaxUnpool2d: switches: got {switches.dtype}, expected int64, as max pooling with return_indices=True returns them")
        height, width = self._size(values) if output_size is None else checks.sides(self, output_size)
        if checks.readable(switches) and switches.numel() and not 0 <= int(switches.min()) <= int(switches.max()) < height * width:
            raise ArgumentError(
                f"MaxUnpool2d: switches: got places up to {int(switches.max())}, expected 0 to {height * width - 1} for an output of "
                f"{height} x {width}; give output_size, the size of what was pooled"
            )
        flat = values.new_zeros(*values.shape[:-2], height * width)
        return flat.scatter_add(-1, switches.flatten(-2), values.flatten(-2)).view(*values.shape[:-2], height, width)

    def _size(self, values: Tensor) -> tuple[int, int]:
        height, width = (
            (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1
            for size, stride, padding, dilation, kernel in zip(
                values.shape[-2:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        )
        return height, width

    def extra_repr(self) -> str:
        """Spell the options."""
        said = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return said + (f", dilation={self.dilation}" if self.dilation != (1, 1) else "")


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite: windows that overlap and share places."""
    largest, switches = nn.functional.max_pool2d(torch.randn(2, 3, 7, 5), 3, 2, return_indices=True)
    return MaxUnpool2d(3, 2), (largest, switches)
