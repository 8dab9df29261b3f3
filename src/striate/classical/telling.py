"""The table of baselines for people: lines for the terminal, pieces for a page. No scikit-learn, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

    from striate.classical.tabulating import Row, Table

HEADS = ("baseline", "what it is", "right", "95 % interval", "values", "fit", "predict")
LEFT = 2
"""How many columns hold words."""


def headline(table: Table) -> str:
    """Return what is seen, in one sentence."""
    best = table.best
    if best is None or best.error is None:
        return f"No baseline could be measured on {table.data}"
    return f"To beat on {table.data}: {best.help} reads {_percent(1 - best.error, table.test)} right"


def cells(row: Row) -> list[str]:
    """Return one row's cells, under `HEADS`."""
    if row.error is None or row.interval is None:
        return [row.name, row.help, "–", "–", "–", "–", "–"]
    low, high = (100 * (1 - edge) for edge in reversed(row.interval))
    digits = 2 if high - low < 1 else 1
    seconds = [f"{value:.1f} s" if value is not None else "" for value in (row.fit_seconds, row.predict_seconds)]
    values = "" if row.values is None else f"{row.values:,}"
    return [row.name, row.help, _percent(1 - row.error, row.n or 0), f"{low:.{digits}f}–{high:.{digits}f} %", values, *seconds]


def remarks(table: Table) -> list[str]:
    """Return what should be known: how it was measured, what was changed, which rows could not be had."""
    size = "x".join(map(str, table.shape))
    fitted = f"Fitted on {table.train:,} pictures of {size}, judged once on {table.test:,} ({table.split}); seed {table.seed}."
    told = [f"{fitted} Always naming the commonest class reads {_percent(1 - table.commonest, table.test)} right."]
    told += [f"{note[0].upper()}{note[1:]}." for note in table.notes]
    told += [f"{row.name} is left out: {row.skipped}." for row in table.rows if row.skipped]
    return told


def as_text(table: Table) -> str:
    """Return the headline, the rows, the best first within the order of measuring, and the remarks."""
    rows = [list(HEADS), *(cells(row) for row in table.rows)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADS))]
    lines = [headline(table), ""]
    lines += ["  ".join(_set(row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, "", *remarks(table)])


def as_html(table: Table) -> list[Markup]:
    """Return the table and the remarks as pieces of a page."""
    from striate.draw import html

    rows = [dict(zip(HEADS, cells(row), strict=True)) for row in table.rows]
    return [html.table(rows), *map(html.text, remarks(table))]


def _set(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [cell.ljust(width) if place < LEFT else cell.rjust(width) for place, (cell, width) in enumerate(zip(row, widths, strict=True))]


def _percent(share: float, n: int) -> str:
    return f"{100 * share:.{2 if n >= 2000 else 1}f} %"
