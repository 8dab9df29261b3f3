"""The binary format of CIFAR: records of one or two label bytes, then 1,024 red, green and blue bytes (Krizhevsky 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from striate.core.errors import DataError
from striate.core.storage import atomic, cache_folder, digest
from striate.data.dataset import Dataset, Table
from striate.data.sources.official import Download, Progress, checked, fetched, home, untarred
from striate.data.stores import Fixed

PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Layout:
    """Which files make a CIFAR set: label bytes a record, which of them is the class, files by split, the file of class names."""

    name: str
    folder: str
    archive: Download
    labels: int
    splits: tuple[tuple[str, tuple[str, ...]], ...]
    names_file: str
    classes: int

    @property
    def files(self) -> tuple[str, ...]:
        """All files of the set."""
        return (*(file for _, files in self.splits for file in files), self.names_file)


def read_records(paths: Sequence[Path], labels: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return pictures N 3 32 32 uint8 and labels N L int64 of the files, one after the other.

    Raises `DataError` naming the file whose size is not a whole number of records.
    """
    record = labels + PIXELS
    counts = []
    for path in paths:
        size = path.stat().st_size
        if size == 0 or size % record:
            raise DataError(f"{path}: has {size} bytes, expected a multiple of {record} ({labels} of labels, {PIXELS} of pixels); download it again")
        counts.append(size // record)
    files = [np.memmap(path, dtype=np.uint8, mode="r", shape=(count, record)) for path, count in zip(paths, counts, strict=True)]
    targets = np.concatenate([rows[:, :labels] for rows in files]).astype(np.int64)
    return _packed(files, labels, digest(*(checked(path) for path in paths))), targets


def _packed(files: Sequence[npt.NDArray[np.uint8]], labels: int, key: str) -> npt.NDArray[np.uint8]:
    """Return all pictures N 3 32 32 from one file in the cache that holds them as N H W C, the order batches are made in; written once."""
    count = sum(len(rows) for rows in files)
    pack = cache_folder("packs") / f"cifar-{key}.nhwc"
    if not pack.exists() or pack.stat().st_size != count * PIXELS:
        with atomic(pack) as out:
            for rows in files:
                out.write(np.ascontiguousarray(rows[:, labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)).data)
    return np.memmap(pack, dtype=np.uint8, mode="c", shape=(count, 32, 32, 3)).transpose(0, 3, 1, 2)


def load_cifar(layout: Layout, progress: Progress | None) -> Dataset:
    """Return the data set of `layout` from `$STRIATE_DATA`, else the cache, else downloaded."""
    folder = _found(layout, progress)
    names = tuple(line.strip() for line in (folder / layout.names_file).read_text(encoding="utf-8").splitlines() if line.strip())
    if len(names) != layout.classes:
        raise DataError(f"{folder / layout.names_file}: names {len(names)} classes, expected {layout.classes}")
    tables = {}
    for part, files in layout.splits:
        paths = [folder / file for file in files]
        pixels, labels = read_records(paths, layout.labels)
        targets = labels[:, -1].copy()
        if targets.max() >= layout.classes:
            row = int(targets.argmax())
            raise DataError(f"{folder}: record {row} of {part} has label {targets[row]}, expected 0 to {layout.classes - 1}")
        extra = {"coarse": labels[:, 0].copy()} if layout.labels == 2 else {}
        tables[part] = Table(Fixed(pixels, digest(*(checked(path) for path in paths))), targets, extra=extra)
    return Dataset(name=layout.name, classes=names, tables=tables, spec=layout.name)


def _found(layout: Layout, progress: Progress | None) -> Path:
    folder = home(layout.folder)
    if folder is not None:
        missing = [file for file in layout.files if not (folder / file).exists()]
        if missing:
            raise DataError(f"{folder}: {missing[0]} is missing; it must hold {', '.join(layout.files)}")
        return folder
    above = home(".")
    if above is not None and (above / layout.archive.file).exists():
        return untarred(above / layout.archive.file, layout.name, layout.files)
    return untarred(fetched(layout.archive, layout.name, progress), layout.name, layout.files)


def write_tiny(folder: Path, layout: Layout, *, count: int = 20, seed: int = 0) -> None:
    """Write a tiny archive in the real format: `count` random pictures a file, labels in turn."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for file in layout.files[:-1]:
        rows = generator.integers(0, 256, (count, layout.labels + PIXELS), dtype=np.uint8)
        rows[:, layout.labels - 1] = np.arange(count) % layout.classes
        if layout.labels == 2:
            rows[:, 0] = np.arange(count) % 20
        (folder / file).write_bytes(rows.tobytes())
    (folder / layout.names_file).write_text("\n".join(f"class {number}" for number in range(layout.classes)) + "\n\n", encoding="utf-8")
