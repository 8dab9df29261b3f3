"""The page of a comparison: the table, what can be told apart, and the curves over one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from striate import draw
from striate.draw import html
from striate.reports.comparison import NAMED

if TYPE_CHECKING:
    from striate.reports.comparison import Comparison

_CHARTS = (
    ("val/error", "validation error", True),
    ("train/error", "training error", True),
    ("val/loss", "validation loss", False),
    ("train/loss", "training loss", False),
)


def comparison_page(compared: Comparison) -> str:
    """Return the self-contained page of a comparison."""
    header, lines = compared.table()
    pieces: list[html.Piece] = [html.table([dict(zip(header, [*line[:NAMED], *map(_whole, line[NAMED:])], strict=True)) for line in lines])]
    pieces += [html.warning(note) for note in compared.notes]
    sections = [html.Section("Side by side", pieces, short="Table")]
    if compared.pairs:
        rows = [
            {
                "runs": f"{pair.first}, {pair.second}",
                "samples": pair.n,
                "only the first is wrong": pair.only_first,
                "only the second is wrong": pair.only_second,
                "difference": f"{pair.difference * 100:+.2f}".replace("-", "−"),
                "95 % interval": _whole(f"{pair.low * 100:+.2f} to {pair.high * 100:+.2f}".replace("-", "−")),
                "p": _whole("< 0.001") if pair.p < 0.001 else f"{pair.p:.3f}",
            }
            for pair in compared.pairs
        ]
        intro = "Error of the first minus error of the second in points, on the same samples; Bonett and Price's interval, McNemar's exact test."
        words = [f"{pair}." for pair in compared.pairs]
        sections.append(html.Section("What can be told apart", [html.table(rows), *words], intro=intro, short="Test"))
    charts = []
    names = [row.name for row in compared.rows]
    for key, title, percent in _CHARTS:
        drawn = {name: run.series(key) for name, run in zip(names, compared.runs, strict=True)}
        kept = {name: line for name, line in drawn.items() if line[0]}
        if kept:
            colours = {name: names.index(name) for name in kept}
            charts.append(html.figure(draw.curves(kept, title, "epoch", percent=percent, colours=colours, floor=0, width=460, height=260)))
    if charts:
        sections.append(html.Section("How they learned", [html.side_by_side(charts)], short="Curves"))
    return html.page(compared.title, sections)


def _whole(cell: str) -> str:
    """Keep a figure on one line: the table scrolls on a narrow screen. Names stay as they are, to be found and copied."""
    return cell.replace(" ", "\u00a0").replace("-", "\u2011").replace("–", "\u2060–\u2060" if len(cell) > 1 else "–")
