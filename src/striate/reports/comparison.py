"""Several runs side by side: figures with intervals, paired tests where they read the same samples, curves over one another."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from striate.core.errors import ArgumentError
from striate.reports import wording
from striate.reports.listing import measured
from striate.reports.stored import ORDER, Predictions, StoredRun, number, stored
from striate.training.figures import mcnemar, paired_difference, wilson

NAMED = 3
"""Columns of the table that name run, network and data."""


@dataclass(frozen=True)
class Row:
    """One run's line; errors are shares 0 to 1 with Wilson's 95 % interval, fields that are not known are None."""

    name: str
    folder: Path
    state: str
    model: str
    data: str
    parameters: int | None
    epochs: float | None
    seconds: float | None
    split: str | None
    n: int | None
    error: float | None
    low: float | None
    high: float | None
    val_error: float | None
    """Error on the validation part after the last epoch."""


@dataclass(frozen=True)
class Pair:
    """Two runs on the same samples: how many only one of them reads wrong, the difference of their errors, and what chance would do."""

    first: str
    second: str
    split: str
    n: int
    only_first: int
    """Samples that only the first run reads wrong."""
    only_second: int
    difference: float
    """Error of the first minus error of the second, with its 95 % interval `low` to `high`."""
    low: float
    high: float
    p: float
    """McNemar's exact two-sided test."""

    @property
    def headline(self) -> str:
        """What can be told, without the figures behind it."""
        if self.p < 0.05:
            lead = self.first if self.only_first < self.only_second else self.second
            return f"{lead} has the lower {wording.part_name(self.split)} error, by {abs(self.difference) * 100:.2f} points"
        return f"{self.first} and {self.second} cannot be told apart on the {wording.part_name(self.split)} part"

    def __str__(self) -> str:
        p = f"p {'<' if self.p < 0.001 else '='}{wording.THIN}{max(self.p, 0.001):.3f}"
        counts = f"only {self.first} is wrong on {self.only_first:,}, only {self.second} on {self.only_second:,} of {self.n:,}"
        interval = f"{_points(self)}; " if self.p < 0.05 else ""
        return f"{self.headline} ({interval}{counts}; McNemar {p})"


