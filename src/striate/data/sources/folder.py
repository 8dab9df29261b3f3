"""A folder of class folders: `photos/cat/*.jpg`, or `photos/train/cat/*.jpg` beside `photos/val` and `photos/test`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from striate.core.errors import DataError
from striate.data.packing import is_device
from striate.data.registry import source
from striate.data.sources.files import SPLITS, Part, Wishes, dataset, listing, shown
from striate.pixels.decoding import SUFFIXES

if TYPE_CHECKING:
    from striate.data.dataset import Dataset

IGNORED = frozenset({"__macosx", "@eadir", "$recycle.bin", "__pycache__"})
ALL = "pictures"
"""What all pictures are called while a folder without labels is read."""
LAYOUT = "Expected class folders with pictures (PATH/cat/1.jpg, PATH/dog/2.jpg), or those inside train, val and test (PATH/train/cat/1.jpg)."


@source("folder", help="a folder of class folders, with or without train, val and test")
def folder(
    path: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    channels: int = 3,
    resize: Literal["squash", "crop", "pad"] = "crop",
    val: float = 0.2,
    seed: int = 0,
    background: tuple[int, int, int] = (255, 255, 255),
    broken: float = 0.05,
    labelled: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Read a folder in which each folder is a class, or (`labelled=False`) any folder of pictures, at any depth.

    Args:
        path: holds class folders, or `train` (with `val`/`valid`/`validation`, `test`) that hold them. Pictures may lie deeper inside.
        size: input size, one number or (height, width); None takes that of small equal pictures, else 224, or less where pictures are smaller.
        channels: 3 for colour, 1 for grey.
        resize: `crop` (cover, cut the centre), `squash` or `pad`.
        val: share of the training pictures held out by class where there is no validation folder; 0 holds none out.
        seed: decides which.
        background: R G B under transparent pixels and around padded pictures.
        broken: share of files that may be broken; they are left out and listed in `problems`. Ten always may.
        labelled: False reads pictures without classes, wherever they lie: for autoencoders and other learning without labels.
        progress: told (files done, files in all) while decoding for the first time.

    Classes are numbered in the order of their names, by the training split alone. Hidden folders and files that are no pictures are counted in
    `notes`. Raises `DataError` when the layout is another, a class is unknown to training, or too many files are broken.
    """
    wishes = Wishes(size=size, channels=channels, resize=resize, val=val, seed=seed, background=background, broken=broken, progress=progress)
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DataError(f"{root}: {'is a file, not a folder' if root.exists() else 'no such folder'}. {LAYOUT}")
    seen = _Seen()
    splits = _splits(root, seen)
    trees: dict[str, dict[str, list[str]]] = {split: {} for split in splits}
    for split, place in splits.items():
        children = seen.folders(place)
        others: list[os.DirEntry[str] | Path] = [root, place, *children]  # what a link inside a class may lead to is not this class's
        if not labelled:
            trees[split][ALL] = list(seen.pictures(place, without_loose=True))
            continue
        for child in children:  # two spellings of one name (é as one character or as two) are one class
            trees[split].setdefault(shown(child.name), []).extend(seen.pictures(child, others))
    classes = _classes(splits, trees, seen) if labelled else (ALL,)
    if not any(trees["train"].values()):
        raise DataError(_nothing(splits["train"], {}, seen))
    parts = {}
    for split, tree in trees.items():
        part = parts[split] = Part()
        for number, name in enumerate(classes):
            files = sorted(os.path.relpath(file, root) for file in tree.get(name, ()))
            part.files += files
            part.labels += [number] * len(files)
    parts = {split: part for split, part in parts.items() if part.files}
    notes = seen.notes(root)
    for split, tree in trees.items():
        lacking = [name for name in classes if not tree.get(name)]
        if lacking:
            notes.append(f"{split} has no picture of {listing(lacking)}" if split in parts else f"{split} has no pictures")
    empty = _empty(splits, trees, classes) if labelled else []
    if empty:
        notes.append(f"{len(empty)} class folder{'s hold' if len(empty) > 1 else ' holds'} no picture and became no class: {listing(empty)}")
    made = dataset(root.resolve().name or "folder", root, parts, classes, wishes, spec=str(path), notes=notes)
    if labelled:
        return replace(made, empty_folders=tuple(empty))
    tables = {split: replace(table, targets=None) for split, table in made.tables.items()}
    return replace(made, classes=(), tables=tables, notes=(*made.notes, "pictures are read without labels, wherever they lie in the folder"))


def class_folders(path: str | Path) -> int:
    """Return how many class folders with pictures a folder's training part has; 0 for one of pictures alone, or for no folder."""
    root, seen = Path(path).expanduser(), _Seen()
    if not root.is_dir():
        return 0
    try:
        place = _splits(root, seen)["train"]
    except DataError:
        return 0
    return sum(1 for child in seen.folders(place) if next(seen.pictures(child), None) is not None)


