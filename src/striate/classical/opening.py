"""From a data set to rows: pixels of one size as uint8, labels, and what had to be changed for it, in words."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.classical.checking import Shape
from striate.core.errors import ArgumentError, DataError
from striate.core.runtime import derived_seed
from striate.data import load
from striate.data.dataset import Dataset
from striate.data.dataset import Table as SampleTable
from striate.data.splits import stratified
from striate.data.stores import Fixed, Tokens

LARGEST = 64
"""Pictures are brought to this many pixels a side at most."""


@dataclass(frozen=True)
class Opened:
    """Training and test rows of one data set."""

    name: str
    classes: tuple[str, ...]
    shape: Shape
    split: str
    x: npt.NDArray[Any]
    y: npt.NDArray[np.int64]
    test_x: npt.NDArray[Any]
    test_y: npt.NDArray[np.int64]
    notes: tuple[str, ...]


def opened(data: Any, *, seed: int, limit: int | None = None, size: int | None = None) -> Opened:
    """Return rows for training (`train`) and for judging (`test`, else `val`, else a stratified fifth held out).

    `limit`: at most so many pictures of each part, a stratified draw. `size`: pixels a side; None keeps up to 64 a side.
    Raises `DataError` for text, missing labels, one class only and a class with one picture only; `ArgumentError` for options.
    """
    source = load(data)
    if not isinstance(source, Dataset):
        raise ArgumentError(f"data: got {type(source).__name__}, expected a data set of striate.data (arrays: striate.data.arrays(x, y))")
    if isinstance(source.training_table.store, Tokens):
        raise DataError(f"{source.name} is text; these baselines are for pictures")
    if limit is not None and (isinstance(limit, bool) or limit < 2 * len(source.classes)):
        raise ArgumentError(
            f"limit: got {limit}, expected at least {2 * len(source.classes)}, two pictures for each of {len(source.classes)} classes"
        )
    notes: list[str] = []
    source, split = _parts(source, seed, notes)
    train, test = source.tables["train"], source.tables[split]
    for name, table in (("train", train), (split, test)):
        _check(source, name, table)
    lacking = [
        source.classes[number] for number in np.flatnonzero(np.bincount(np.asarray(test.targets), minlength=len(source.classes)) == 0).tolist()
    ]
    if lacking:
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        notes.append(f"{split} has no picture of {', '.join(lacking[:5])}{more}, so no figure says how well that is read")
    train, test = (_drawn(table, limit, seed, name, notes) for name, table in (("train", train), (split, test)))
    shape = _shape(source, size)
    pixels = [_pixels(table, shape) for table in (train, test)]
    if _stored(train) != shape:
        notes.append(f"pictures are brought to {shape[1]} x {shape[2]} pixels, {'grey' if shape[0] == 1 else 'colour'}")
    labels: Any = train.targets, test.targets
    return Opened(source.name, source.classes, shape, split, pixels[0], labels[0], pixels[1], labels[1], tuple(notes))


def _parts(source: Dataset, seed: int, notes: list[str]) -> tuple[Dataset, str]:
    if "train" not in source.tables:
        first = next(iter(source.tables))
        raise DataError(f"{source.name} has no training part (train); it has {first}")
    for name in ("test", "val"):
        table = source.tables.get(name)
        if table is not None and len(table) and table.targets is not None:
            return source, name
    _check(source, "train", source.tables["train"])
    source = dataclasses.replace(source, tables={"train": source.tables["train"]}).held_out(0.2, seed)
    notes.append(f"there is no labelled test part: {len(source.tables['val']):,} pictures, a stratified fifth, are held out to judge by")
    return source, "val"


def _check(source: Dataset, name: str, table: SampleTable) -> None:
    if table.targets is None or table.targets.ndim != 1:
        raise DataError(f"{source.name}: {name} has no class labels; baselines are classifiers and need them")
    if name != "train":
        return
    counts = np.bincount(table.targets, minlength=len(source.classes))
    present = np.flatnonzero(counts)
    if len(present) < 2:
        raise DataError(
            f"{source.name}: train has one class only, {source.classes[int(present[0])]}; there is nothing to tell apart. Add another class"
        )
    lonely = [source.classes[int(number)] for number in present if counts[number] == 1]
    if lonely:
        raise DataError(f"{source.name}: train has one picture only of {', '.join(lonely[:5])}; two of each class are the least. Add some or drop it")


def _drawn(table: SampleTable, limit: int | None, seed: int, name: str, notes: list[str]) -> SampleTable:
    if limit is None or len(table) <= limit:
        return table
    _, rows = stratified(table.targets, len(table), limit / len(table), derived_seed(seed, 7))
    notes.append(f"{name}: {len(rows):,} of {len(table):,} pictures, a stratified draw")
    return table.take(rows)


def _stored(table: SampleTable) -> Shape | None:
    return table.store.shape if isinstance(table.store, Fixed) else None


def _shape(source: Dataset, size: int | None) -> Shape:
    if size is not None and (isinstance(size, bool) or size < 4):
        raise ArgumentError(f"size: got {size!r}, expected 4 or more pixels a side")
    kept = _stored(source.training_table)
    channels, height, width = kept or source.shape
    if size is not None:
        return channels, size, size
    factor = min(1.0, LARGEST / max(height, width))
    return channels, max(1, round(height * factor)), max(1, round(width * factor))


def _pixels(table: SampleTable, shape: Shape) -> npt.NDArray[Any]:
    from striate.pixels import Preprocess

    store = table.store
    if isinstance(store, Fixed) and (store.shape == shape or store.pixels.dtype != np.uint8):
        if store.shape != shape:
            raise DataError(f"float pictures of {store.shape} cannot be brought to {shape}; resize them before, or give uint8")
        return np.asarray(store.pixels).reshape(len(store), -1)
    if isinstance(store, Tokens):
        raise DataError("text has no pixels")
    fit = Preprocess(size=shape[1:], channels=shape[0], resize="crop")
    rows = np.empty((len(store), shape[0] * shape[1] * shape[2]), dtype=np.uint8)
    for number in range(len(store)):
        rows[number] = fit.fit(store.picture(number)).numpy().ravel()
    return rows
