"""What the Tab key offers: names read from the source, runs and files from the disk; torch is never imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def offered(choices: Sequence[str], kind: str | None, incomplete: str) -> Iterator[tuple[str, str]]:
    """Yield (word, type) that begin with `incomplete`: the choices, or what `kind` names; type `file` lets the shell list files."""
    if choices:
        yield from ((word, "plain") for word in choices if word.startswith(incomplete))
        return
    if kind is None:
        return
    yield from ((word, "plain") for word in words(kind) if word.startswith(incomplete))
    if kind in ("data", "runs", "files"):
        yield incomplete, "file"


def words(kind: str) -> Sequence[str]:
    """Return the known words of one kind: `data`, `models`, `recipes` or `runs`; none for any other."""
    if kind == "data":
        from striate.data.registry import sources

        return sources.names()
    if kind == "models":
        from striate.zoo.registry import architectures

        return architectures.names()
    if kind == "recipes":
        from striate.training import recipes

        return recipes.names()
    if kind == "runs":
        return [str(path.parent) for path in sorted(Path("runs").glob("*/run.json"))]
    return []
