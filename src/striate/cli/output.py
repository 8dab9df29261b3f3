"""What the command line prints: results on stdout, everything else on stderr; colour and width only on a terminal."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from striate.core.contracts import dump_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console
    from rich.table import Table

ACCENT = "cyan"
PIPED_WIDTH = 10_000
"""Columns of a table that goes into a pipe or a file, where nothing may be cut."""

SHORT = 24
"""A column no wider than this is never broken; the wider ones give way on a narrow terminal."""


def console(stream: TextIO | None = None) -> Console:
    """Return a rich console on `stream` (stdout): plain and wide when it is not a terminal."""
    from rich.console import Console

    out = Console(file=stream or sys.stdout, highlight=False, markup=False, emoji=False)
    if not out.is_terminal:
        out.width = PIPED_WIDTH
    return out


def say(text: str = "", *, style: str = "", stream: TextIO | None = None) -> None:
    """Print one line of text as it stands; it wraps at words on a terminal and never in a pipe."""
    out = console(stream)
    out.print(text, style=style or None, soft_wrap=not out.is_terminal)


def aside(text: str) -> None:
    """Print a line that is not the result (a note, a count of what was skipped) on stderr, dimmed."""
    say(text, style="dim", stream=sys.stderr)


def print_json(value: Any) -> None:
    """Print `value` as the one JSON document on stdout."""
    sys.stdout.write(dump_json(value))


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None) -> None:
    """Print rows under column heads; numbers (with or without a unit) stand to the right."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title=title, title_justify="left", title_style="bold", header_style=ACCENT)
    for place, head in enumerate(columns):
        numeric = bool(rows) and all(_is_number(row[place]) for row in rows)
        short = max(len(head), *(len(str(row[place])) for row in rows), 0) <= SHORT
        drawn.add_column(head, justify="right" if numeric else "left", overflow="fold", no_wrap=short)
    for row in rows:
        drawn.add_row(*[Text("" if value is None else str(value)) for value in row])
    _print_stripped(out, drawn)


def facts(values: Mapping[str, Any], *, first: int = 0) -> None:
    """Print names and values in two columns, the first at least `first` wide; None is left out."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    drawn.add_column(style=ACCENT, no_wrap=True, min_width=first)
    drawn.add_column(overflow="fold")
    for name, value in values.items():
        if value is not None:
            drawn.add_row(Text(name), Text(str(value)))
    _print_stripped(console(), drawn)


def percent(share: float | None) -> str:
    """Spell a share (0 to 1) as `1.23 %`; None as nothing."""
    return "" if share is None else f"{100 * share:.2f} %"


def duration(seconds: float) -> str:
    """Spell seconds the way a person says them: `4.2 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def shown_path(path: str | Path) -> str:
    """Spell a path the short way: relative when it lies under the current folder."""
    full = Path(path).absolute()
    here = Path.cwd()
    return str(full.relative_to(here)) if full.is_relative_to(here) and full != here else str(full)


def _print_stripped(out: Console, drawn: Table) -> None:
    """Print without the blanks that fill up the last column."""
    with out.capture() as captured:
        out.print(drawn)
    out.file.write("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")


def _is_number(value: Any) -> bool:
    return value is None or re.fullmatch(r"([-+]?[\d,.]+([ ]?(%|s|min( \d+ s)?|h( \d+ min)?))?)?", str(value)) is not None
