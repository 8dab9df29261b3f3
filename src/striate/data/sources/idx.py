"""The IDX format of MNIST and its kin: a magic number, big-endian sizes, then bytes (LeCun, Cortes and Burges 1998)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.core.errors import DataError
from striate.data.dataset import Dataset, Table
from striate.data.sources.official import Download, Progress, checked, fetched, home, unlike_published, unzipped
from striate.data.stores import Fixed

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def read_idx(path: Path, axes: int) -> npt.NDArray[np.uint8]:
    """Return the unsigned bytes of an IDX file with `axes` axes, memory-mapped (copy on write).

    Raises `DataError` naming the file, and the magic number or size found and expected.
    """
    size = path.stat().st_size
    head = 4 + 4 * axes
    with path.open("rb") as stream:
        start = stream.read(head)
    if start[:2] == b"\x1f\x8b":
        raise DataError(f"{path}: is still compressed; name it {path.name}.gz")
    if len(start) < head or start[:4] != bytes((0, 0, 8, axes)):
        raise DataError(
            f"{path}: starts with {start[:4].hex(' ') or 'nothing'}, expected {bytes((0, 0, 8, axes)).hex(' ')} (IDX, unsigned bytes, {axes} axes)"
        )
    shape = struct.unpack(f">{axes}I", start[4:])
    expected = head + int(np.prod(shape, dtype=np.int64))
    if size != expected:
        raise DataError(f"{path}: has {size} bytes, expected {expected} for {' x '.join(map(str, shape))}; download it again")
    if 0 in shape:
        raise DataError(f"{path}: holds nothing ({' x '.join(map(str, shape))})")
    return np.memmap(path, dtype=np.uint8, mode="c", offset=head, shape=shape)


def write_idx(path: Path, array: npt.NDArray[np.uint8]) -> None:
    """Write unsigned bytes as an IDX file (for tests and tiny archives)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes())


def write_tiny(folder: Path, *, train: int = 40, test: int = 20, size: int = 28, seed: int = 0) -> None:
    """Write a tiny archive in the real format: random pictures, labels 0 to 9 in turn."""
    generator = np.random.default_rng(seed)
    for part, count in (("train", train), ("test", test)):
        images, labels = FILES[part]
        write_idx(folder / images, generator.integers(0, 256, (count, size, size), dtype=np.uint8))
        write_idx(folder / labels, (np.arange(count) % 10).astype(np.uint8))


def load_idx(
    name: str, classes: tuple[str, ...], *, base: str, packed: Mapping[str, str], plain: Mapping[str, str], progress: Progress | None
) -> Dataset:
    """Return the data set `name` from its four IDX files; `packed` and `plain` are the published MD5s of the .gz files and of their content."""
    files = {file: _found(name, file, base, packed, progress) for pair in FILES.values() for file in pair}
    tables: dict[str, Table] = {}
    for part, (images, labels) in FILES.items():
        pixels, targets = read_idx(files[images], 3), np.asarray(read_idx(files[labels], 1)).astype(np.int64)
        if len(pixels) != len(targets):
            raise DataError(f"{files[labels]}: has {len(targets)} labels for the {len(pixels)} pictures of {files[images].name}")
        if targets.max() >= len(classes):
            raise DataError(f"{files[labels]}: holds label {targets.max()}, expected 0 to {len(classes) - 1}")
        tables[part] = Table(Fixed(_channelled(pixels), checked(files[images])), targets)
    return Dataset(name=name, classes=classes, tables=tables, spec=name, notes=unlike_published(files, plain))


def _channelled(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return pixels[:, None]


def _found(name: str, file: str, base: str, packed: Mapping[str, str], progress: Progress | None) -> Path:
    folder = home(name)
    if folder is not None:
        if (folder / file).exists():
            return folder / file
        if (folder / f"{file}.gz").exists():
            return unzipped(folder / f"{file}.gz", name)
    return unzipped(fetched(Download(base, f"{file}.gz", packed[file]), name, progress), name)
