"""Resampling the picture: a random part resized to the input, and rotation, scale, squeeze, shear and shift in one bilinear step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from striate.core.errors import ArgumentError
from striate.data.augment.base import Augmentation, scaled_and_moved, unit
from striate.data.ragged import Cut
from striate.data.registry import augmentation

if TYPE_CHECKING:
    from striate.data.augment.base import Draw

TRIES = 10


class ResizedCrop(Cut):
    """A random part of the picture with a share `scale` of its area and width over height in `ratio`, resized to the input's size."""

    def __init__(self, scale: tuple[float, float], ratio: tuple[float, float]) -> None:
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ArgumentError(f"augment: resized_crop's scale is {scale}; expected two shares of the area, 0 < low <= high <= 1")
        if not 0 < ratio[0] <= ratio[1]:
            raise ArgumentError(f"augment: resized_crop's ratio is {ratio}; expected 0 < low <= high, width over height")
        self.scale, self.ratio = scale, ratio

    def boxes(self, shapes: npt.NDArray[np.int64], draw: Draw) -> npt.NDArray[np.float64]:
        """Return boxes (left, top, right, bottom): the first of ten tries that fits, else the largest centred part within `ratio`."""
        height, width = shapes[:, :1].astype(np.float64), shapes[:, 1:].astype(np.float64)
        area = draw.uniform(*self.scale, TRIES).cpu().double().numpy() * height * width
        ratio = np.exp(draw.uniform(math.log(self.ratio[0]), math.log(self.ratio[1]), TRIES).cpu().double().numpy())
        place = draw.uniform(0, 1, 2).cpu().double().numpy()
        wide, tall = np.sqrt(area * ratio), np.sqrt(area / ratio)
        fits = (wide <= width) & (tall <= height)
        first = fits.argmax(1)[:, None]
        wide, tall = np.take_along_axis(wide, first, 1)[:, 0], np.take_along_axis(tall, first, 1)[:, 0]
        height, width = height[:, 0], width[:, 0]
        within = np.clip(width / height, *self.ratio)
        none = ~fits.any(1)
        wide = np.where(none, np.minimum(width, height * within), wide)
        tall = np.where(none, np.minimum(height, width / within), tall)
        left = np.where(none, 0.5, place[:, 0]) * (width - wide)
        top = np.where(none, 0.5, place[:, 1]) * (height - tall)
        return np.stack([left, top, np.minimum(left + wide, width), np.minimum(top + tall, height)], axis=1)

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        """Return the parts enlarged to the pictures' own size (bilinear), floats."""
        count, _, height, width = x.shape
        boxes = torch.from_numpy(self.boxes(np.tile([height, width], (count, 1)), draw)).float().to(x.device)
        left, top, right, bottom = boxes.unbind(1)
        zero = torch.zeros_like(left)
        across = torch.stack([(right - left) / width, zero, (left + right) / width - 1], dim=1)
        down = torch.stack([zero, (bottom - top) / height, (top + bottom) / height - 1], dim=1)
        return _sampled(x, torch.stack([across, down], dim=1), "border")

    def motion(self, draw: Draw, size: tuple[int, int]) -> Tensor:
        """Return the motions N 2 3 from the whole picture of `size` H W to its part enlarged to `size`."""
        height, width = size
        parts = torch.from_numpy(self.boxes(np.tile([height, width], (len(draw.index), 1)), draw)).float().to(draw.device)
        left, top, right, bottom = parts.unbind(1)
        across, down = width / (right - left), height / (bottom - top)
        return scaled_and_moved(across, down, -left * across, -top * down)


