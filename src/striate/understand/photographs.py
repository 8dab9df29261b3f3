"""Whole photographs at a size that can be worked on: neither cropped nor squeezed to a network's own (rows U9)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.core.arguments import whole_number
from striate.core.errors import ArgumentError
from striate.understand.pictures import pixels_of


def photograph(images: Any, size: int | None, *, what: str = "images") -> tuple[Tensor, tuple[str, ...]]:
    """Return pictures N C H W in [0, 1] whose longer side is at most `size` pixels, their shape kept, and their names. None leaves them as they are.

    Raises `ArgumentError` naming `what`, `PictureError`.
    """
    if size is not None and whole_number("size", size, least=0) < 16:
        raise ArgumentError(f"size: got {size}, expected 16 pixels or more")
    pixels, names, _ = pixels_of(images)
    if pixels.shape[1] not in (1, 3):
        raise ArgumentError(f"{what}: got {pixels.shape[1]} channels, expected grey or colour pictures, of 1 or 3")
    longer = max(pixels.shape[-2:])
    return (pixels if size is None or longer <= size else resized(pixels, size / longer)), names


def resized(pixels: Tensor, factor: float) -> Tensor:
    """Return pictures N C H W scaled by a factor, reduced without aliasing; both sides at least 1 pixel."""
    return to_size(pixels, tuple(max(1, round(side * factor)) for side in pixels.shape[-2:]))


def to_size(pixels: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return pictures N C H W brought to H W = `size`, smoothly; values stay within those that were there."""
    if tuple(pixels.shape[-2:]) == tuple(size):
        return pixels
    return F.interpolate(pixels, size=list(size), mode="bilinear", antialias=True, align_corners=False)


def luminance(pixels: Tensor) -> Tensor:
    """Return the brightness N 1 H W of pictures N 3 H W by the weights .299, .587, .114; of grey ones themselves."""
    if pixels.shape[1] == 1:
        return pixels
    return (pixels * pixels.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)


def recoloured(pixels: Tensor, like: Tensor) -> Tensor:
    """Return pictures N C H W whose colours have the mean and the covariance of those of `like` (one picture each, or one for all), within [0, 1].

    The linear map is the one by the covariances' symmetric square roots. Source: Gatys et al. 2017, "Controlling perceptual factors", section 5.
    """
    flat, wanted = pixels.double().flatten(2), like.double().flatten(2)
    mean, mean_wanted = flat.mean(2, keepdim=True), wanted.mean(2, keepdim=True)
    turned = _root(_covariance(wanted)) @ _root(_covariance(flat), inverse=True)
    made = turned @ (flat - mean) + mean_wanted
    return made.reshape(max(len(flat), len(wanted)), *pixels.shape[1:]).to(pixels.dtype).clamp(0, 1)


def _covariance(flat: Tensor) -> Tensor:
    centred = flat - flat.mean(2, keepdim=True)
    return centred @ centred.transpose(1, 2) / flat.shape[2]


def _root(matrix: Tensor, *, inverse: bool = False) -> Tensor:
    values, axes = torch.linalg.eigh(matrix)
    roots = values.clamp(min=1e-8).sqrt()
    made: Tensor = axes @ torch.diag_embed(1 / roots if inverse else roots) @ axes.transpose(1, 2)
    return made
