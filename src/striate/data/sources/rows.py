"""From rows that name a file and its label to a Dataset: what csv and jsonl share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from striate.core.errors import DataError, nearest
from striate.data.sources.files import SPLITS, Part, Wishes, dataset, listing, shown
from striate.pixels.boxes import trouble

if TYPE_CHECKING:
    from striate.data.dataset import Dataset

FILE = ("file_name", "filename", "file", "path", "image", "image_path", "filepath", "file_path", "img", "picture", "photo")
LABEL = ("label", "class", "target", "category", "class_name", "label_name", "species", "y")
SPLIT = ("split", "subset", "partition", "set")
BOX = (("x", "left", "xmin"), ("y", "top", "ymin"), ("w", "width"), ("h", "height"))


class Row(NamedTuple):
    """One line of the file: its number, counted from 1, and its values by column."""

    line: int
    values: Mapping[str, Any]


class Entry(NamedTuple):
    """What a row says: file name, class, box (x, y, w, h; empty where there are none), points (x, y of each)."""

    file: str
    label: str
    box: list[float]
    points: list[list[float]]


def from_rows(
    path: Path,
    rows: Sequence[Row],
    columns: Sequence[str],
    *,
    file: str | None,
    label: str | None,
    split: str | None,
    root: str | Path | None,
    wishes: Wishes,
) -> Dataset:
    """Build the data set that `rows` describe; columns not named are guessed. Raises `DataError` that names columns and lines."""
    if not rows:
        raise DataError(f"{path}: has no rows")
    names = _column(path, columns, file, FILE, "file", "the picture's file name")
    boxes = [_guess(columns, words) for words in BOX]
    whole = all(boxes)
    labels = _column(path, columns, label, LABEL, "label", "the class", taken=(names, *(column for column in boxes if column and whole)))
    part_of = _column(path, columns, split, SPLIT, "split", "train, val or test") if split or _guess(columns, SPLIT) else None
    points = _points(columns)
    base = Path(root).expanduser() if root is not None else path.parent
    _check_files(path, rows, names, base)
    found: dict[str, list[Entry]] = {}
    for line, values in rows:
        text = _text(values.get(labels))
        if not text:
            raise DataError(f"{path}, line {line}: the label (column {labels!r}) is empty")
        where = _split(path, line, values.get(part_of)) if part_of else "train"
        box = [_number(path, line, column, values.get(column)) for column in boxes if column] if whole else []
        wrong = trouble(box) if whole else None
        if wrong:
            raise DataError(f"{path}, line {line}: {wrong}")
        places = [[_seen(path, line, column, values.get(column)) for column in pair] for pair in points]
        found.setdefault(where, []).append(Entry(str(values[names]), text, box, places))
    if "train" not in found:
        raise DataError(f"{path}: no row belongs to train (column {part_of!r} has {listing(sorted(found))})")
    classes = _classes(path, found)
    numbers = {name: number for number, name in enumerate(classes)}
    parts = {}
    for where in sorted(found, key=("train", "val", "test").index):
        entries = found[where]
        extra: dict[str, list[Any]] = {"boxes": [entry.box for entry in entries]} if whole else {}
        extra |= {"points": [entry.points for entry in entries]} if points else {}
        parts[where] = Part([entry.file for entry in entries], [numbers[entry.label] for entry in entries], extra)
    notes = [f"files from column {names!r}, labels from {labels!r}" + (f", splits from {part_of!r}" if part_of else "")]
    if whole:
        notes.append(f"boxes from {', '.join(map(repr, boxes))}: pixels of the upright whole picture")
    elif any(boxes[:2]) and len(there := [column for column in boxes if column and column != labels]) > 1:
        lacking = " and ".join(" or ".join(words) for words, column in zip(BOX, boxes, strict=True) if not column)
        notes.append(f"no boxes: of their four columns {', '.join(map(repr, there))} are there, but none called {lacking}")
    if points:
        notes.append(f"points {', '.join(pair[0][:-2] for pair in points)}: pixels of the upright whole picture; an empty cell is a point not seen")
    return dataset(shown(path.stem), base, parts, classes, wishes, spec=str(path), notes=notes, whole=whole or bool(points))


def _guess(columns: Sequence[str], words: Sequence[str]) -> str | None:
    by_lower = {column.strip().lower().replace(" ", "_"): column for column in reversed(columns)}
    return next((by_lower[word] for word in words if word in by_lower), None)


def _column(
    path: Path, columns: Sequence[str], asked: str | None, words: Sequence[str], argument: str, meaning: str, taken: Sequence[str] = ()
) -> str:
    if asked is not None:
        if asked in columns:
            return asked
        close = nearest(asked, columns)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise DataError(f"{path}: no column {asked!r}.{hint} It has {', '.join(map(repr, columns))}")
    guessed = _guess([column for column in columns if column not in taken], words)
    if guessed is None:
        raise DataError(f"{path}: which column holds {meaning}? It has {', '.join(map(repr, columns))}; say {argument}='...'")
    return guessed


def _check_files(path: Path, rows: Sequence[Row], column: str, base: Path) -> None:
    missing = []
    for line, values in rows:
        name = values.get(column)
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"{path}, line {line}: the file name (column {column!r}) is empty")
        if not os.path.isfile(os.path.join(base, name)):  # noqa: PTH113 - quicker than Path for many files
            missing.append((line, name))
    if missing:
        first = "".join(f"\n  line {line}: {name}" for line, name in missing[:5])
        more = f"\n  … and {len(missing) - 5} more" if len(missing) > 5 else ""
        with_ending = next((ending for ending in (".jpg", ".png", ".jpeg") if (base / (missing[0][1] + ending)).is_file()), None)
        hint = f"{missing[0][1]}{with_ending} is there: write names with their endings." if with_ending else "root= says where names start from."
        raise DataError(f"{path}: {len(missing)} of {len(rows)} files are not in {base}:{first}{more}\n{hint}")


def _split(path: Path, line: int, value: Any) -> str:
    text = _text(value).lower()
    if text not in SPLITS:
        raise DataError(f"{path}, line {line}: the split is {text!r}, expected train, val or test")
    return SPLITS[text]


def _text(value: Any) -> str:
    return "" if value is None else shown(str(value).strip())


def _number(path: Path, line: int, column: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(f"{path}, line {line}: {column} is {value!r}, expected a number of pixels") from None


def _points(columns: Sequence[str]) -> list[tuple[str, str]]:
    """Return the pairs of columns NAME_x, NAME_y: points of the picture."""
    by_lower = {column.strip().lower(): column for column in columns}
    return [(column, by_lower[f"{low[:-2]}_y"]) for low, column in by_lower.items() if low.endswith("_x") and f"{low[:-2]}_y" in by_lower]


def _seen(path: Path, line: int, column: str, value: Any) -> float:
    return float("nan") if value is None or value == "" else _number(path, line, column, value)


def _classes(path: Path, found: Mapping[str, Sequence[Entry]]) -> tuple[str, ...]:
    names = {entry.label for entry in found["train"]}
    whole = all(name.lstrip("-").isascii() and name.lstrip("-").isdigit() for name in names)
    classes = tuple(sorted(names, key=(lambda name: (int(name), name)) if whole else (lambda name: (0, name))))
    for where, entries in found.items():
        unknown = sorted({entry.label for entry in entries} - names)
        if unknown:
            raise DataError(f"{path}: {where} has {listing(unknown)}, unknown to training, which has {listing(list(classes), 10)}")
    if len(classes) == 1:
        raise DataError(f"{path}: every training row has the label {classes[0]!r}; there is nothing to tell apart")
    return classes
