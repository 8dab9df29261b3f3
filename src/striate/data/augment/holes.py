"""Cutout: a square of every input set to zero, the mean of the training split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.data.augment.base import Augmentation
from striate.data.registry import augmentation

if TYPE_CHECKING:
    from striate.data.augment.base import Draw


class Cutout(Augmentation):
    """Sets a square around a random pixel to zero in the standardised input; the square may reach over the border."""

    stage = "input"

    def __init__(self, size: int, chance: float) -> None:
        if size < 1:
            raise ArgumentError(f"augment: cutout's size is {size}; expected 1 or more pixels")
        if not 0 <= chance <= 1:
            raise ArgumentError(f"augment: cutout's chance is {chance}; expected a share from 0 to 1")
        self.size, self.chance = size, chance

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        """Return the inputs with their holes."""
        height, width = x.shape[2:]
        hit = draw.coins(self.chance)[:, None]
        rows = _inside(draw.integers(0, height - 1), height, self.size) & hit
        columns = _inside(draw.integers(0, width - 1), width, self.size)
        return x.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


def _inside(centre: Tensor, length: int, size: int) -> Tensor:
    first = centre[:, None] - size // 2
    position = torch.arange(length, device=centre.device)
    return (position >= first) & (position < first + size)


@augmentation("cutout", help="hide a random square")
def cutout(size: int = 16, chance: float = 1.0) -> Cutout:
    """Return cutout with squares of `size` pixels (DeVries and Taylor 2017)."""
    return Cutout(size, chance)
