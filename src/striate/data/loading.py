"""One word for all data: a source's name, a folder, a file, or a data set that is already there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from striate.core.contracts import Data
from striate.core.errors import ArgumentError, DataError, nearest
from striate.data.registry import sources

if TYPE_CHECKING:
    from striate.data.dataset import Dataset

PATHS = ("folder", "csv", "jsonl", "text", "arrays")
"""Sources that need more than their name."""


def load(spec: Any, *, options: Mapping[str, Any] | None = None) -> Dataset:
    """Return the data set `spec` stands for.

    A source's name (`digits`, `mnist`, ...), a folder of pictures, a .csv or .jsonl file with file names, a .txt or .tsv file of labelled lines
    (a folder with only text files too), or data, which is returned as it is. `options` are those of the source (`{"size": 128}`), checked against
    its signature. Raises `DataError` with the nearest names, `ArgumentError`.
    """
    asked = dict(options or {})
    if isinstance(spec, Data) and not isinstance(spec, (str, Path)):
        if asked:
            raise ArgumentError(f"options: {', '.join(asked)} cannot be set on data that are there already; give them where the data are opened")
        return cast("Dataset", spec)
    if not isinstance(spec, (str, Path)):
        raise ArgumentError(f"data: got {type(spec).__name__}, expected a name, a path or a data set (arrays: striate.data.arrays(x, y))")
    named = [entry.name for entry in sources if entry.name not in PATHS]
    wanted = str(spec).strip()
    for form in (wanted, wanted.lower().replace("_", "-"), wanted.lower().replace("-", "")):
        if form in named:
            return _opened(form, (), asked)
    path = Path(wanted).expanduser()
    if path.is_dir():
        return _opened("text" if _only_text(path) else "folder", (path,), asked)
    if path.is_file():
        kind = {".csv": "csv", ".jsonl": "jsonl", ".txt": "text", ".tsv": "text"}.get(path.suffix.lower())
        if kind is None:
            raise DataError(f"{path}: cannot tell what this is; expected a folder, .csv, .jsonl, .txt or .tsv")
        return _opened(kind, (path,), asked)
    close = nearest(wanted, named)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise DataError(f"{wanted}: neither a data set nor a path that exists.{hint} (data sets: {', '.join(named)}; or a folder of class folders)")


def _opened(name: str, places: tuple[Path, ...], asked: dict[str, Any]) -> Dataset:
    return cast("Dataset", sources.get(name)(*places, **sources.entry(name).signature.check(asked)))


def _only_text(folder: Path) -> bool:
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return bool(files) and all(path.is_file() and path.suffix.lower() in (".txt", ".tsv", ".pos", ".neg") for path in files)
