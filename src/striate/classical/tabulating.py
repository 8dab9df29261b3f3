"""The table of baselines: what a net has to beat on this data, in one go."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.core.arguments import whole_number
from striate.core.errors import ArgumentError, StriateError
from striate.core.registry import Entry

if TYPE_CHECKING:
    from markupsafe import Markup

    from striate.classical.opening import Opened

FORMAT = 1
Watch = Callable[[str, int, int], None]
"""Told of each row before it begins: its name, its place from 0, how many there are."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One baseline's figures: `errors` of `n` test pictures; seconds of fitting and predicting, features included; `values` a picture is told by.

    A row that could not be had has `skipped`, the reason, and no figures.
    """

    name: str
    help: str
    group: str
    errors: int | None = None
    n: int | None = None
    values: int | None = None
    fit_seconds: float | None = None
    predict_seconds: float | None = None
    skipped: str | None = None

    @property
    def error(self) -> float | None:
        """Share of test pictures read wrong."""
        return None if self.errors is None or not self.n else self.errors / self.n

    @property
    def interval(self) -> tuple[float, float] | None:
        """The error's 95 % interval (Wilson)."""
        from striate.training.figures import wilson

        return None if self.errors is None or not self.n else wilson(self.errors, self.n)


@dataclass(frozen=True, kw_only=True)
class Table:
    """What `table` found: a row a baseline, in the order asked for; `str`, `to_json`, `html`, `best`."""

    data: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    split: str
    train: int
    test: int
    seed: int
    commonest: float
    """Error of always naming the training part's commonest class."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> Row | None:
        """The row with the fewest errors; None when there is none."""
        done = [row for row in self.rows if row.errors is not None]
        return min(done, key=lambda row: row.errors or 0) if done else None

    def __getitem__(self, name: str) -> Row:
        """Return the row called `name`; raises `UnknownNameError`."""
        from striate.core.errors import unknown_name

        for row in self.rows:
            if row.name == name:
                return row
        raise unknown_name("baseline", name, [row.name for row in self.rows])

    def __str__(self) -> str:
        from striate.classical.telling import as_text

        return as_text(self)

    def html(self) -> list[Markup]:
        """Return pieces of a page: the table, and what should be known about it."""
        from striate.classical.telling import as_html

        return as_html(self)

    def _repr_html_(self) -> str:
        return "".join(self.html())

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; each row also with its `error` and `interval`."""
        values = dataclasses.asdict(self)
        values["rows"] = [dataclasses.asdict(row) | {"error": row.error, "interval": _plain(row.interval)} for row in self.rows]
        return {"format": FORMAT} | {name: _plain(value) for name, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Table:
        """Rebuild a table from `to_json`'s values. Raises `ArgumentError` for a format this striate does not know."""
        version = values.get("format") if isinstance(values, Mapping) else None
        if version != FORMAT:
            raise ArgumentError(f"baselines: format {version!r}, expected {FORMAT}; measure them again: striate baseline DATA")
        known = {item.name for item in dataclasses.fields(Row)}
        rows = tuple(Row(**{name: value for name, value in row.items() if name in known}) for row in values["rows"])
        given = {item.name: values[item.name] for item in dataclasses.fields(cls)} | {"rows": rows}
        for name in ("classes", "shape", "notes"):
            given[name] = tuple(given[name])
        return cls(**given)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def a_seed(seed: Any) -> int:
    """Return the seed as scikit-learn takes it, 0 to 2 ** 32 - 1; raises `ArgumentError`."""
    return whole_number("seed", seed, least=0, most=2**32 - 1)


def chosen(which: str | Sequence[str]) -> list[Entry]:
    """Return the rows `which` stands for: `quick`, `all`, names joined by commas, or a list of names. Raises `UnknownNameError`."""
    from striate.classical.registry import baselines

    order = ("pixels", "features", "several")
    if which in ("quick", "all"):
        found = [entry for entry in baselines if which == "all" or entry.facts["quick"]]
        return sorted(found, key=lambda entry: (order.index(entry.facts["group"]), entry.name))
    names = [name.strip() for name in which.split(",")] if isinstance(which, str) else list(which)
    if not names or "" in names:
        raise ArgumentError(f"which: got {which!r}, expected quick, all, or names among {', '.join(baselines.names())}")
    return [baselines.entry(name) for name in dict.fromkeys(names)]


def table(
    data: Any,
    *,
    seed: int = 0,
    which: str | Sequence[str] = "quick",
    limit: int | None = None,
    size: int | None = None,
    progress: Watch | None = None,
) -> Table:
    """Measure baselines on a data set: fitted on `train`, judged once on `test` (else `val`, else a held-out fifth).

    `data`: anything `striate.data.load` takes; `which`: `quick`, `all`, or names; `limit`: at most so many pictures of each part; `size`: pixels a
    side (None: up to 64). What a row needs to choose, it chooses on the training part. A row that cannot be had on these pictures is kept, with the
    reason. Raises `DataError` for text, missing labels, one class only and a class with one picture only; `ArgumentError`, `UnknownNameError`.
    """
    entries, seed = chosen(which), a_seed(seed)
    from striate.classical.opening import opened
    from striate.core.runtime import versions

    rows = opened(data, seed=seed, limit=limit, size=size)
    found = []
    for place, entry in enumerate(entries):
        if progress is not None:
            progress(entry.name, place, len(entries))
        found.append(_measured(entry, rows, seed))
    commonest = int(np.bincount(rows.y).argmax())
    return Table(
        data=rows.name,
        classes=rows.classes,
        shape=rows.shape,
        split=rows.split,
        train=len(rows.y),
        test=len(rows.test_y),
        seed=seed,
        commonest=float((rows.test_y != commonest).mean()),
        rows=tuple(found),
        notes=rows.notes,
        versions=versions(),
    )


def _measured(entry: Entry, rows: Opened, seed: int) -> Row:
    from striate.classical.registry import baselines

    facts: dict[str, Any] = {"name": entry.name, "help": entry.help, "group": entry.facts["group"]}
    try:
        pipeline = baselines.get(entry.name)(rows.shape, seed=seed)
        began = time.perf_counter()
        pipeline.fit(rows.x, rows.y)
        fitted = time.perf_counter()
        errors = int((pipeline.predict(rows.test_x) != rows.test_y).sum())
        done = time.perf_counter()
    except StriateError as error:
        return Row(**facts, skipped=str(error))
    final: Any = pipeline[-1]
    return Row(
        **facts,
        errors=errors,
        n=len(rows.test_y),
        values=int(final.n_features_in_),
        fit_seconds=round(fitted - began, 3),
        predict_seconds=round(done - fitted, 3),
    )
