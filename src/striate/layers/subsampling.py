"""LeNet-5's subsampling: the sum of each k x k patch, times one trainable weight, plus one trainable bias a map (LeCun et al. 1998, section II.B)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.layers import checks
from striate.layers.registry import layer


@layer("subsampling", help="Sums of patches with one trainable weight and bias a map, as in LeNet-5")
class Subsampling(nn.Module):
    """Sum non-overlapping `size` x `size` patches, multiply by a weight and add a bias, one of each a channel.

    It starts as plain averaging: weight 1/size², bias 0.
    """

    def __init__(self, channels: int, size: int = 2) -> None:
        super().__init__()
        self.size = checks.count("size", size)
        self.weight = nn.Parameter(torch.empty(checks.count("channels", channels)))
        self.bias = nn.Parameter(torch.empty(channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Make it plain averaging."""
        nn.init.constant_(self.weight, 1.0 / self.size**2)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Turn N C H W into N C ⌊H/size⌋ ⌊W/size⌋ (the N may be missing)."""
        checks.maps(self, x, len(self.weight))
        checks.windows(self, x, (self.size, self.size), (0, 0))
        sums = F.avg_pool2d(x, self.size) * self.size**2  # divisor_override=1 would be lost, silently, on the way to ONNX
        return sums * self.weight[:, None, None] + self.bias[:, None, None]

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"{len(self.weight)}, size={self.size}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return Subsampling(3), (torch.randn(2, 3, 6, 8),)
