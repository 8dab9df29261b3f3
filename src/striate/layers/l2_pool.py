"""L2 pooling: the root of the mean of the squares of each window, or of their sum (row O5). torch's `LPPool2d` with p = 2 is the sum.

At a window of zeros the root has no derivative; the gradient there is 0, where torch's formula gives NaN.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.core.errors import ArgumentError
from striate.layers import checks
from striate.layers.registry import layer

FORMS = ("root_mean_square", "root_sum_of_squares")


@layer("l2_pool", help="Pooling by the root of the mean square, or of the sum of squares, of each window")
class L2Pool2d(nn.Module):
    """Return √(Σx²/F²) of each window (`form` "root_mean_square") or √(Σx²) ("root_sum_of_squares"). No parameters.

    `kernel_size`, `stride` (the kernel's size unless given), `padding` (zeros, at most half the kernel) and `ceil_mode` as in `nn.AvgPool2d`;
    `count_include_pad` says whether the mean counts padded zeros. bf16 and fp16 are summed in float32.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        *,
        form: Literal["root_mean_square", "root_sum_of_squares"] = "root_mean_square",
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = checks.pair("kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else checks.pair("stride", stride)
        self.padding = checks.pair("padding", padding, least=0)
        self.form = checks.one_of("form", form, FORMS)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        if any(2 * pad > size for pad, size in zip(self.padding, self.kernel_size, strict=True)):
            raise ArgumentError(f"padding: got {self.padding}, expected at most half of kernel_size {self.kernel_size}: a window must see the input")

    def forward(self, x: Tensor) -> Tensor:
        """Turn N C H W into N C OH OW (C H W into C OH OW)."""
        checks.maps(self, x)
        checks.windows(self, x, self.kernel_size, self.padding, spare=[step - 1 if self.ceil_mode else 0 for step in self.stride])
        sums = self._sums(checks.wide(x).square())
        some = sums > 0
        return torch.where(some, torch.where(some, sums, 1).sqrt(), 0).to(x.dtype)

    def _sums(self, squares: Tensor) -> Tensor:
        if self.form == "root_mean_square":
            return F.avg_pool2d(squares, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)
        if self.ceil_mode:  # windows that hang over have fewer cells
            return F.avg_pool2d(squares, self.kernel_size, self.stride, self.padding, ceil_mode=True, divisor_override=1)
        return F.avg_pool2d(squares, self.kernel_size, self.stride, self.padding) * (self.kernel_size[0] * self.kernel_size[1])

    def extra_repr(self) -> str:
        """Spell the options."""
        said = f"kernel_size={self.kernel_size}, stride={self.stride}, form={self.form!r}"
        said += f", padding={self.padding}" if any(self.padding) else ""
        said += ", ceil_mode=True" if self.ceil_mode else ""
        return said + ("" if self.count_include_pad else ", count_include_pad=False")


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return L2Pool2d(3, 2, 1), (torch.randn(2, 3, 6, 5),)
