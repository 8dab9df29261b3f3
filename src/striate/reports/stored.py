"""A run's folder as it lies on disk: read leniently, and what is missing or broken is said in words. No torch."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError, RunInUseError, StorageError
from striate.core.storage import lock, read_json

FORMAT = 1
ORDER = ("test", "val", "train")
"""Which part speaks for a run: the first of these it was measured on."""


@dataclass(frozen=True)
class Predictions:
    """What a run's network said about one split: class shares N K, targets N (None when unlabelled), positions in the split N."""

    split: str
    shares: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int64] | None
    index: npt.NDArray[np.int64]


@dataclass(frozen=True)
class StoredRun:
    """What could be read from a run's folder; `problems` says what could not, one sentence each."""

    folder: Path
    facts: Mapping[str, Any]
    """run.json."""
    history: list[dict[str, Any]]
    result: Mapping[str, Any]
    """result.json; empty when the run has not come to an end."""
    check: Mapping[str, Any] | None
    """data.json, the data check."""
    predictions: Mapping[str, Predictions]
    problems: list[str] = field(default_factory=list)
    killed: bool = False
    """run.json says `running`, but no process holds the folder."""

    @property
    def name(self) -> str:
        """The run's name, by default the folder's."""
        return str(self.facts.get("name") or self.folder.name)

    @property
    def state(self) -> str:
        """`running`, `finished`, `stopped` (by the user), `failed`, or `killed`: begun, not ended, and no process at work on it."""
        return "killed" if self.killed else str(self.facts.get("state", "unknown"))

    @property
    def model(self) -> str:
        """The architecture's name in the zoo, or `custom model`."""
        return str(self.part("model").get("name") or "custom model")

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order."""
        return tuple(str(name) for name in self.facts.get("classes") or ())

    @property
    def data_name(self) -> str:
        """The data set's name."""
        return str(self.part("data").get("name") or "unknown data")

    @property
    def seconds(self) -> float | None:
        """Seconds of training, from the result or else the history's last row."""
        value = self.result.get("seconds")
        return number(value if value is not None else (self.history[-1].get("seconds") if self.history else None))

    @property
    def epochs(self) -> float | None:
        """Epochs done; the last one counts as a part where the recipe's length ends inside it."""
        done = number(self.history[-1].get("epoch")) if self.history else None
        planned = number(self.part("recipe").get("epochs"))
        return done if done is None or planned is None else min(done, planned)

    @property
    def rate(self) -> float | None:
        """Median of the epochs' samples per second."""
        rates = [value for row in self.history if (value := number(row.get("rate"))) is not None]
        return float(np.median(rates)) if rates else None

    @property
    def parameters(self) -> int | None:
        """Trainable numbers in the network, as the result says."""
        value = number(self.result.get("parameters"))
        return None if value is None else int(value)

    @cached_property
    def split(self) -> str | None:
        """The part that speaks for the run: test, else val, else what there is."""
        known = [*self.predictions, *self.part("splits", self.result)]
        return next((name for name in (*ORDER, *known) if name in known), None)

    def part(self, name: str, of: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Return the JSON object called `name`, empty where there is none."""
        value = (self.facts if of is None else of).get(name)
        return value if isinstance(value, Mapping) else {}

    def figures(self, split: str) -> Mapping[str, Any]:
        """Return the result's figures for one split, empty where there are none."""
        return self.part(split, self.part("splits", self.result))

    def series(self, key: str) -> tuple[list[float], list[float]]:
        """Return epochs and values of one column of the history, rows without a finite value left out."""
        pairs = [(number(row.get("epoch")), number(row.get(key))) for row in self.history]
        kept = [(epoch, value) for epoch, value in pairs if epoch is not None and value is not None]
        return [epoch for epoch, _ in kept], [value for _, value in kept]


def stored(run: Any, *, predictions: bool = True) -> StoredRun:
    """Read a run from its folder: a path, or anything with a `.folder`; without the large prediction files where they are not wanted.

    Raises `ArgumentError` for anything else and `StorageError` when the folder holds no readable run.json; every other file may be missing.
    """
    folder = run_folder(run)
    if isinstance(run, StoredRun):
        return run
    if not folder.is_dir():
        raise StorageError(f"{folder}: no such folder; `striate runs` lists the runs there are")
    facts = read_json(folder / "run.json")
    if not isinstance(facts, dict):
        raise StorageError(f"{folder / 'run.json'}: got {type(facts).__name__}, expected a JSON object")
    version = facts.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise StorageError(f"{folder / 'run.json'}: format {version} is newer than the format {FORMAT} this striate reads; upgrade striate")
    problems: list[str] = []
    return StoredRun(
        folder,
        facts,
        _history(folder, problems),
        _optional(folder / "result.json", problems) or {},
        _optional(folder / "data.json", problems),
        _predictions(folder, len(facts.get("classes") or ()), problems) if predictions else {},
        problems,
        facts.get("state") == "running" and not _held(folder / ".lock"),
    )


def run_folder(run: Any) -> Path:
    """Return the folder of a run: a path, a path to its run.json, or anything with a `.folder`; else raise `ArgumentError`."""
    where = getattr(run, "folder", run)
    if not isinstance(where, (str, Path)):
        raise ArgumentError(f"run: got {type(run).__name__}, expected a run or the path of its folder")
    path = Path(where)
    return path.parent if path.name == "run.json" else path


def number(value: Any) -> float | None:
    """Return a finite float, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        return None
    return float(value)


def _held(path: Path) -> bool:
    """Return whether a process holds the lock file: a training at work. A folder that cannot be written counts as held, not as killed."""
    if not path.exists():
        return False
    try:
        with lock(path, wait=0):
            return False
    except (RunInUseError, OSError):
        return True


def _optional(path: Path, problems: list[str]) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        value = read_json(path)
    except (StorageError, OSError) as error:
        problems.append(f"{path.name} cannot be read: {error}.")
        return None
    if not isinstance(value, dict):
        problems.append(f"{path.name} holds {type(value).__name__}, expected a JSON object.")
        return None
    return value


def _history(folder: Path, problems: list[str]) -> list[dict[str, Any]]:
    path = folder / "history.jsonl"
    if not path.exists():
        return []
    rows, broken = [], 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line) if line.strip() else None
        except json.JSONDecodeError:
            broken += 1
            continue
        if isinstance(row, dict):
            rows.append(row)
    if broken:
        problems.append(f"history.jsonl: {broken} line{'s' if broken > 1 else ''} could not be read.")
    return rows


def _predictions(folder: Path, classes: int, problems: list[str]) -> dict[str, Predictions]:
    found = {}
    for path in sorted((folder / "predictions").glob("*.npz")):
        try:
            with np.load(path, allow_pickle=False) as arrays:
                shares = np.asarray(arrays["shares"], np.float32)
                targets = np.asarray(arrays["targets"]) if "targets" in arrays else None
                index = np.asarray(arrays["index"], np.int64) if "index" in arrays else np.arange(len(shares))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            problems.append(f"predictions/{path.name} cannot be read ({error}).")
            continue
        reason = _unusable(shares, targets, index, classes)
        if reason:
            problems.append(f"predictions/{path.name} is not used: {reason}.")
            continue
        labelled = targets is not None and targets.size > 0 and bool((targets >= 0).all())
        found[path.stem] = Predictions(path.stem, shares, targets.astype(np.int64) if labelled and targets is not None else None, index)
    return found


def _unusable(shares: npt.NDArray[Any], targets: npt.NDArray[Any] | None, index: npt.NDArray[Any], classes: int) -> str | None:
    if shares.ndim != 2 or not len(shares):
        return f"shares have shape {shares.shape}, expected N K"
    if classes and shares.shape[1] != classes:
        return f"shares have {shares.shape[1]} columns, the run has {classes} classes"
    broken = int((~np.isfinite(shares)).any(axis=1).sum())
    if broken:
        return f"{broken:,} of {len(shares):,} rows hold NaN or infinite shares"
    if index.shape != shares.shape[:1]:
        return f"index has shape {index.shape}, expected {shares.shape[:1]}"
    if targets is None or targets.size == 0:
        return None
    if targets.shape != shares.shape[:1] or not np.issubdtype(targets.dtype, np.integer):
        return f"targets are {targets.dtype} of shape {targets.shape}, expected whole numbers of shape {shares.shape[:1]}"
    if targets.max() >= shares.shape[1]:
        return f"targets reach {targets.max()}, the shares have {shares.shape[1]} columns"
    return None
