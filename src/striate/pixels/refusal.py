"""What a file that is no picture is instead, in words: the reason and the fix of a `PictureError`."""

from __future__ import annotations

from pathlib import Path

from striate.core.errors import PictureError

AGAIN = "Copy or download it again, or delete it"
CONVERT = "Save it as PNG or JPEG"

_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "is a Git LFS pointer, the picture itself was never fetched", "Run `git lfs pull` where it came from"),
    (b"%PDF", "is a PDF document, not a picture", "Export its pages as PNG, or delete it"),
    (b"PK\x03\x04", "is a ZIP archive, not a picture", "Unpack it, or delete it"),
    (b"\x1f\x8b", "is a gzip archive, not a picture", "Unpack it, or delete it"),
    (b"\x00\x05\x16\x07", "is a file of metadata that macOS writes beside the picture", "Delete it"),
    (b"{", "is JSON text, not a picture", AGAIN),
)


def refusal(path: str | Path, data: bytes) -> PictureError:
    """Return the error for bytes that no decoder knows: it says what they look like."""
    reason, fix = _looks_like(data)
    return PictureError(path, reason, fix)


def _looks_like(data: bytes) -> tuple[str, str]:
    if not data:
        return "is empty (0 bytes)", AGAIN
    if not data.strip(b"\0"):
        return f"holds only zero bytes ({len(data):,} of them), as a broken copy leaves behind", AGAIN
    for start, reason, fix in _STARTS:
        if data.startswith(start):
            return reason, fix
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return "is a HEIC photograph, which Pillow cannot decode", "Convert it to JPEG (phones offer 'most compatible')"
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script")):
        return "is a web page (HTML) saved under a picture's name", "Download the picture itself, or delete the file"
    if b"<svg" in head:
        return "is an SVG drawing, which has no pixels", "Render it to PNG"
    if head.startswith(b"<"):
        return "is XML or HTML text, not a picture", AGAIN
    if _is_text(data[:512]):
        return f"is text, not a picture (it begins {data[:32].decode('ascii', 'replace')!r})", AGAIN
    return f"is no picture in a format striate reads (it begins with the bytes {data[:8].hex(' ')})", f"{CONVERT}, or delete it"


def _is_text(data: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\t\r\n" for byte in data)
