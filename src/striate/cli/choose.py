"""What the words on the command line mean: a run by its name or folder, a data set with its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from striate.core.errors import ArgumentError, DataError, StorageError, nearest
from striate.core.signature import Signature, python_call
from striate.core.storage import read_json

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
        return python_call(f"st.data.{self.source.replace('-', '_')}", self.positional, self.keywords)

    def open(self) -> Any:
        """Open it: through `load`, which remembers the spec, unless there are options."""
        if not self.keywords:
            from striate.data import load

            return load(self.spec)
        from striate import data

        return getattr(data, self.source.replace("-", "_"))(*self.positional, **self.keywords)


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


def part_of(data: Any, split: str) -> str:
    """Return the part of the data to measure: `split`, or `val` where `test` was meant and there is none, which is said on stderr."""
    if split != "test" or "test" in data.splits or "val" not in data.splits:
        return split
    from striate.cli.output import aside

    aside(f"{data.name} has no test part: its validation part (val) is taken")
    return "val"


def refuse_without_classes(folder: Path, what: str) -> None:
    """Raise `ArgumentError` where a run is no classifier, as an autoencoder's, and `what` was asked of it."""
    task = read_json(folder / "run.json").get("task", "classify")
    if task in ("reconstruct", "contrast"):
        raise ArgumentError(
            f"{folder}: learned to give pictures back (task {task}) and names no classes, so {what}. Its report shows what it learned"
        )


def chosen_data(spec: str, assignments: Sequence[str] = (), *, size: int | None = None) -> Chosen:
    """Read DATA and its options against the source's signature; nothing is imported or opened yet."""
    from striate.data.registry import sources

    name = _source_name(spec)
    if name is not None:
        return Chosen(name, (), _keywords(name, sources.entry(name).signature, assignments, size), spec)
    path = Path(spec).expanduser()
    name = ("text" if _only_text(path) else "folder") if path.is_dir() else PATH_KINDS.get(path.suffix.lower()) if path.is_file() else None
    if name is None:
        known = [entry.name for entry in sources if not _required(entry.signature)]
        close = nearest(spec, known)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        kind = "not a kind of data file striate reads" if path.exists() else "no such file or folder, and no data set of that name"
        raise DataError(f"{spec}: {kind}.{hint} Give a folder of class folders, a .csv, .jsonl, .txt or .tsv file, or one of: {', '.join(known)}")
    return Chosen(name, (str(path),), _keywords(name, sources.entry(name).signature, assignments, size), str(path))


def _source_name(spec: str) -> str | None:
    """The source called `spec`, where capitals, hyphens and underscores do not count; None when there is none that needs no path."""
    from striate.data.registry import sources

    def plain(name: str) -> str:
        return name.lower().replace("-", "").replace("_", "")

    return next((entry.name for entry in sources if plain(entry.name) == plain(spec.strip()) and not _required(entry.signature)), None)


def _required(signature: Signature) -> bool:
    return any(parameter.required for parameter in signature.parameters)


def _only_text(folder: Path) -> bool:
    files = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return bool(files) and all(path.is_file() and path.suffix.lower() in (".txt", ".tsv", ".pos", ".neg") for path in files)


def _keywords(name: str, signature: Signature, assignments: Sequence[str], size: int | None) -> dict[str, Any]:
    allowed = Signature(tuple(p for p in signature.parameters if p.keyword_only))
    for assignment in assignments:
        key, given, _ = assignment.partition("=")
        if not given:
            raise ArgumentError(f"--data-option {assignment}: expected KEY=VALUE")
        if key.strip().replace("-", "_") not in allowed.names:
            raise ArgumentError(f"--data-option: {name} has no option {key!r}; it has {', '.join(allowed.names) or 'none'}")
    try:
        keywords = allowed.parse(assignments)
    except ArgumentError as error:
        raise ArgumentError(f"--data-option {error}") from None
    if size is not None:
        if "size" not in allowed.names:
            raise ArgumentError(f"--size: {name} has pictures of one size already; --size is for folders and files of your own pictures")
        keywords["size"] = allowed["size"].check(size)
    return keywords