class Affine(Augmentation):
    """Rotation, scale, squeeze, shear and shift about the centre, drawn per picture and done in one bilinear step."""

    places = True

    def __init__(self, rotate: float, scale: tuple[float, float], squeeze: float, shear: float, shift: float, mode: Border) -> None:
        if not 0 < scale[0] <= scale[1]:
            raise ArgumentError(f"augment: affine's scale is {scale}; expected 0 < low <= high")
        for name, value, most in (("rotate", rotate, 180), ("squeeze", squeeze, 10), ("shear", shear, 80), ("shift", shift, 1)):
            if not 0 <= value <= most:
                raise ArgumentError(f"augment: affine's {name} is {value}; expected 0 to {most}")
        self.rotate, self.scale, self.squeeze, self.shear, self.shift, self.mode = rotate, scale, squeeze, shear, shift, mode

    def matrices(self, draw: Draw) -> tuple[Tensor, Tensor]:
        """Return (N 2 2, N 2): where an output point (x, y), in pixels from the centre, comes from; and the shift in shares of width and height."""
        angle = torch.deg2rad(draw.uniform(-self.rotate, self.rotate))
        scale = draw.uniform(math.log(self.scale[0]), math.log(self.scale[1])).exp()
        squeeze = draw.uniform(-math.log1p(self.squeeze), math.log1p(self.squeeze)).exp().sqrt()
        lean = torch.tan(torch.deg2rad(draw.uniform(-self.shear, self.shear)))
        cos, sin = torch.cos(angle), torch.sin(angle)
        one, zero = torch.ones_like(cos), torch.zeros_like(cos)

        def matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
            return torch.stack([torch.stack([a, b], 1), torch.stack([c, d], 1)], 1)

        turned = matrix(cos, -sin, sin, cos) @ matrix(one, lean, zero, one)
        return turned @ matrix(1 / (scale * squeeze), zero, zero, squeeze / scale), draw.uniform(-self.shift, self.shift, 2)

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        """Return the changed pictures, floats of the same shape."""
        height, width = x.shape[2:]
        matrix, shift = self.matrices(draw)
        sides = torch.tensor([width, height], dtype=torch.float32, device=x.device)
        matrix = matrix * sides / sides[:, None]  # from pixels to grid_sample's -1 to 1
        return _sampled(x, torch.cat([matrix, 2 * shift[:, :, None]], dim=2), "zeros" if self.mode == "zero" else "border")

    def motion(self, draw: Draw, size: tuple[int, int]) -> Tensor:
        """Return the motions N 2 3: the inverse of where output points come from, about the centre of a picture of `size` H W."""
        matrix, shift = self.matrices(draw)
        sides = torch.tensor([size[1], size[0]], dtype=torch.float32, device=matrix.device)
        forward = torch.linalg.inv(matrix)
        # output point q (from the centre) shows the input's matrix @ q + shift * sides, so the input's p is seen at inv(matrix) @ (p - shift * sides)
        offset = sides / 2 - (forward @ (sides / 2 + shift * sides)[:, :, None])[:, :, 0]
        return torch.cat([forward, offset[:, :, None]], dim=2)


Border = Literal["zero", "edge"]


def _sampled(x: Tensor, theta: Tensor, border: str) -> Tensor:
    pictures = unit(x).contiguous()
    grid = functional.affine_grid(theta.to(pictures.dtype), list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, mode="bilinear", padding_mode=border, align_corners=False)


@augmentation("resized_crop", help="cut a random part of the picture and resize it to the input")
def resized_crop(scale: tuple[float, float] = (0.08, 1.0), ratio: tuple[float, float] = (0.75, 1.3333333333333333)) -> ResizedCrop:
    """Return the random resized crop (Szegedy et al. 2015): a share of the area in `scale`, width over height in `ratio`."""
    return ResizedCrop(scale, ratio)


@augmentation("affine", help="rotate, scale, squeeze, shear and shift about the centre")
def affine(
    rotate: float = 10.0,
    scale: tuple[float, float] = (0.9, 1.1),
    *,
    squeeze: float = 0.0,
    shear: float = 0.0,
    shift: float = 0.0,
    mode: Literal["zero", "edge"] = "zero",
) -> Affine:
    """Return the affine change: `rotate` and `shear` in degrees, `scale` in size, 1 + `squeeze` in width over height, `shift` in shares."""
    return Affine(rotate, scale, squeeze, shear, shift, mode)