@dataclass(frozen=True)
class Comparison:
    """Runs side by side; `str()` is a table for a terminal, `html()` a self-contained page."""

    rows: list[Row]
    pairs: list[Pair]
    """Every further run against the first one."""
    notes: list[str] = field(default_factory=list)
    runs: list[StoredRun] = field(default_factory=list, repr=False)

    def __str__(self) -> str:
        header, lines = self.table()
        widths = [max(len(line[column]) for line in [header, *lines]) for column in range(len(header))]
        text = [
            "  ".join(
                cell.ljust(width) if column < NAMED else cell.rjust(width) for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in [header, *lines]
        ]
        return wording.plain("\n".join([*(line.rstrip() for line in text), *(["", *map(str, self.pairs)] if self.pairs else []), *self.notes]))

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the lines of the table as text; the first `NAMED` columns read from the left."""
        header = ["run", "model", "data", "parameters", "epochs", "time", "val error", "error", "95 % interval", "on"]
        lines = []
        for row in self.rows:
            span = "–" if row.error is None or not row.n else wording.interval(round(row.error * row.n), row.n)
            where = "–" if row.split is None else f"{row.split} {wording.count(row.n)}" if row.n else row.split
            state = "" if row.state == "finished" else f" ({row.state})"
            epochs = "–" if row.epochs is None else f"{row.epochs:g}"
            measures = [wording.percent(row.val_error), wording.percent(row.error, row.n), span, where]
            lines.append([row.name + state, row.model, row.data, wording.count(row.parameters), epochs, wording.duration(row.seconds), *measures])
        return header, lines

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        rows = [{**dataclasses.asdict(row), "folder": str(row.folder)} for row in self.rows]
        return {"runs": rows, "pairs": [dataclasses.asdict(pair) for pair in self.pairs], "notes": self.notes}

    @property
    def title(self) -> str:
        """What the comparison shows, in a sentence."""
        if len(self.pairs) == 1 and len(self.rows) == 2:
            return self.pairs[0].headline
        split = next((name for name in ORDER if any(row.split == name for row in self.rows)), None)
        known = [(row.error, row) for row in self.rows if row.error is not None and row.split == split]
        if not known or split is None:
            return f"{len(self.rows)} runs, none of them measured yet"
        best = min(known, key=lambda pair: pair[0])[1]
        part = f"{wording.part_name(split)} error"
        if len(known) == 1:
            return f"{len(self.rows)} runs, of which only {best.name} has a {part}: {wording.percent(best.error, best.n)}"
        return f"{best.name} has the lowest {part} of {len(known)} runs: {wording.percent(best.error, best.n)}"

    def html(self) -> str:
        """Return one self-contained page: the table, the paired tests, loss and error curves over one another."""
        from striate.reports.comparison_page import comparison_page

        return comparison_page(self)


def compare(runs: Sequence[Any]) -> Comparison:
    """Set runs (paths of their folders, or runs) side by side; every further run is tested against the first where both read the same samples.

    Raises `ArgumentError` for fewer than two and `StorageError` for a folder that is no run; what cannot be compared is said in `notes`.
    """
    if isinstance(runs, (str, Path)) or len(runs) < 2:
        raise ArgumentError(f"runs: got {runs!r}, expected two or more runs or run folders")
    read = [stored(run) for run in runs]
    names = _distinct(read)
    notes = [f"{name}: {problem}" for name, run in zip(names, read, strict=True) for problem in run.problems]
    pairs = []
    for name, run in zip(names[1:], read[1:], strict=True):
        pair = _pair(names[0], read[0], name, run)
        if isinstance(pair, Pair):
            pairs.append(pair)
            if read[0].part("data").get("fingerprint") != run.part("data").get("fingerprint"):
                words = "were trained on different data (or held out another part), but read the same"
                notes.append(f"{names[0]} and {name} {words} {pair.n:,} {wording.part_name(pair.split)} samples.")
        else:
            notes.append(f"No paired test of {names[0]} and {name}: {pair}.")
    if len(pairs) > 1:
        notes.append(f"The {len(pairs)} p-values are not corrected for testing several times.")
    return Comparison([_row(name, run) for name, run in zip(names, read, strict=True)], pairs, notes, read)


def _distinct(runs: Sequence[StoredRun]) -> list[str]:
    names = [run.name for run in runs]
    if len(set(names)) == len(names):
        return names
    paths = [str(run.folder) for run in runs]
    return paths if len(set(paths)) == len(paths) else [f"{name} [{place}]" for place, name in enumerate(names, 1)]


def _row(name: str, run: StoredRun) -> Row:
    split, figures = measured(run)
    n, error = number(figures.get("n")), number(figures.get("error"))
    if split is not None and split in run.predictions and error is None:
        given = run.predictions[split]
        if given.targets is not None:
            n, error = len(given.targets), float((given.shares.argmax(axis=1) != given.targets).mean())
    low, high = wilson(round(error * n), int(n)) if error is not None and n else (None, None)
    val = run.series("val/error")[1]
    return Row(
        name,
        run.folder,
        run.state,
        wording.model_name(run.model),
        run.data_name,
        run.parameters,
        run.epochs,
        run.seconds,
        split,
        None if n is None else int(n),
        error,
        low,
        high,
        val[-1] if val else None,
    )


def _pair(first_name: str, first: StoredRun, second_name: str, second: StoredRun) -> Pair | str:
    common = [name for name in first.predictions if name in second.predictions]
    split = next((name for name in ("test", "val") if name in common), None)
    if split is None:
        return "there is no held-out part that both have predictions for"
    if not _same_source(first, second, split):
        return "they were not measured on the same data, so their errors do not compare"
    one, other = first.predictions[split], second.predictions[split]
    wrong, also_wrong = _wrong_by_index(one), _wrong_by_index(other)
    if wrong is None or also_wrong is None:
        return f"the {wording.part_name(split)} part has no labels"
    (where, missed, labels), (also_where, also_missed, also_labels) = wrong, also_wrong
    if not np.array_equal(where, also_where) or not np.array_equal(labels, also_labels):
        return f"their {wording.part_name(split)} parts hold different samples"
    only_first, only_second = int((missed & ~also_missed).sum()), int((also_missed & ~missed).sum())
    difference, low, high = paired_difference(only_first, only_second, len(missed))
    p = mcnemar(only_first, only_second)
    return Pair(first_name, second_name, split, len(missed), only_first, only_second, difference, low, high, p)


def _same_source(first: StoredRun, second: StoredRun, split: str) -> bool:
    """Return whether a split can be the same in both: equal fingerprints, of the split where known, else of the whole, else one source by name.

    Holding out another validation part changes the whole's fingerprint and leaves the test part alone; positions and labels are compared as well.
    """
    one, other = first.part("data"), second.part("data")
    prints = [first.part("fingerprints", one).get(split), second.part("fingerprints", other).get(split)]
    if None not in prints:
        return bool(prints[0] == prints[1])
    if one.get("fingerprint") is not None and one.get("fingerprint") == other.get("fingerprint"):
        return True
    same = all(one.get(key) == other.get(key) for key in ("name", "spec", "options"))
    return same and one.get("spec") is not None and split == "test"


def _wrong_by_index(given: Predictions) -> tuple[Any, Any, Any] | None:
    if given.targets is None:
        return None
    order = np.argsort(given.index, kind="stable")
    wrong = given.shares.argmax(axis=1) != given.targets
    return given.index[order], wrong[order], given.targets[order]


def _points(pair: Pair) -> str:
    low, high = sorted((abs(pair.low), abs(pair.high))) if pair.low * pair.high > 0 else (0.0, max(abs(pair.low), abs(pair.high)))
    return f"95 % interval {low * 100:.2f} to {high * 100:.2f}"
