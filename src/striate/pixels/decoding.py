"""One file or open picture to pixels, right or not at all: upright, scaled, over a stated background; anything doubtful raises `PictureError`."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from striate.core.errors import ArgumentError, PictureError
from striate.pixels import jpeg
from striate.pixels.modes import to_uint8, upright
from striate.pixels.quiet import strict_pillow
from striate.pixels.refusal import AGAIN, CONVERT, refusal
from striate.pixels.scaling import reduced, reduction, with_channels

if TYPE_CHECKING:
    from PIL import Image

WHITE = (255, 255, 255)
LARGEST = 178_956_970
"""Pixels a picture may have (Pillow's own hard limit): more is taken for a decompression bomb."""

_NAMES = "jpg jpeg jpe jfif png apng gif bmp dib tif tiff webp ppm pgm pbm pnm avif jp2 j2k tga heic heif"
SUFFIXES = frozenset(f".{name}" for name in _NAMES.split())
"""What a picture's name ends in. HEIC stands here so that it is refused by name, not passed over."""

_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "TIFF", "WEBP", "PPM", "AVIF", "JPEG2000", "TGA")


def is_picture(path: str | Path) -> bool:
    """Say whether a file's name ends like a picture's; nothing is opened."""
    return Path(path).suffix.lower() in SUFFIXES


def decode(
    path: str | Path,
    *,
    channels: Literal[1, 3] | None = None,
    background: tuple[int, int, int] = WHITE,
    short_side: int | None = None,
) -> np.ndarray:
    """Read one picture file: H W C, uint8, upright, first frame.

    Args:
        path: JPEG, PNG, GIF, BMP, TIFF, WebP, PPM, AVIF, JPEG 2000 or TGA.
        channels: 1 for grey (ITU-R 601 luma), 3 for colour, None for what the file holds.
        background: what shows through transparent pixels, as R, G, B from 0 to 255.
        short_side: where given, large pictures are read at 1/2, 1/4 or 1/8 as long as their short side keeps this many pixels.

    Greater depths are scaled, not clipped; CMYK is converted; embedded colour profiles are not applied.

    Raises:
        PictureError: the file is missing, empty, cut off, no picture, larger than `LARGEST`, or of a scale nobody can know.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    return decode_bytes(data, path, channels=channels, background=background, short_side=short_side)


def decode_bytes(
    data: bytes,
    path: str | Path,
    *,
    channels: Literal[1, 3] | None = None,
    background: tuple[int, int, int] = WHITE,
    short_side: int | None = None,
    buffer: np.ndarray | None = None,
) -> np.ndarray:
    """Decode a file's bytes as `decode` does; `path` is only named in errors.

    `buffer` (flat uint8) may be decoded into: then the result is its beginning. It may hold anything else afterwards.
    """
    _check_channels(channels)
    if not data:
        raise refusal(path, data)
    pixels = _quick(data, path, short_side, buffer)
    if pixels is None:
        pixels = _pillow(data, path, background, short_side)
    return with_channels(pixels, channels) if channels else pixels


def decode_open(
    picture: Image.Image,
    name: str = "",
    *,
    channels: Literal[1, 3] | None = None,
    background: tuple[int, int, int] = WHITE,
    short_side: int | None = None,
) -> np.ndarray:
    """Decode an open PIL picture, the frame it stands at, as `decode` would its file: H W C, uint8, upright. The picture is not changed.

    `name` is named in errors (default: the file it was opened from). Only a JPEG read smaller by `short_side` may differ from its file, by rounding.
    Raises `PictureError` as `decode`, `ArgumentError` for anything but a PIL picture.
    """
    from PIL import Image

    if not isinstance(picture, Image.Image):
        raise ArgumentError(f"{name or 'picture'}: got {type(picture).__name__}, expected a PIL picture")
    _check_channels(channels)
    path = str(getattr(picture, "filename", "")) or name or "the PIL picture"
    _check_size(path, *picture.size)
    with strict_pillow():
        try:
            picture.load()
            pixels = upright(to_uint8(picture, path, background), _orientation(picture))
        except PictureError:
            raise
        except Exception as error:  # noqa: BLE001 - as in `_pillow`; the file may also have been closed meanwhile
            raise _broken(path, error) from None
    pixels = reduced(pixels, reduction(pixels.shape[0], pixels.shape[1], short_side))
    return with_channels(pixels, channels) if channels else pixels


def unreadable(path: str | Path, error: OSError) -> PictureError:
    """Return the error for a file the system will not let us read."""
    if isinstance(error, FileNotFoundError):
        return PictureError(path, "does not exist", "Check the name (upper and lower case count)")
    if isinstance(error, IsADirectoryError):
        return PictureError(Path(path), "cannot be read: it is a folder", "Give the picture files in it")
    return PictureError(path, f"cannot be read ({error.strerror or error})", "Check its permissions and the disk")


def _quick(data: bytes, path: str | Path, short_side: int | None, buffer: np.ndarray | None) -> np.ndarray | None:
    head = jpeg.header(data)
    if head is None or not head.height or not head.width:
        return None
    _check_size(path, head.width, head.height)
    pixels = jpeg.decode_plain(data, head, reduction(head.height, head.width, short_side), buffer)
    return None if pixels is None else upright(pixels, head.orientation)


def _pillow(data: bytes, path: str | Path, background: tuple[int, int, int], short_side: int | None) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    with strict_pillow():
        try:
            with Image.open(io.BytesIO(data), formats=_formats()) as image:
                width, height = image.size
                _check_size(path, width, height)
                factor = reduction(height, width, short_side)
                if factor > 1:
                    image.draft(None, (width // factor, height // factor))  # works for JPEG; the others stay whole and are reduced below
                factor = 1 if image.size != (width, height) else factor
                image.load()
                pixels = upright(to_uint8(image, path, background), _orientation(image))
        except PictureError:
            raise
        except UnidentifiedImageError:
            raise refusal(path, data) from None
        except Image.DecompressionBombError:
            raise PictureError(path, f"has more than {LARGEST:,} pixels, as a decompression bomb has", "Scale it down, or delete it") from None
        except Exception as error:  # noqa: BLE001 - on broken files Pillow's plugins raise errors of a dozen types
            raise _broken(path, error) from None
    return reduced(pixels, factor)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001 - broken metadata does not touch the pixels; every viewer shows such a file unturned
        return 1
    return value if isinstance(value, int) else 1


def _broken(path: str | Path, error: Exception) -> PictureError:
    text = str(error).strip() or type(error).__name__
    if "truncated" in text or isinstance(error, EOFError):
        return PictureError(path, f"is cut off before its end ({text})", AGAIN)
    if isinstance(error, MemoryError):
        return PictureError(path, "needs more memory to decode than there is", "Scale it down")
    if "cannot identify" in text or "not supported" in text or "unsupported" in text.lower():
        return PictureError(path, f"is of a kind Pillow cannot decode ({text})", CONVERT)
    return PictureError(path, f"is damaged ({text})", AGAIN)


def _check_channels(channels: int | None) -> None:
    if channels not in (None, 1, 3):
        raise ArgumentError(f"channels: got {channels!r}, expected 1 (grey), 3 (colour) or None (as stored)")


def _check_size(path: str | Path, width: int, height: int) -> None:
    if width * height > LARGEST:
        reason = f"has {width:,} × {height:,} pixels, more than the {LARGEST:,} allowed: too large, or a decompression bomb"
        raise PictureError(path, reason, "Scale it down, or delete it")


@functools.cache
def _formats() -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)
