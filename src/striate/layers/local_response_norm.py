"""Local response normalisation across channels, in the form of the paper (Krizhevsky, Sutskever, Hinton 2012, section 3.3; row O8).

    y_i = x_i / (k + α Σ_j x_j²)^β,   j from max(0, i - n/2) to min(C - 1, i + n/2)

torch's `nn.LocalResponseNorm` (and Caffe) divide α by n: its α of 5e-4 with n = 5 is the paper's 1e-4. Handing AlexNet's published α to torch's
layer makes the normalisation five times too weak, without a word.

The sum over neighbouring channels is a 1 x 1 convolution with a band of ones, several times faster than torch's pooling over a fifth axis.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.core.errors import ArgumentError
from striate.layers import checks
from striate.layers.registry import layer


@layer("local_response_norm", help="Normalisation by the neighbouring channels as AlexNet's paper has it: alpha is not divided by size")
class LocalResponseNorm(nn.Module):
    """Divide each number by (k + alpha · the sum of squares of the `size` neighbouring channels)^beta; the defaults are AlexNet's.

    `size` is odd, so that the window lies evenly about its channel. `nn.LocalResponseNorm(size, size * alpha, beta, k)` is the same.
    Computed in float32 (float64 for float64), outside autocast: alpha times a sum of squares has few digits left in bf16.
    """

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__()
        self.size = checks.count("size", size)
        if self.size % 2 == 0:
            raise ArgumentError(f"size: got {size}, expected an odd number of channels, as many before as behind the one in the middle")
        self.alpha, self.beta, self.k = checks.number("alpha", alpha, also=0, above=0), checks.number("beta", beta), checks.number("k", k, above=0)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise N C H W, N C L or N C; the shape stays."""
        if not 2 <= x.dim() <= 4:
            checks.refuse(self, "input", x, "N x C, N x C x L or N x C x H x W")
        checks.values(self, x)
        wide = checks.wide(x)
        with nullcontext() if x.device.type == "meta" else torch.autocast(x.device.type, enabled=False):  # meta knows no autocast
            scale = self.k + self.alpha * self._sums(wide * wide)
            if self.beta == 0.75:  # twice as fast as a power
                root = scale.rsqrt()
                return (wide * (root * root.sqrt())).to(x.dtype)
            return (wide * scale.pow(-self.beta)).to(x.dtype)

    def _sums(self, squares: Tensor) -> Tensor:
        channels, half = squares.size(1), self.size // 2
        band = squares.new_ones(channels, channels).tril(half).triu(-half)
        if squares.dim() == 2:
            return squares @ band
        return F.conv2d(squares, band[:, :, None, None]) if squares.dim() == 4 else F.conv1d(squares, band[:, :, None])

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"{self.size}, alpha={self.alpha:g}, beta={self.beta:g}, k={self.k:g}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite: alpha is large enough to be seen."""
    return LocalResponseNorm(3, alpha=0.5), (torch.randn(2, 5, 3, 4),)
