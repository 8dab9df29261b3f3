"""The help pages, drawn with rich: usage, arguments, options, examples; plain text when not on a terminal."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import click

from striate.cli.output import ACCENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from striate.core.registry import Entry

SECTIONS = ("Start", "Results", "Reference")
"""Headings of `striate --help` in order; others follow."""
WIDEST = 100


def command_help(entry: Entry, path: str, parameters: Sequence[click.Parameter]) -> str:
    """Return the help page of one command."""
    out = _console()
    arguments = [p for p in parameters if isinstance(p, click.Argument)]
    options = [p for p in parameters if isinstance(p, click.Option)]
    spelled = " ".join(_argument(p) for p in arguments)
    _line(out, f"striate {path.partition(' ')[2]} {spelled}".rstrip() + " [OPTIONS]", "bold")
    _line(out, entry.help)
    told = entry.facts.get("options", {})
    if arguments:
        _rows(out, "Arguments", [(_argument(p), _with_default(told[str(p.name)], p)) for p in arguments])
    _rows(out, "Options", [(_option(p), f"{p.help} (required)" if p.required else _with_default(p.help or "", p)) for p in options])
    if entry.facts.get("examples"):
        out.print()
        out.print("Examples", style=f"bold {ACCENT}")
        for example in entry.facts["examples"]:
            out.print(f"  {example}", soft_wrap=True)
    return _text(out)


def group_help(path: str, intro: str, entries: Sequence[tuple[str, str, str]], notes: Sequence[str]) -> str:
    """Return the help page of a group: `entries` are (section, name, help), `notes` the last lines."""
    out = _console()
    _line(out, f"{path} COMMAND [OPTIONS]", "bold")
    _line(out, intro)
    found = [section for section, _, _ in entries]
    for section in dict.fromkeys([*[s for s in SECTIONS if s in found], *found]):
        _rows(out, section, [(name, help_text) for where, name, help_text in entries if where == section], first=12)
    out.print()
    for note in notes:
        _line(out, note, "dim")
    return _text(out)


def _console() -> Console:
    from rich.console import Console

    terminal = sys.stdout.isatty()
    out = Console(file=io.StringIO(), record=True, force_terminal=terminal, highlight=False, markup=False, emoji=False)
    out.width = min(out.width, WIDEST)
    return out


def _text(out: Console) -> str:
    return "\n".join(line.rstrip() for line in out.export_text(styles=sys.stdout.isatty()).splitlines()) + "\n"


def _line(out: Console, text: str, style: str = "") -> None:
    out.print(text, style=style or None)


def _rows(out: Console, title: str, rows: Sequence[tuple[str, str]], first: int = 0) -> None:
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    out.print()
    out.print(title, style=f"bold {ACCENT}")
    drawn = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    drawn.add_column(min_width=first, max_width=30, overflow="fold")
    drawn.add_column(ratio=1)
    for name, told in rows:
        drawn.add_row(Text(f"  {name}"), Text(told))
    out.print(drawn)


def _argument(parameter: click.Argument) -> str:
    name = str(parameter.metavar or parameter.name).upper() + ("..." if parameter.nargs == -1 else "")
    return name if parameter.required else f"[{name}]"


def _option(parameter: click.Option) -> str:
    flags = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return flags if parameter.is_flag or not parameter.metavar else f"{flags} {parameter.metavar}"


def _with_default(text: str, parameter: click.Parameter) -> str:
    default: Any = parameter.default
    plain = isinstance(default, (str, int, float)) and not isinstance(default, bool) and default != ""
    return f"{text} (default: {default})" if plain else text
