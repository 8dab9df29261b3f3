"""Mirror: left and right exchanged, by a coin or alternating from epoch to epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.data.augment.base import Augmentation, rows_last, scaled_and_moved
from striate.data.registry import augmentation

if TYPE_CHECKING:
    from striate.data.augment.base import Draw


class Mirror(Augmentation):
    """Exchanges left and right with probability `chance`, or, alternating, by a fixed coin per sample in epoch 0 and then every other epoch."""

    places = True

    def __init__(self, chance: float, *, alternate: bool) -> None:
        if not 0 <= chance <= 1:
            raise ArgumentError(f"augment: mirror's chance is {chance}; expected a share from 0 to 1")
        self.chance, self.alternate = chance, alternate

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        """Return the pictures, some mirrored; same shape and type."""
        flip = self._coins(draw)
        if x.device.type != "cpu":
            return torch.where(flip[:, None, None, None], x.flip(3), x)
        pixels = rows_last(x)
        order = flip.to(torch.uint8).argsort(stable=True)  # the kept ones first: whole rows are copied faster than picked apart
        kept = len(order) - int(flip.sum())
        sorted_rows = torch.cat([pixels.index_select(0, order[:kept]), pixels.index_select(0, order[kept:]).flip(2)])
        return sorted_rows.index_select(0, order.argsort()).permute(0, 3, 1, 2)

    def motion(self, draw: Draw, size: tuple[int, int]) -> Tensor:
        """Return the motions N 2 3: x becomes W - x where the picture is mirrored. Points keep their order: a left eye stays the first one."""
        flip = self._coins(draw).float()
        one = torch.ones_like(flip)
        return scaled_and_moved(1 - 2 * flip, one, size[1] * flip, 0 * one)

    def _coins(self, draw: Draw) -> Tensor:
        return draw.sample_coins() ^ bool(draw.epoch % 2) if self.alternate else draw.coins(self.chance)


@augmentation("mirror", help="exchange left and right")
def mirror(chance: float = 0.5, *, alternate: bool = False) -> Mirror:
    """Return the mirror; with `alternate` each sample is seen both ways in every two epochs (airbench, Jordan 2024)."""
    return Mirror(chance, alternate=alternate)
