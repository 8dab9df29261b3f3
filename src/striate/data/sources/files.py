"""From lists of picture files with labels to a Dataset: packed, sized, and with a validation part; shared by folder, csv and jsonl."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError, DataError, PictureError
from striate.data.dataset import Dataset, Table
from striate.data.packs import Pack, pack
from striate.data.splits import stratified
from striate.data.stores import Fixed
from striate.pixels.decoding import WHITE
from striate.pixels.preprocess import detail

Resize = Literal["squash", "crop", "pad"]
SPLITS: Mapping[str, str] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What people call the parts -> what striate calls them; upper and lower case do not count."""
SMALL = 64
"""Pictures of one size up to this many pixels each way are used as they are."""
LARGE = 224
"""The largest input size chosen without being asked."""


@dataclass
class Part:
    """One split before decoding: file names relative to the root, class numbers, further columns."""

    files: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    extra: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """How pictures are to be used: the arguments that folder, csv and jsonl share."""

    size: int | tuple[int, int] | None = None
    channels: int = 3
    resize: Resize = "crop"
    val: float = 0.2
    seed: int = 0
    background: tuple[int, int, int] = WHITE
    broken: float = 0.05
    progress: Callable[[int, int], None] | None = None

    def __post_init__(self) -> None:
        pair = self.pair
        for name, good, expected in (
            ("size", pair is None or (min(pair) > 0), "a number of pixels, or (height, width), or None"),
            ("channels", self.channels in (1, 3), "1 (grey) or 3 (colour)"),
            ("resize", self.resize in ("squash", "crop", "pad"), "squash, crop or pad"),
            ("val", 0 <= self.val < 1, "a share from 0 up to 1"),
            ("broken", 0 <= self.broken <= 1, "a share from 0 to 1"),
        ):
            if not good:
                raise ArgumentError(f"{name}: got {getattr(self, name)!r}, expected {expected}")

    @property
    def pair(self) -> tuple[int, int] | None:
        """`size` as height and width."""
        return (self.size, self.size) if isinstance(self.size, int) else None if self.size is None else (self.size[0], self.size[1])


def dataset(
    name: str,
    root: Path,
    parts: Mapping[str, Part],
    classes: tuple[str, ...],
    wishes: Wishes,
    *,
    spec: str | None,
    notes: list[str],
    whole: bool = False,
) -> Dataset:
    """Decode the parts' files and put the data set together; `whole` never reads photographs at a reduced size (boxes count their pixels)."""
    short_side = None if whole else detail(max(wishes.pair or (LARGE,)))
    packs = {split: _pack(root, part, wishes, short_side) for split, part in parts.items()}
    problems = [problem for found in packs.values() for problem in found.problems]
    if problems:
        notes.append(f"{len(problems)} of {sum(len(part.files) for part in parts.values())} files are broken and were left out")
    least = max((int(found.store.shapes[:, :2].min(axis=1).max()) for found in packs.values()), default=0)
    if short_side is not None and least >= short_side:
        notes.append(
            f"photographs with {2 * short_side} pixels or more on their short side are read at 1/2, 1/4 or 1/8; sizes told are those as read"
        )
    size, reason = (wishes.pair, "") if wishes.pair else _chosen(packs["train"])
    if reason:
        notes.append(reason)
    fixed = {split: found.fixed() for split, found in packs.items()}
    use_fixed = all(store is not None and store.shape[1:] == size for store in fixed.values())
    tables = {}
    for split, part in parts.items():
        found = packs[split]
        names = [shown(part.files[i]) for i in found.kept]
        extra = {column: np.asarray(values, np.float32)[found.kept] for column, values in part.extra.items()}
        store = cast("Fixed", fixed[split]) if use_fixed else found.store
        tables[split] = Table(store, np.asarray(part.labels, np.int64)[found.kept], names, extra)
    counts = np.bincount(cast("npt.NDArray[np.int64]", tables["train"].targets), minlength=len(classes))
    if not counts.all():
        lost = ", ".join(classes[i] for i in np.flatnonzero(counts == 0))
        raise DataError(f"{root}: no picture of {lost} could be read:" + "".join(f"\n  {problem}" for problem in problems[:5]))
    if "val" not in tables and wishes.val:
        tables = _with_val(root, tables, packs["train"], wishes, notes)
    made = Dataset(
        name=name,
        classes=classes,
        tables=tables,
        spec=spec,
        problems=tuple(problems),
        notes=tuple(notes),
        size=None if use_fixed else size,
    )
    return _with_preprocess(made, size, wishes)


def _pack(root: Path, part: Part, wishes: Wishes, short_side: int | None) -> Pack:
    channels = cast("Literal[1, 3]", wishes.channels)
    return pack(
        root, part.files, channels=channels, background=wishes.background, short_side=short_side, broken=wishes.broken, progress=wishes.progress
    )


def _chosen(found: Pack) -> tuple[tuple[int, int], str]:
    shapes = found.store.shapes[:, :2]
    height, width = (int(n) for n in shapes[0])
    if (shapes == shapes[0]).all() and max(height, width) <= SMALL:
        return (height, width), f"input size {height} x {width}, that of every picture"
    median = int(np.median(shapes.min(axis=1)))
    side = min(LARGE, max(32, median // 32 * 32))
    why = f"the pictures' short sides have the median {median}" if side < LARGE else "size= chooses another"
    return (side, side), f"input size {side} x {side} ({why})"


def _with_val(root: Path, tables: dict[str, Table], found: Pack, wishes: Wishes, notes: list[str]) -> dict[str, Table]:
    """Part a stratified share of the training split off; pictures with equal bytes stay on one side."""
    train = tables["train"]
    _, first, group = np.unique(found.contents[found.kept], axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)  # groups in the order of their first picture, so that the split does not hang on hash values
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    labels = cast("npt.NDArray[np.int64]", train.targets)[first[order]]
    try:
        _, held = stratified(labels, len(labels), wishes.val, wishes.seed)
    except ArgumentError as error:
        raise DataError(
            f"{root}: {len(labels)} different pictures are too few to hold {wishes.val:g} of them out for validation ({error}); "
            "add pictures, or hold none out with val=0 (--data-option val=0)"
        ) from None
    in_val = np.isin(rank[group.reshape(-1)], held)
    parted = {"train": train.take(np.flatnonzero(~in_val)), "val": train.take(np.flatnonzero(in_val))}
    notes.append(f"no validation split was there: {in_val.sum()} of {len(train)} training pictures, by class and seed {wishes.seed}, became val")
    return {**parted, **{name: table for name, table in tables.items() if name != "train"}}


def _with_preprocess(made: Dataset, size: tuple[int, int], wishes: Wishes) -> Dataset:
    if wishes.resize == "crop" and tuple(wishes.background) == WHITE:
        return made
    from striate.data.whitening import channel_statistics
    from striate.pixels import Preprocess

    mean, std = channel_statistics(made.training_table.store)
    values = {"mean": tuple(mean.tolist()), "std": tuple(np.where(std > 0, std, 1.0).tolist())}
    return made.with_preprocess(
        Preprocess(size=size, channels=wishes.channels, resize=wishes.resize, background=wishes.background, mean=values["mean"], std=values["std"])
    )


def shown(name: str) -> str:
    """Return a file's name as text that can be printed and stored: composed, and with � where it was not UTF-8."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))


def listing(names: list[str], count: int = 5) -> str:
    """Join the first few names, and say how many more there are."""
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")


__all__ = ["SPLITS", "Part", "PictureError", "Resize", "Wishes", "dataset", "listing", "shown"]
