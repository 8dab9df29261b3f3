"""What the words on the command line mean: a run by its name or folder, a data set with its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from striate.core.errors import ArgumentError, StorageError, nearest
from striate.core.signature import Signature, python_call

RUNS = Path("runs")
"""Where runs lie unless told otherwise."""
PATH_KINDS = {".csv": "csv", ".jsonl": "jsonl", ".txt": "text", ".tsv": "text"}
"""Endings of data files and the source that reads them; a folder is read by `folder`."""


@dataclass(frozen=True)
class Chosen:
    """A data set as asked for: the source's name, its positional arguments and keywords."""

    source: str
    positional: tuple[str, ...]
    keywords: Mapping[str, Any]
    spec: str

    @property
    def python(self) -> str:
        """The call that opens it: `st.data.digits()`."""
        return python_call(f"st.data.{self.source}", self.positional, self.keywords)

    def open(self) -> Any:
        """Open it: through `load`, which remembers the spec, unless there are options."""
        if not self.keywords:
            from striate.data import load

            return load(self.spec)
        from striate import data

        return getattr(data, self.source)(*self.positional, **self.keywords)


def run_folder(text: str | Path) -> Path:
    """Return the folder of the run called `text`: a path, or a name under `runs/`. Raises `StorageError` with the nearest names."""
    given = Path(text)
    for candidate in (given, RUNS / given):
        if (candidate / "run.json").is_file():
            return candidate
    known = [path.parent.name for path in RUNS.glob("*/run.json")]
    close = nearest(given.name, known)
    hint = f"Did you mean {' or '.join(str(RUNS / name) for name in close)}?" if close else "striate runs lists what there is."
    problem = "no run there (it has no run.json)" if given.exists() else "no such run"
    raise StorageError(f"{text}: {problem}. {hint}")


def chosen_data(spec: str, assignments: Sequence[str] = (), *, size: int | None = None) -> Chosen:
    """Read DATA and its options against the source's signature; nothing is imported or opened yet."""
    from striate.data.registry import sources

    path = Path(spec).expanduser()
    is_source = spec in sources
    if is_source:
        name = spec
    elif path.is_dir():
        name = "jsonl" if (path / "metadata.jsonl").exists() else "folder"
    elif path.suffix.lower() in PATH_KINDS and path.is_file():
        name = PATH_KINDS[path.suffix.lower()]
    else:
        close = nearest(spec, sources.names())
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        known = ", ".join(n for n in sources.names() if not any(p.required for p in sources.entry(n).signature.parameters))
        kind = "no such file or folder, and no data set of that name" if not path.exists() else "not a kind of data file striate reads"
        raise ArgumentError(f"{spec}: {kind}.{hint} Give a folder of class folders, a .csv, .jsonl, .txt or .tsv file, or one of: {known}")
    keywords = _keywords(name, sources.entry(name).signature, assignments, size)
    return Chosen(name, () if is_source else (str(path),), keywords, spec if is_source else str(path))


def _keywords(name: str, signature: Signature, assignments: Sequence[str], size: int | None) -> dict[str, Any]:
    allowed = Signature(tuple(p for p in signature.parameters if p.keyword_only))
    try:
        keywords = allowed.parse(assignments)
    except ArgumentError as error:
        raise ArgumentError(str(error).replace("--set", "--data-option", 1) + f" (options of the source {name})") from None
    if size is not None:
        if "size" not in allowed.names:
            raise ArgumentError(f"--size: {name} has pictures of one size already; --size is for folders and files of your own pictures")
        keywords["size"] = allowed["size"].check(size)
    return keywords
