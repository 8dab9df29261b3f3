"""Does the map point at the right one? Four pictures of different classes in a square; the map for one of them should lie on its quarter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Squares:
    """Mosaics M C H W, the class to explain in each, and the quarter (0 to 3, row by row) that shows it."""

    pixels: Tensor
    target: tuple[int, ...]
    quarter: tuple[int, ...]


def squares(pixels: Tensor, target: tuple[int, ...], *, most: int, seed: int) -> Squares | None:
    """Lay each of the first `most` pictures N C H W beside three others of other classes, in a place drawn by lot; None with fewer than 4 classes."""
    if len(set(target)) < 4:
        return None
    draw = np.random.default_rng([seed, len(target)])
    made, quarters = [], []
    for number in range(min(most, len(target))):
        others, classes = list[int](), {target[number]}
        for other in draw.permutation(len(target)).tolist():
            if target[other] not in classes and len(others) < 3:
                others.append(other)
                classes.add(target[other])
        place = int(draw.integers(4))
        four = [pixels[other] for other in (*others[:place], number, *others[place:])]
        made.append(torch.cat([torch.cat(four[:2], 2), torch.cat(four[2:], 2)], 1))
        quarters.append(place)
    return Squares(torch.stack(made), target[: len(made)], tuple(quarters))


def halved(found: Squares) -> Squares:
    """Return the same mosaics at half size, each pixel the mean of four."""
    height, width = found.pixels.shape[-2:]
    return Squares(F.interpolate(found.pixels, size=(height // 2, width // 2), mode="area"), found.target, found.quarter)


def pointed(maps: Array, quarters: tuple[int, ...]) -> tuple[Array, Array]:
    """Return, for maps M H W, the share of what is positive in the right quarter, and whether the largest value is there (both chance .25).

    A map without anything positive counts as a quarter everywhere.
    """
    energy, hit = np.full(len(maps), 0.25), np.full(len(maps), 0.25)
    for number, (values, quarter) in enumerate(zip(np.maximum(maps, 0).astype(np.float64), quarters, strict=True)):
        if not values.any():
            continue
        high, wide = values.shape
        inside = _side(high, quarter // 2)[:, None] * _side(wide, quarter % 2)  # cells on the middle line of an odd map count half
        energy[number] = float((values * inside).sum() / values.sum())
        hit[number] = float(inside[values == values.max()].mean())
    return energy, hit


def _side(length: int, second: int) -> Array:
    """Return how much of each of `length` cells lies in the first or second half."""
    edges = np.arange(length + 1) / length
    low, high = (0.5, 1.0) if second else (0.0, 0.5)
    overlap: Array = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None) * length
    return overlap
