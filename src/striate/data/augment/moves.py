"""Crop and shift: whole-pixel moves of every picture in the batch, as one gather of windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from torch.nn import functional

from striate.core.errors import ArgumentError
from striate.data.augment.base import Augmentation, rows_last, scaled_and_moved
from striate.data.registry import augmentation

if TYPE_CHECKING:
    from striate.data.augment.base import Draw

Border = Literal["zero", "reflect", "edge"]


class Crop(Augmentation):
    """Pads each side by `vertical` and `horizontal` pixels and cuts the original size out at a random place."""

    places = True

    def __init__(self, vertical: int, horizontal: int, mode: Border) -> None:
        for name, value in (("vertical", vertical), ("horizontal", horizontal)):
            if value < 0:
                raise ArgumentError(f"augment: {name} padding {value} is negative; expected 0 or more pixels")
        self.vertical, self.horizontal, self.mode = vertical, horizontal, mode

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        """Return the moved pictures, same shape and type."""
        down = draw.integers(0, 2 * self.vertical)
        right = draw.integers(0, 2 * self.horizontal)
        return windows(padded(x, self.vertical, self.horizontal, self.mode), down, right, (x.shape[2], x.shape[3]))

    def motion(self, draw: Draw, size: tuple[int, int]) -> Tensor:  # noqa: ARG002 - whole pixels, whatever the size
        """Return the motions N 2 3: what was at x is at x + padding - the window's start."""
        down = draw.integers(0, 2 * self.vertical).float()
        right = draw.integers(0, 2 * self.horizontal).float()
        one = torch.ones_like(down)
        return scaled_and_moved(one, one, self.horizontal - right, self.vertical - down)


def padded(x: Tensor, vertical: int, horizontal: int, mode: Border) -> Tensor:
    """Pad N C H W and return it as contiguous N H W C."""
    height, width = x.shape[2:]
    if mode == "reflect" and (vertical >= height or horizontal >= width):
        raise ArgumentError(f"augment: a reflected border of {vertical}, {horizontal} pixels needs pictures larger than {height} x {width}")
    pixels = rows_last(x)
    if mode == "zero":
        return functional.pad(pixels, (0, 0, horizontal, horizontal, vertical, vertical))
    rows = _border(height, vertical, mode).to(x.device)
    columns = _border(width, horizontal, mode).to(x.device)
    return pixels.index_select(1, rows).index_select(2, columns)


def windows(pixels: Tensor, down: Tensor, right: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut from each of N H W C one window of `size` that starts at row `down[i]`, column `right[i]`; returns N C H W, channels last."""
    count, tall, wide, channels = pixels.shape
    height, width = size
    line = wide * channels
    view = pixels.as_strided(
        (count, tall - height + 1, wide - width + 1, height, width * channels), (tall * line, line, channels, line, 1), pixels.storage_offset()
    )
    cut = _picked(view, torch.arange(count, device=pixels.device), down, right)
    return cut.view(count, height, width, channels).permute(0, 3, 1, 2)


def _picked(view: Tensor, sample: Tensor, down: Tensor, right: Tensor) -> Tensor:
    if view.device.type != "cpu":
        return view[sample, down, right]
    # NumPy copies whole rows of a window; torch's index kernel goes element by element: four times slower
    return torch.from_numpy(view.numpy()[sample.numpy(), down.numpy(), right.numpy()])


def _border(size: int, by: int, mode: Border) -> Tensor:
    positions = torch.arange(-by, size + by)
    if mode == "edge":
        return positions.clamp(0, size - 1)
    positions = positions.abs()
    return torch.where(positions >= size, 2 * (size - 1) - positions, positions)


@augmentation("crop", help="pad each side and cut the original size out at a random place")
def crop(padding: int = 4, *, mode: Literal["zero", "reflect", "edge"] = "zero") -> Crop:
    """Return the random crop of `padding` pixels (He et al. 2015, section 4.2)."""
    return Crop(padding, padding, mode)


@augmentation("shift", help="move by up to so many whole pixels each way")
def shift(vertical: int = 2, horizontal: int | None = None, *, mode: Literal["zero", "reflect", "edge"] = "zero") -> Crop:
    """Return the random shift by up to `vertical` rows and `horizontal` columns (the same when None)."""
    return Crop(vertical, vertical if horizontal is None else horizontal, mode)
