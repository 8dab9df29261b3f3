"""From any of Pillow's modes to eight bits a channel: scaled, never clipped; alpha laid over a stated background."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from striate.core.errors import PictureError

if TYPE_CHECKING:
    from PIL import Image

    Colour = tuple[int, int, int]

_SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")
_GREY = ("1", "L", "LA", "La")
_SIXTEEN_IN_32 = ("PNG", "PPM")
"""Formats of at most 16 bits that Pillow may deliver as 32-bit integers."""


def to_uint8(image: Image.Image, path: str | Path, background: Colour) -> np.ndarray:
    """Return a loaded picture's pixels, H W C uint8 with C 1 (grey) or 3 (colour).

    16 bits are scaled by 255/65535 and rounded; floats are taken as shares of white, 0 to 1; alpha is laid over `background`.
    Raises `PictureError` for floats outside 0..1, 32-bit integers and the CIE Lab space, whose full scale or meaning is not stored.
    """
    mode = image.mode
    if mode in _SIXTEEN or mode == "I":
        return _over_key(_sixteen(image, path), image, background)
    if mode == "F":
        return _shares(np.asarray(image), path)
    if mode == "LAB":
        raise PictureError(path, "is in the CIE Lab colour space, which needs a colour profile to be shown", "Save it as sRGB")
    if image.has_transparency_data:
        grey = mode in _GREY and len(set(background)) == 1
        return _over(np.asarray(image.convert("LA" if grey else "RGBA")), background[:1] if grey else background)
    if mode in _GREY:
        return np.asarray(image if mode == "L" else image.convert("L"))[:, :, None]
    return np.asarray(image if mode == "RGB" else image.convert("RGB"))


def _sixteen(image: Image.Image, path: str | Path) -> np.ndarray:
    values = np.asarray(image).astype(np.int64)
    full, inverted = 65535, False
    if image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        bits = tuple(tags.get(258, (16,)))
        inverted = tags.get(262) == 0
        full = (1 << bits[0]) - 1 if bits[0] in (10, 12, 14, 16) else 0
    elif image.mode == "I" and image.format not in _SIXTEEN_IN_32:
        full = 0
    if not full or values.min(initial=0) < 0 or values.max(initial=0) > full:
        reason = f"has integer pixels from {values.min():,} to {values.max():,} with no stored full scale"
        raise PictureError(path, reason, "Scale it to 8 or 16 bits yourself, so that nothing is guessed")
    scaled = (values * 510 + full) // (2 * full)
    return (255 - scaled if inverted else scaled).astype(np.uint8)[:, :, None]


def _shares(values: np.ndarray, path: str | Path) -> np.ndarray:
    if not np.isfinite(values).all():
        raise PictureError(path, "has pixels that are not numbers (NaN or infinite)", "Mend the values, or delete it")
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if low < 0 or high > 1:
        reason = f"has floating-point pixels from {low:g} to {high:g}; only shares of white, 0 to 1, have a known scale"
        raise PictureError(path, reason, "Divide it by its full scale, or save it with 8 or 16 bits")
    return np.rint(values * 255.0).astype(np.uint8)[:, :, None]


def _over_key(grey: np.ndarray, image: Image.Image, background: Colour) -> np.ndarray:
    """Lay a 16-bit picture whose one transparent value is stored (PNG's tRNS) over the background."""
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return grey
    mask = (np.asarray(image) != key).astype(np.uint8)[:, :, None] * 255
    if len(set(background)) == 1:
        return _over(np.concatenate([grey, mask], 2), background[:1])
    return _over(np.concatenate([grey, grey, grey, mask], 2), background)


def _over(pixels: np.ndarray, background: tuple[int, ...]) -> np.ndarray:
    """Lay H W C+1 (alpha last) over a colour: round((a p + (255 - a) b) / 255)."""
    alpha = pixels[:, :, -1:]
    if int(alpha.min(initial=255)) == 255:
        return np.ascontiguousarray(pixels[:, :, :-1])
    share = alpha.astype(np.uint32)
    mixed = pixels[:, :, :-1] * share + np.asarray(background, np.uint32) * (255 - share)
    return ((mixed + 127) // 255).astype(np.uint8)


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn H W C pixels as the EXIF orientation (1 to 8) asks; other values leave them as they are."""
    match orientation:
        case 2:
            turned = pixels[:, ::-1]
        case 3:
            turned = pixels[::-1, ::-1]
        case 4:
            turned = pixels[::-1]
        case 5:
            turned = pixels.transpose(1, 0, 2)
        case 6:
            turned = np.rot90(pixels, -1)
        case 7:
            turned = pixels[::-1, ::-1].transpose(1, 0, 2)
        case 8:
            turned = np.rot90(pixels, 1)
        case _:
            return pixels
    return np.ascontiguousarray(turned)
