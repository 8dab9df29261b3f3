"""Mixup: each input blended with another of the batch, and their class shares likewise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from striate.core.errors import ArgumentError
from striate.data.augment.base import Augmentation
from striate.data.registry import augmentation

if TYPE_CHECKING:
    from striate.data.augment.base import Draw


class Mixup(Augmentation):
    """Blends every input with a partner drawn from the global batch, with a weight from Beta(alpha, alpha) per sample."""

    stage = "input"
    mixes = True

    def __init__(self, alpha: float) -> None:
        if alpha <= 0:
            raise ArgumentError(f"augment: mixup's alpha is {alpha}; expected more than 0")
        self.alpha = alpha

    def mix(self, x: Tensor, y: Tensor, draw: Draw) -> tuple[Tensor, Tensor]:
        """Return weight * x + (1 - weight) * x[partner], and the shares (N K) likewise."""
        weight = draw.beta(self.alpha)
        partner = draw.permutation()
        wide = weight.view(-1, *[1] * (x.ndim - 1))
        return x[partner].lerp(x, wide), y[partner].lerp(y, weight[:, None])


@augmentation("mixup", help="blend pictures and their labels")
def mixup(alpha: float = 0.2) -> Mixup:
    """Return mixup (Zhang, Cisse, Dauphin and Lopez-Paz 2018)."""
    return Mixup(alpha)