@dataclass
class _Seen:
    """Walks folders and counts what it passes over."""

    hidden: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    loops: list[str] = field(default_factory=list)
    loose: dict[str, int] = field(default_factory=dict)

    def folders(self, place: Path) -> list[os.DirEntry[str]]:
        """Return the visible folders in `place` by name; count pictures that lie between them."""
        found, loose = [], 0
        for entry in sorted(_entries(place), key=lambda entry: shown(entry.name)):
            if self._passed_over(entry):
                continue
            if entry.is_dir():
                found.append(entry)
            elif _ending(entry.name) in SUFFIXES:
                loose += 1
        if loose:
            self.loose[str(place)] = loose
        return found

    def pictures(
        self, place: os.DirEntry[str] | Path, others: Sequence[os.DirEntry[str] | Path] = (), *, without_loose: bool = False
    ) -> Iterator[str]:
        """Yield the picture files at any depth, following links but no loops, and none that leads into `others`."""
        if without_loose:  # they are read, not passed over
            self.loose.pop(str(place), None)
        entered = {(status.st_dev, status.st_ino) for status in map(os.stat, others)}
        own = os.stat(place)  # noqa: PTH116
        entered.discard((own.st_dev, own.st_ino))
        todo = [os.fspath(place)]
        while todo:
            current = todo.pop()
            status = os.stat(current)  # noqa: PTH116 - strings, so that names that are not UTF-8 survive
            if (status.st_dev, status.st_ino) in entered:
                self.loops.append(current)
                continue
            entered.add((status.st_dev, status.st_ino))
            for entry in _entries(current):
                if self._passed_over(entry):
                    continue
                if entry.is_dir():
                    todo.append(entry.path)
                elif _ending(entry.name) in SUFFIXES and not is_device(entry):
                    yield entry.path
                else:
                    self.others["no file" if is_device(entry) else _ending(entry.name) or "no ending"] += 1

    def _passed_over(self, entry: os.DirEntry[str]) -> bool:
        if entry.name.startswith(".") or entry.name.lower() in IGNORED:
            self.hidden.append(entry.path)
            return True
        return False

    def notes(self, root: Path) -> list[str]:
        """Say what was passed over."""
        notes = []
        if self.hidden:
            notes.append(f"{len(self.hidden)} hidden entries ignored: {listing([shown(os.path.relpath(path, root)) for path in self.hidden], 3)}")
        if self.others:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self.others.most_common(5))
            notes.append(f"{sum(self.others.values())} files ignored that are no pictures ({kinds})")
        if self.loops:
            notes.append(f"{len(self.loops)} links ignored that lead to a folder already read: {listing([shown(path) for path in self.loops], 3)}")
        notes += [f"{count} pictures ignored that lie in {place}, outside the class folders" for place, count in self.loose.items()]
        return notes


def _ending(name: str) -> str:
    return "." + name.rpartition(".")[2].lower() if "." in name else ""


def _entries(place: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(place) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{place}: cannot be read ({error.strerror}); check its permissions") from None


def _splits(root: Path, seen: _Seen) -> dict[str, Path]:
    """Return where each split lies; one called `train` when there are class folders only."""
    children = seen.folders(root)
    named: dict[str, list[os.DirEntry[str]]] = {}
    for child in children:
        if child.name.lower() in SPLITS:
            named.setdefault(SPLITS[child.name.lower()], []).append(child)
    others = [child.name for child in children if child.name.lower() not in SPLITS]
    # A class may be called `train` (beside `bus`): it is a split if it holds folders, or if there is nothing but splits.
    parted = "train" in named and (not others or any(_Seen().folders(Path(entry.path)) for entry in named["train"]))
    if not parted:
        seen.loose.clear()
        seen.hidden.clear()
        if named and not others:
            raise DataError(f"{root}: has {listing([child.name for child in children])} but no train folder. {LAYOUT}")
        return {"train": root}
    for split, entries in named.items():
        if len(entries) > 1:
            raise DataError(f"{root}: {listing([entry.name for entry in entries])} are all the {split} split; keep one of them")
    if others:
        raise DataError(
            f"{root}: {listing(others)} lie beside {named['train'][0].name}: are they classes or splits? Move them into train, or elsewhere."
        )
    return {split: Path(named[split][0].path) for split in ("train", "val", "test") if split in named}


def _classes(splits: dict[str, Path], trees: dict[str, dict[str, list[str]]], seen: _Seen) -> tuple[str, ...]:
    train = trees["train"]
    classes = tuple(sorted(name for name, files in train.items() if files))
    if not classes:
        raise DataError(_nothing(splits["train"], train, seen))
    for split, tree in trees.items():
        unknown = [name for name, files in tree.items() if files and name not in classes]
        if unknown:
            known = f"training knows {listing(list(classes), 10)}"
            raise DataError(f"{splits[split]}: {listing(unknown)} {'is' if len(unknown) == 1 else 'are'} unknown to training; {known}")
    if len(classes) == 1:
        inside = _Seen().folders(splits["train"] / classes[0])
        hint = f" Did you mean {splits['train'] / classes[0]}, which holds {len(inside)} folders?" if len(inside) > 1 else ""
        raise DataError(f"{splits['train']}: has one class only, {classes[0]}; there is nothing to tell apart.{hint} {LAYOUT}")
    return classes


def _empty(splits: dict[str, Path], trees: dict[str, dict[str, list[str]]], classes: tuple[str, ...]) -> list[str]:
    """Folders among the class folders without a picture and without a class; behind their split's name where there are several."""
    several = len(splits) > 1
    return [f"{splits[split].name}/{name}" if several else name for split, tree in trees.items() for name in sorted(tree) if name not in classes]


def _nothing(place: Path, tree: dict[str, list[str]], seen: _Seen) -> str:
    loose = seen.loose.get(str(place), 0)
    if loose:
        tables = [name for name in ("metadata.jsonl", "labels.csv", "metadata.csv", "train.csv") if (place / name).is_file()]
        hint = f" Its labels may be in {tables[0]}: give that file instead." if tables else ""
        return f"{place}: has {loose} pictures but no class folders, so nothing says what they show.{hint} {LAYOUT}"
    kinds = ", ".join(f"{count} {kind}" for kind, count in seen.others.most_common(5))
    found = (
        f"{len(tree)} folders" + (f" with {kinds} files" if kinds else ", all of them empty")
        if tree
        else "nothing but hidden files"
        if seen.hidden
        else "nothing"
    )
    return f"{place}: no pictures; found {found}. {LAYOUT}"
