"""Where a split's samples lie: pictures of one size, pictures of many sizes, or tokens. Plain NumPy, memory-mapped where possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError, DataError
from striate.core.storage import digest

if TYPE_CHECKING:
    from torch import Tensor

COPY_LIMIT = 16 << 30
"""Largest part of a fixed store (bytes) that `take` copies into memory."""


@dataclass(frozen=True, eq=False)
class Fixed:
    """Pictures of one size: `pixels` N C H W (in any memory order), uint8 (0 to 255) or float32; an array or a memory map."""

    pixels: npt.NDArray[Any]
    fingerprint: str
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype not in (np.uint8, np.float32):
            raise ArgumentError(f"pixels: got {self.pixels.dtype} of shape {self.pixels.shape}, expected N C H W, uint8 or float32")

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """C H W of every picture."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def picture(self, i: int) -> npt.NDArray[np.uint8]:
        """Return picture `i` as H W C uint8; floats are taken as shares of 1 and clipped."""
        picture: npt.NDArray[Any] = self.pixels[i].transpose(1, 2, 0)
        if picture.dtype != np.uint8:
            picture = (np.clip(np.nan_to_num(picture), 0, 1) * 255).round().astype(np.uint8)
        return picture

    def take(self, rows: npt.NDArray[np.int64]) -> Fixed:
        """Return the pictures at `rows` as a store of their own (a copy in memory)."""
        size = len(rows) * int(np.prod(self.shape)) * self.pixels.itemsize
        if size > COPY_LIMIT:
            raise DataError(f"holding out a part of this set would copy {size / 2**30:.0f} GiB into memory; give the part a folder of its own (val/)")
        pixels = np.asarray(self.pixels).transpose(0, 2, 3, 1)
        taken = pixels[rows].transpose(0, 3, 1, 2) if pixels.flags.c_contiguous else np.asarray(self.pixels)[rows]
        return Fixed(taken, digest(self.fingerprint, rows.astype("<i8").tobytes()))

    def tensor(self, device: str) -> Tensor | None:
        """Return all pictures on `device` as N C H W, colour pictures laid out channels last; None when they would not fit there.

        Made once per device. On the CPU a grey array is shared, not copied; memory maps stay on disk when they are larger than half the free memory.
        """
        if device not in self._kept:
            self._kept[device] = _on_device(self.pixels, device)
        kept: Tensor | None = self._kept[device]
        return kept


@dataclass(frozen=True, eq=False)
class Ragged:
    """Pictures of many sizes, decoded: picture `i` is `shapes[i]` (H W C) uint8, starting at `offsets[i]` of the flat `data`.

    `offsets` has one entry more than `shapes` in a pack; after `take` only the starts count.
    """

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    shapes: npt.NDArray[np.int32]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.shapes)

    def picture(self, i: int) -> npt.NDArray[np.uint8]:
        """Return picture `i` as an H W C uint8 view, without copying."""
        height, width, channels = (int(n) for n in self.shapes[i])
        start = int(self.offsets[i])
        return self.data[start : start + height * width * channels].reshape(height, width, channels)

    def take(self, rows: npt.NDArray[np.int64]) -> Ragged:
        """Return the pictures at `rows` as a store of their own; the pixels are shared."""
        return Ragged(self.data, self.offsets[rows], self.shapes[rows], digest(self.fingerprint, rows.astype("<i8").tobytes()))


@dataclass(frozen=True, eq=False)
class Tokens:
    """Sentences as numbers: `tokens` N L int64, padded with 0 on the right; `lengths` N int64; `texts` N, what they were, where that is known."""

    tokens: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    fingerprint: str
    texts: npt.NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, rows: npt.NDArray[np.int64]) -> Tokens:
        """Return the sentences at `rows` as a store of their own."""
        texts = None if self.texts is None else self.texts[rows]
        return Tokens(self.tokens[rows], self.lengths[rows], digest(self.fingerprint, rows.astype("<i8").tobytes()), texts)


Store = Fixed | Ragged | Tokens


def as_tensor(array: npt.NDArray[Any]) -> Tensor:
    """Share an array's memory with torch, read-only maps too (nothing here writes to them)."""
    import warnings

    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.asarray(array))


def array_fingerprint(arrays: Sequence[npt.NDArray[Any]]) -> str:
    """Return the digest of arrays' types, shapes and bytes."""
    parts: list[bytes] = []
    for array in arrays:
        parts += [str(array.dtype).encode(), str(array.shape).encode(), np.ascontiguousarray(array).tobytes()]
    return digest(*parts)


def _on_device(pixels: npt.NDArray[Any], device: str) -> Tensor | None:
    import torch

    if device.startswith("cuda"):
        fits = pixels.nbytes < 0.5 * torch.cuda.mem_get_info(device)[0]
    else:
        fits = not isinstance(pixels, np.memmap) or pixels.nbytes < 0.5 * _free_memory()
    if not fits:
        return None
    whole = as_tensor(pixels)
    if pixels.shape[1] > 1:
        whole = whole.contiguous(memory_format=torch.channels_last)
    return whole.to(device)


def _free_memory() -> float:
    try:
        with open("/proc/meminfo", encoding="utf-8") as stream:
            line = next(line for line in stream if line.startswith("MemAvailable"))
        return float(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return 4 * 2**30
