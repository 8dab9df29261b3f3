"""Shortcut A of the residual paper: no parameters, every `stride`-th pixel, new channels filled with zeros (He et al. 2015, section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.layers import checks
from striate.layers.registry import layer


@layer("pad_shortcut", help="Parameter-free shortcut: subsampled, and padded with zero channels (option A)")
class PadShortcut(nn.Module):
    """Take every `stride`-th row and column and append `extra` channels of zeros."""

    def __init__(self, extra: int, stride: int) -> None:
        super().__init__()
        self.extra, self.stride = checks.count("extra", extra, least=0), checks.count("stride", stride)

    def forward(self, x: Tensor) -> Tensor:
        """Turn N C H W into N C+extra ⌈H/stride⌉ ⌈W/stride⌉."""
        checks.maps(self, x, batch_only=True)
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"extra={self.extra}, stride={self.stride}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return PadShortcut(2, 2), (torch.randn(2, 3, 5, 6),)
