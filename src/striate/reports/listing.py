"""All runs in a folder, one line each; a broken one is listed with what is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from striate.core.errors import StorageError
from striate.reports.stored import StoredRun, number, stored

_TRACES = ("run.json", "history.jsonl", "result.json", "last.safetensors", "best.safetensors", "weights.safetensors", "report.html")


@dataclass(frozen=True)
class Summary:
    """One run in a line; fields that are not known are None, `problem` says why a folder cannot be read."""

    folder: Path
    name: str
    state: str
    """`running`, `finished`, `stopped`, `failed`, or `broken` when the folder cannot be read."""
    model: str | None = None
    data: str | None = None
    parameters: int | None = None
    epochs: float | None = None
    split: str | None = None
    """The part `error` was measured on: test, else val."""
    n: int | None = None
    error: float | None = None
    """Share of `n` samples read wrong, 0 to 1."""
    seconds: float | None = None
    created: str | None = None
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**dataclasses.asdict(self), "folder": str(self.folder)}


def runs_in(folder: str | Path) -> list[Summary]:
    """List the runs directly under `folder` (or `folder` itself when it is one), oldest first, unreadable ones last.

    A missing folder has no runs. A folder with a run's files but no readable run.json is listed as `broken`, never raised.
    """
    root = Path(folder)
    if not root.is_dir():
        return []
    places = [root] if (root / "run.json").exists() else sorted(path for path in root.iterdir() if path.is_dir() and _like_a_run(path))
    return sorted((_summary(place) for place in places), key=lambda found: (found.created is None, found.created or "", found.name))


def measured(run: StoredRun) -> tuple[str | None, Mapping[str, Any]]:
    """Return the split that speaks for a run and its figures; the last epoch's validation or training error when there is no result."""
    split = run.split
    if split is not None:
        return split, run.figures(split)
    for name in ("val", "train"):
        values = run.series(f"{name}/error")[1]
        if values:
            n = run.part("splits", run.part("data")).get(name) if name == "val" else None  # training error is a mean over moving weights
            return name, {"error": values[-1], "n": n}
    return None, {}


def _like_a_run(path: Path) -> bool:
    return not path.name.startswith(".") and any((path / name).exists() for name in _TRACES)


def _summary(place: Path) -> Summary:
    try:
        run = stored(place, predictions=False)
        split, figures = measured(run)
        n = number(figures.get("n"))
        return Summary(
            place,
            run.name,
            run.state,
            run.model,
            run.data_name,
            run.parameters,
            run.epochs,
            split,
            None if n is None else int(n),
            number(figures.get("error")),
            run.seconds,
            str(run.facts["created"]) if run.facts.get("created") else None,
            " ".join(run.problems) or None,
        )
    except (StorageError, OSError) as error:
        return Summary(place, place.name, "broken", problem=str(error))
