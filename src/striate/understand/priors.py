"""What is asked of a picture besides the objective: little total variation, nearness to grey; and how it is shaken while it grows (row U4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def total_variation(pixels: Tensor, power: float = 2.0, *, smooth: float = 1e-6) -> Tensor:
    """Return the total variation of pictures N C H W, one number each, summed over pixels: (dx² + dy²)^(power / 2), forward differences.

    The last row and column have no difference beyond them. Below a power of 2 `smooth` is added to the squares, so that flat areas have a gradient.
    Source: Mahendran and Vedaldi 2015, equation 5; row U5.
    """
    across = F.pad(pixels[..., :, 1:] - pixels[..., :, :-1], (0, 1)).square()
    down = F.pad(pixels[..., 1:, :] - pixels[..., :-1, :], (0, 0, 0, 1)).square()
    squares = across + down
    if power != 2:
        squares = (squares + smooth) ** (power / 2) - smooth ** (power / 2)
    return squares.flatten(1).sum(1)


def from_grey(pixels: Tensor) -> Tensor:
    """Return the squared distance of pictures N C H W from medium grey, one number each, summed over pixels: the ‖I‖² of Simonyan et al. 2014."""
    return (pixels - 0.5).square().flatten(1).sum(1)


def blurred(values: Tensor, deviation: float) -> Tensor:
    """Return N C H W smoothed by a Gaussian of that standard deviation in pixels; the border is repeated outwards. 0 leaves it as it is."""
    if deviation <= 0:
        return values
    reach = max(1, math.ceil(3 * deviation))
    steps = torch.arange(-reach, reach + 1, dtype=values.dtype, device=values.device)
    kernel = torch.exp(-0.5 * (steps / deviation).square())
    kernel = kernel / kernel.sum()
    flat = values.reshape(-1, 1, *values.shape[-2:])
    flat = F.conv2d(F.pad(flat, (reach, reach, 0, 0), mode="replicate"), kernel.view(1, 1, 1, -1))
    flat = F.conv2d(F.pad(flat, (0, 0, reach, reach), mode="replicate"), kernel.view(1, 1, -1, 1))
    return flat.reshape(values.shape)


def shaken(pixels: Tensor, generators: Sequence[torch.Generator], *, jitter: int = 0, zoom: float = 0.0, turn: float = 0.0) -> Tensor:
    """Return each picture shifted by up to `jitter` pixels, zoomed by up to the share `zoom` and turned by up to `turn` degrees, its edges mirrored.

    Each picture has a generator of its own, so that it moves the same way in any batch. Differentiable.
    """
    if zoom > 0 or turn > 0:
        pixels = _turned(pixels, generators, zoom, turn)
    jitter = min(jitter, min(pixels.shape[-2:]) - 1)
    if jitter < 1:
        return pixels
    height, width = pixels.shape[-2:]
    padded = F.pad(pixels, (jitter,) * 4, mode="reflect")
    moved = []
    for picture, generator in zip(padded, generators, strict=True):
        top, left = torch.randint(0, 2 * jitter + 1, (2,), generator=generator).tolist()
        moved.append(picture[:, top : top + height, left : left + width])
    return torch.stack(moved)


def _turned(pixels: Tensor, generators: Sequence[torch.Generator], zoom: float, turn: float) -> Tensor:
    ratio = pixels.shape[-1] / pixels.shape[-2]
    matrices = []
    for generator in generators:
        first, second = (2 * torch.rand(2, generator=generator) - 1).tolist()
        factor, angle = (1 + zoom) ** -first, math.radians(turn * second)
        cosine, sine = factor * math.cos(angle), factor * math.sin(angle)
        matrices.append([[cosine, -sine / ratio, 0.0], [sine * ratio, cosine, 0.0]])
    grid = F.affine_grid(pixels.new_tensor(matrices), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
