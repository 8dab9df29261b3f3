"""A table of file names and labels: comma, semicolon, tab or bar between the columns."""

from __future__ import annotations

import csv as reader
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from striate.core.errors import DataError
from striate.data.registry import source
from striate.data.sources.files import Wishes
from striate.data.sources.rows import Row, from_rows

if TYPE_CHECKING:
    from striate.data.dataset import Dataset


@source("csv", help="a table of file names and labels")
def csv(
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
    """Read pictures named in a table whose first line names its columns.

    Args:
        path: the table, UTF-8; its separator is found out.
        file: the column of file names; None looks for file, filename, path, image and the like.
        label: the column of classes; None looks for label, class, target and the like.
        split: the column that says train, val or test; None looks for split and the like, and takes all rows for training where there is none.
        root: the folder names are relative to; None takes the table's own.
        size: as for `folder`, like the remaining arguments.
        channels: 3 for colour, 1 for grey.
        resize: `crop`, `squash` or `pad`.
        val: share of the training rows held out where no row says val.
        seed: decides which.
        background: R G B under transparent pixels and around padded pictures.
        broken: share of files that may be broken.
        progress: told (files done, files in all) while decoding for the first time.

    Columns x, y, w, h (pixels of the upright picture) become `extra["boxes"]`, N 4; pairs of columns NAME_x, NAME_y become `extra["points"]`,
    N P 2 (an empty cell: not seen). Raises `DataError` that names the columns or the lines.
    """
    wishes = Wishes(size=size, channels=channels, resize=resize, val=val, seed=seed, background=background, broken=broken, progress=progress)
    table = Path(path).expanduser()
    columns, rows = _read(table)
    return from_rows(table, rows, columns, file=file, label=label, split=split, root=root, wishes=wishes)


def _read(path: Path) -> tuple[list[str], list[Row]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: is not UTF-8; save the table as UTF-8") from None
    head = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t|", key=head.count)
    if not head.count(separator):
        raise DataError(f"{path}: its first line has one column only, {head!r}; expected at least a file name and a label")
    lines = reader.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    columns: list[str] = []
    rows: list[Row] = []
    try:
        for values in lines:
            cells = [value.strip() for value in values]
            if not any(cells):
                continue
            if not columns:
                columns = cells
                if len(set(columns)) < len(columns):
                    raise DataError(f"{path}: two columns have the same name: {', '.join(columns)}")
            elif len(cells) != len(columns):
                raise DataError(f"{path}, line {lines.line_num}: has {len(cells)} values, the first line names {len(columns)} columns")
            else:
                rows.append(Row(lines.line_num, dict(zip(columns, cells, strict=True))))
    except reader.Error as error:
        raise DataError(f"{path}, line {lines.line_num}: {error}") from None
    return columns, rows
