"""The quick way for plain JPEGs: simplejpeg (libjpeg-turbo) where it gives what Pillow gives, straight into a NumPy array."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any, NamedTuple

from striate.pixels.quiet import strict_pillow

if TYPE_CHECKING:
    import numpy as np

_BASELINE_TO_PROGRESSIVE = (0xC0, 0xC1, 0xC2)
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class Header(NamedTuple):
    """What the segments before the first scan say."""

    height: int
    width: int
    components: int
    orientation: int


@functools.cache
def simplejpeg() -> Any:
    """Return the module, or None where it is not installed."""
    try:
        return importlib.import_module("simplejpeg")
    except ImportError:
        return None


def header(data: bytes) -> Header | None:
    """Read size and EXIF orientation of an 8-bit grey or colour JPEG; None for every other file, and where anything is unusual."""
    if data[:2] != b"\xff\xd8":
        return None
    orientation, at = 1, 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + length]
        if marker in _FRAMES:
            plain = marker in _BASELINE_TO_PROGRESSIVE and len(body) >= 6 and body[0] == 8 and body[5] in (1, 3)
            return Header(int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big"), body[5], orientation) if plain else None
        if marker == 0xE1:
            found = _orientation(body)
            if found is None:
                return None
            orientation = max(orientation, found)
        if marker in (0xD8, 0xD9, 0xDA) or length < 2:
            return None
        at += 2 + length
    return None


def _orientation(body: bytes) -> int | None:
    """Return the orientation in an APP1 segment, 1 where it has none, None where Pillow had better look."""
    if not body.startswith(b"Exif\0\0"):
        return None if b"Orientation" in body else 1
    from PIL import Image

    exif = Image.Exif()
    try:
        with strict_pillow():
            exif.load(body)
            value = exif.get(0x0112, 1)
    except Exception:  # noqa: BLE001 - broken metadata raises whatever it likes; Pillow's own path decides what it is worth
        return None
    return value if isinstance(value, int) and 1 <= value <= 8 else None


def decode_plain(data: bytes, head: Header, factor: int, buffer: np.ndarray | None = None) -> np.ndarray | None:
    """Decode H W C uint8 (C 1 or 3), reduced by 1, 2, 4 or 8, not yet turned upright; None where Pillow must do it.

    The pixels go to the start of `buffer` (flat uint8) where it is large enough.
    Equal to Pillow's result: the same slow-but-exact cosine transform and smooth chroma, from the same library.
    """
    module = simplejpeg()
    if module is None:
        return None
    height, width = -(-head.height // factor), -(-head.width // factor)
    wanted: dict[str, Any] = {"min_height": height, "min_width": width, "min_factor": float(factor)} if factor > 1 else {}
    if buffer is not None and buffer.size >= height * width * head.components:
        wanted["buffer"] = buffer
    try:
        space = module.decode_jpeg_header(data)[2]
        if space not in ("Gray", "YCbCr"):
            return None
        pixels: np.ndarray = module.decode_jpeg(
            data, colorspace="GRAY" if head.components == 1 else "RGB", fastdct=False, fastupsample=False, **wanted
        )
    except (ValueError, RuntimeError, MemoryError):
        return None
    return pixels if pixels.shape == (height, width, head.components) else None
