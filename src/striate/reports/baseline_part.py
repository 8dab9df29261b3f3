"""The part of a report that shows what the net had to beat: `baselines.json` of the run's folder, when there is one."""

from __future__ import annotations

import json
from pathlib import Path

from striate.classical.tabulating import Table
from striate.classical.telling import as_html
from striate.core.errors import StriateError
from striate.core.storage import read_json
from striate.draw import html
from striate.reports import wording

NAME = "baselines.json"
"""What `striate.classical.table(data).to_json()` is kept as, in a run's folder."""


def baseline_section(folder: Path, *, errors: int | None = None, n: int | None = None) -> html.Section | None:
    """Return the section, None where the folder holds no table; `errors` of `n`: the net's own, to compare with.

    A file that cannot be read gets a section that says so.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        table = Table.from_json(read_json(path))
        pieces: list[html.Piece] = list(as_html(table))
    except (StriateError, KeyError, TypeError, ValueError, json.JSONDecodeError) as error:
        return html.Section("The baselines cannot be shown", [html.warning(f"{NAME}: {error}")], short="Baselines")
    return html.Section(_title(table, errors, n), pieces, intro=_intro(table, errors, n), short="Baselines")


def _title(table: Table, errors: int | None, n: int | None) -> str:
    best = table.best
    if best is None or best.error is None:
        return "No baseline could be measured"
    reads = f"{best.help}: {wording.percent(1 - best.error, best.n)} right"
    if errors is None or not n:
        return f"The best baseline is {reads}"
    gain = 100 * (best.error - errors / n)
    if abs(gain) < 0.05:
        return f"No better than the best baseline, {reads}"
    return f"{abs(gain):.1f} points {'better' if gain > 0 else 'worse'} than the best baseline, {reads}"


def _intro(table: Table, errors: int | None, n: int | None) -> str:
    if n and table.test != n:
        return f"Simple methods on the same data, judged on {table.test:,} pictures ({table.split}); the net was judged on {n:,}."
    words = "Simple methods on the same data, judged on the same pictures as the net."
    best = table.best
    if best is None or best.error is None or errors is None or not n:
        return words
    spread = ((best.error * (1 - best.error) + errors / n * (1 - errors / n)) / n) ** 0.5
    return words if abs(best.error - errors / n) > 1.96 * spread else f"{words} Between the best of them and the net, {n:,} pictures do not decide."
