"""Sizes and channels of decoded pictures: the one way striate resizes, in training, prediction and export alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

Filter = Literal["bilinear", "bicubic"]
Box = tuple[float, float, float, float]
"""A part of a picture in pixels: left, top, right, bottom; fractions are allowed."""


def reduction(height: int, width: int, short_side: int | None) -> int:
    """Return the largest of 8, 4, 2, 1 by which a picture can shrink while its short side keeps `short_side` pixels (None: 1)."""
    if short_side is None:
        return 1
    return next((factor for factor in (8, 4, 2) if min(height, width) // factor >= max(short_side, 1)), 1)


def reduced(pixels: np.ndarray, factor: int) -> np.ndarray:
    """Shrink H W C uint8 by a whole factor, averaging factor x factor blocks; borders that do not fill a block average what is there."""
    if factor == 1:
        return pixels
    return _array(_image(pixels).reduce(factor))


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Return H W C uint8 with 1 (ITU-R 601 luma) or 3 channels (grey repeated); equal numbers of channels are left alone."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3 and pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if channels == 1 and pixels.shape[2] == 3:
        return _array(_image(pixels).convert("L"))
    raise ValueError(f"cannot turn {pixels.shape[2]} channels into {channels}")


def resized(pixels: np.ndarray, size: tuple[int, int], *, box: Box | None = None, kind: Filter = "bilinear", antialias: bool = True) -> np.ndarray:
    """Resample a part of a picture to `size` (H, W): H W C uint8 in, H W C uint8 out.

    Pillow's resampling on bytes: with `antialias` (the default) the filter widens with the reduction; without, it looks at the nearest
    2 x 2 or 4 x 4 pixels only, as deployment code often does. With a `box`, pixels around it count as far as the filter reaches.
    """
    from PIL import Image

    height, width, channels = pixels.shape
    whole = (0.0, 0.0, float(width), float(height))
    box = whole if box is None else box
    if (height, width) == tuple(size) and box == whole:
        return pixels
    if channels not in (1, 3):
        bands = [resized(pixels[:, :, c : c + 1], size, box=box, kind=kind, antialias=antialias) for c in range(channels)]
        return np.concatenate(bands, axis=2)
    resample = Image.Resampling.BILINEAR if kind == "bilinear" else Image.Resampling.BICUBIC
    # Pillow copies the whole picture in: hand it no more than the pixels within the filter's reach of the box.
    reach = 1 if kind == "bilinear" else 2
    x = max(1.0, (box[2] - box[0]) / size[1]) * reach + 1 if antialias else reach + 1
    y = max(1.0, (box[3] - box[1]) / size[0]) * reach + 1 if antialias else reach + 1
    left, top = max(0, int(box[0] - x)), max(0, int(box[1] - y))
    right, bottom = min(width, int(np.ceil(box[2] + x))), min(height, int(np.ceil(box[3] + y)))
    image = _image(pixels[top:bottom, left:right])
    inner = (box[0] - left, box[1] - top, min(box[2] - left, image.width), min(box[3] - top, image.height))
    if antialias:
        return _array(image.resize((size[1], size[0]), resample, box=inner))
    return _array(image.transform((size[1], size[0]), Image.Transform.EXTENT, inner, resample))


def _image(pixels: np.ndarray) -> Image.Image:
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))


def _array(image: Image.Image) -> np.ndarray:
    values = np.asarray(image)
    return values[:, :, None] if values.ndim == 2 else values
