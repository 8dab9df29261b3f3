"""metadata.jsonl: one JSON object a line, with `file_name` and `label`, as Hugging Face's imagefolder writes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from striate.core.errors import DataError
from striate.data.registry import source
from striate.data.sources.files import SPLITS, Wishes
from striate.data.sources.rows import FILE, SPLIT, Row, from_rows

if TYPE_CHECKING:
    from striate.data.dataset import Dataset


@source("jsonl", help="metadata.jsonl: a line of JSON for each picture")
def jsonl(
    path: str | Path,
    *,
    file: str | None = None,
    label: str | None = None,
    split: str | None = None,
    root: str | Path | None = None,
    size: int | tuple[int, int] | None = None,
    channels: int = 3,
    resize: Literal["squash", "crop", "pad"] = "crop",
    val: float = 0.2,
    seed: int = 0,
    background: tuple[int, int, int] = (255, 255, 255),
    broken: float = 0.05,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Read pictures described line by line in JSON.

    Args:
        path: the file, UTF-8; each line an object such as `{"file_name": "train/1.jpg", "label": "cat"}`.
        file: the key of file names; None looks for file_name and the like.
        label: the key of classes (text or whole numbers); None looks for label and the like.
        split: the key that says train, val or test; None looks for split, else for file names that all begin with `train/`, `val/` or `test/`.
        root: the folder names are relative to; None takes the file's own.
        size: as for `folder`, like the remaining arguments.
        channels: 3 for colour, 1 for grey.
        resize: `crop`, `squash` or `pad`.
        val: share of the training pictures held out where none says val.
        seed: decides which.
        background: R G B under transparent pixels and around padded pictures.
        broken: share of files that may be broken.
        progress: told (files done, files in all) while decoding for the first time.

    Raises `DataError` that names the keys there are, or the lines.
    """
    wishes = Wishes(size=size, channels=channels, resize=resize, val=val, seed=seed, background=background, broken=broken, progress=progress)
    table = Path(path).expanduser()
    rows = _read(table)
    columns = list(dict.fromkeys(key for row in rows for key in row.values))
    name = file or next((key for key in FILE if key in columns), None)
    if split is None and name is not None and not any(key in columns for key in SPLIT):
        firsts = [str(row.values.get(name, "")).replace("\\", "/").partition("/")[0].lower() for row in rows]
        if all(first in SPLITS for first in firsts) and "train" in {SPLITS[first] for first in firsts}:
            rows = [Row(row.line, {**row.values, "split": first}) for row, first in zip(rows, firsts, strict=True)]
            columns.append("split")
    return from_rows(table, rows, columns, file=file, label=label, split=split, root=root, wishes=wishes)


def _read(path: Path) -> list[Row]:
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number}: not valid JSON ({error})") from None
        if not isinstance(values, dict):
            raise DataError(f'{path}, line {number}: got {line.strip()[:40]!r}, expected an object such as {{"file_name": "1.jpg", "label": "cat"}}')
        rows.append(Row(number, values))
    return rows
