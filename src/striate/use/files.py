"""Which files a list of paths means: files as they are, folders walked, patterns spelled out; what is passed over is counted."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from striate.core.errors import ArgumentError, DataError

PICTURES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2"})
"""Endings that make a file in a walked folder a picture; a file named outright is opened whatever it is called."""


@dataclass(frozen=True)
class Found:
    """The files in the order asked for (folders in alphabetical order), and how many were passed over in folders."""

    files: tuple[Path, ...]
    hidden: int = 0
    """Files and folders whose name begins with a dot."""
    others: int = 0
    """Files that are no pictures by their ending."""

    def __str__(self) -> str:
        """What was passed over, in words; empty when nothing was."""
        parts = [f"{self.hidden} hidden"] * bool(self.hidden) + [f"{self.others} not named like a picture"] * bool(self.others)
        return f"passed over in folders: {', '.join(parts)}" if parts else ""


def find(paths: str | Path | Iterable[str | Path]) -> Found:
    """Return the files that `paths` (files, folders, patterns such as `*.png`) mean, each once.

    Raises `DataError` when that is none. A file that does not exist stays in the list: opening it tells so.
    """
    asked = [Path(path) for path in _named(paths)]
    files: dict[Path, None] = {}
    hidden = others = 0
    for path in asked:
        for candidate in _spelled_out(path):
            if not candidate.is_dir():
                files[candidate] = None
                continue
            for file, kind in _walk(candidate):
                if kind == "picture":
                    files[file] = None
                hidden += kind == "hidden"
                others += kind == "other"
    found = Found(tuple(files), hidden, others)
    if not files:
        told = ", ".join(str(path) for path in asked) or "nothing given"
        raise DataError(
            f"no pictures to look at: {told}" + (f" ({found})" if str(found) else "") + f". Pictures end in {', '.join(sorted(PICTURES))}"
        )
    return found


def _named(paths: object) -> list[str | os.PathLike[str]]:
    """Return what `paths` names, one by one; raises `ArgumentError` for pixels and whatever else is no path."""
    each: list[object] = [paths] if isinstance(paths, (str, os.PathLike)) or not isinstance(paths, Iterable) else list(paths)
    strange = [path for path in each if not isinstance(path, (str, os.PathLike))]
    if strange:
        raise ArgumentError(
            f"files: got a {type(strange[0] if paths is not strange[0] else paths).__name__}, expected files, folders or patterns; "
            f"pixels go to the network itself: run.model(run.preprocess(pixels))"
        )
    return [path for path in each if isinstance(path, (str, os.PathLike))]


def _spelled_out(path: Path) -> Iterator[Path]:
    """The files a pattern stands for; a path that exists, or has no wildcard, stands for itself, and so does a folder `c [1]` that is there."""
    if path.exists() or not glob.has_magic(str(path)):
        yield path
        return
    patterns = [str(path)]
    if (parent := next((parent for parent in path.parents if parent.exists()), None)) is not None:
        patterns.append(str(Path(glob.escape(str(parent)), path.relative_to(parent))))
    found = (sorted(glob.glob(pattern, recursive=True)) for pattern in patterns)  # noqa: PTH207 - Path.glob does not take absolute patterns
    matches = next(filter(None, found), [])
    if not matches:
        raise DataError(f"{path}: no file matches this pattern")
    yield from map(Path, matches)


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    for here, folders, names in os.walk(folder):
        for name in sorted(folders):
            if name.startswith("."):
                folders.remove(name)
                yield Path(here, name), "hidden"
        folders.sort()
        for name in sorted(names):
            if name.startswith("."):
                yield Path(here, name), "hidden"
            else:
                yield Path(here, name), "picture" if Path(name).suffix.lower() in PICTURES else "other"
