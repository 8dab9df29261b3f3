"""Drop-path: a whole branch switched off at random in training, one coin a picture (Huang et al. 2016; Larsson et al. 2017, local sampling)."""

from __future__ import annotations

from typing import SupportsFloat

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.layers import checks
from striate.layers.registry import layer


@layer("drop_path", help="A branch dropped at random in training, divided by its survival probability where kept")
class DropPath(nn.Module):
    """Keep each sample's branch with probability `survival` in training and divide it by that; in evaluation hand everything through.

    The expectation is the same in both modes. Coins come from torch's random state. Raises `ArgumentError` for a probability outside (0, 1].
    """

    def __init__(self, survival: float) -> None:
        super().__init__()
        if not isinstance(survival, SupportsFloat) or not 0 < survival <= 1:
            raise ArgumentError(f"survival: got {survival!r}, expected a probability above 0 and up to 1")
        self.survival = survival

    def forward(self, x: Tensor) -> Tensor:
        """Return N … with whole samples zero or divided by `survival`."""
        if x.dim() == 0:
            checks.refuse(self, "input", x, "N … : one coin a sample needs an axis of samples")
        checks.values(self, x)
        if not self.training or self.survival == 1:
            return x
        coins = torch.empty((len(x),) + (1,) * (x.dim() - 1), dtype=x.dtype, device=x.device).bernoulli_(self.survival)
        return x * coins.div_(self.survival)

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"survival={self.survival:g}"


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return DropPath(0.5), (torch.randn(4, 3, 2, 2),)
