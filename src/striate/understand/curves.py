"""Does the score follow the map? The picture is taken away block by block, in the map's order and in the opposite one, and the score is watched.

Least relevant first (LeRF) should leave the score standing, most relevant first (MoRF) should bring it down: the gap between the areas under both
curves is the figure. An order and its reverse have opposite gaps, so that the mean over all orders, what a random map scores, is exactly 0. Putting
the most relevant blocks back first goes through the same pictures as LeRF, backwards: the insertion area is LeRF's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from striate.understand.scoring import shares
from striate.understand.standins import Value, stand_in

if TYPE_CHECKING:
    from striate.understand.inputs import Prepared
    from striate.understand.throughput import Throughput

Array = np.ndarray[Any, Any]
POINTS = 32
"""Steps of a curve where there are that many blocks."""


@dataclass(frozen=True)
class Curves:
    """Areas under the curves of p(class), N orders: least relevant first, which is also the insertion area, and most relevant first."""

    lerf: Array
    morf: Array

    @property
    def gap(self) -> Array:
        """LeRF − MoRF, -1 to 1."""
        return self.lerf - self.morf


def block_numbers(height: int, width: int, across: int) -> Tensor:
    """Return for each pixel of H W the number of its block; `across` blocks a side (fewer where there are fewer pixels), as equal as they can be."""
    down, over = min(across, height), min(across, width)
    rows, columns = torch.arange(height) * down // height, torch.arange(width) * over // width
    return rows[:, None] * over + columns


def block_means(values: Array, numbers: Tensor) -> Array:
    """Return the mean of a map H W in each block."""
    flat = numbers.flatten().numpy()
    found: Array = np.bincount(flat, values.astype(np.float64).ravel()) / np.bincount(flat)
    return found


def ranking(values: Array, draw: np.random.Generator) -> Array:
    """Return block numbers, the largest value first; equal values in random order."""
    return np.lexsort((draw.random(len(values)), -values))


def centre_prior(height: int, width: int) -> Array:
    """Return a map that knows nothing but that pictures show things in the middle: minus the distance from the centre, the sides being 1."""
    down, over = (np.arange(height) + 0.5) / height - 0.5, (np.arange(width) + 0.5) / width - 0.5
    found: Array = -np.hypot(down[:, None], over)
    return found


def curves(fast: Throughput, p: Prepared, number: int, orders: Array, blocks: Tensor, value: Value = "blur") -> Curves:
    """Return the areas for picture `number` and rankings R B (most relevant first); `value` is what stands where a block is taken away."""
    picture, goal = p.pixels[number], p.target[number]
    instead = stand_in(picture, value)
    count = orders.shape[1]
    steps = np.unique(np.linspace(0, count, min(POINTS, count) + 1).round().astype(int))
    place = np.empty_like(orders)
    np.put_along_axis(place, orders, np.arange(count)[None].repeat(len(orders), 0), 1)
    both = torch.from_numpy(np.concatenate([place, count - 1 - place]))  # by block, when it goes: most relevant first, then least
    where, when = blocks.to(picture.device), torch.from_numpy(steps)

    def make(numbers: Tensor) -> Tensor:
        gone = both[numbers // len(when)] < when[numbers % len(when), None]
        return torch.where(gone.to(picture.device)[:, where][:, None], instead, picture)

    run = fast.run(2 * len(orders) * len(when), make, lambda logits: shares(logits)[:, goal])
    kept = shares(run.logits.double())[:, goal].view(2, len(orders), len(when)).cpu().numpy()
    areas = np.trapezoid(kept, steps / count, axis=2)
    return Curves(lerf=areas[1], morf=areas[0])
