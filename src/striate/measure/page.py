"""A summary as one self-contained page: the figures that matter, where they are spent, every box."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from striate.draw import bars, html
from striate.measure.boxes import Box, ReceptiveField, Summary
from striate.measure.text import floored, inputs_of, shape_of, short, signed, size_of, told_floors, totals_of

BARS = 14
"""Rows of a chart: blocks are folded until they are so few."""
SPENT = (
    ("multiply_adds", "Where multiply-adds are spent", 1e-6, " M"),
    ("parameters", "Where parameters are", 1e-3, " k"),
    ("stored", "What training keeps", 1e-6, " MB"),
)


def page_of(summary: Summary) -> str:
    """Return the whole document."""
    total = summary.totals
    figures = {
        "parameters": short(total.parameters),
        "multiply-adds": short(total.multiply_adds),
        "activations": short(total.activations),
        "stored by training": size_of(total.stored),
    }
    told = totals_of(summary)
    sections = [html.Section("Totals", [html.facts(told)])]
    if spent := _charts(summary):
        sections.append(html.Section("Where it is spent", [html.side_by_side(spent)], short="Spent"))
    words = [*(html.warning(loss) for loss in summary.losses), *map(html.text, summary.advice)]
    if summary.floors:
        words.append(html.folded(f"{told_floors(len(floored(summary)))}, and no pixel is lost by it", list(summary.floors)))
    if words:
        sections.append(html.Section("What fits and what does not", words, short="Fit"))
    if summary.notes:
        sections.append(html.Section("Notes", [html.text(note) for note in summary.notes]))
    sections.append(html.Section("Every box", [_table(summary)], _HOW, short="Boxes"))
    lead = f"{summary.name} on {inputs_of(summary)}, measured without being run"
    return html.page(_headline(summary), sections, lead=lead, facts=figures, foot=f"{summary.name} · striate")


_HOW = (
    "Multiply-adds are those of convolutions, linear layers and matrix products. Activations are counted as the course counts them: the input and "
    "what convolutions, pools and dense layers give. Stored is what training keeps until the backward pass. A unit sees so many pixels, the next "
    "unit a step further on; the first begins at the last number, which is negative in the padding."
)


def _headline(summary: Summary) -> str:
    """Say where most of the work is."""
    folded = _few(summary)
    total = summary.totals.multiply_adds
    if not total or len(folded) < 2:
        return f"{summary.name}: {short(summary.totals.parameters)} parameters"
    most = max(folded, key=lambda box: box.multiply_adds)
    return f"{summary.name} spends {round(100 * most.multiply_adds / total)}\u202f% of its multiply-adds in {most.address}"


def _few(summary: Summary) -> Sequence[Box]:
    """Fold blocks until few rows are left that cost anything."""
    for depth in range(summary.depth, 0, -1):
        rows = [box for box in summary.folded(depth) if box.operation and (box.parameters or box.multiply_adds or box.stored)]
        if len(rows) <= BARS:
            return rows
    most = sorted(rows, key=lambda box: -box.multiply_adds)[:BARS]
    return [box for box in rows if box in most]


def _charts(summary: Summary) -> list[Markup]:
    rows = _few(summary)
    drawn = []
    for figure, title, factor, unit in SPENT:
        values = {box.address: getattr(box, figure) * factor for box in rows if getattr(box, figure)}
        if len(values) > 1:
            drawn.append(html.figure(bars(values, title, unit=unit)))
    return drawn


def _table(summary: Summary) -> Markup:
    rows = []
    for box in summary.boxes:
        field = box.receptive_field
        rows.append(
            {
                "address": _BOX.format(box.address, box.operation),
                "output": shape_of(box.output_shape, summary),
                "parameters": f"{box.parameters:,}" if box.parameters else "",
                "multiply_adds": f"{box.multiply_adds:,}" if box.multiply_adds else "",
                "activations": f"{box.activations:,}" if box.activations else "",
                "stored": size_of(box.stored) if box.stored else "",
                "sees": _WHOLE.format(_seen(field)),
            }
        )
    total = summary.totals
    foot = {
        "address": "total",
        "parameters": f"{total.parameters:,}",
        "multiply_adds": f"{total.multiply_adds:,}",
        "activations": f"{total.activations:,}",
        "stored": size_of(total.stored),
    }
    columns = {name: name.replace("_", "-") for name in rows[0]} | {"address": "box", "sees": _WHOLE.format("sees · step · from")}
    return html.table(rows, columns=columns, foot=foot)


_BOX = Markup('{} <span style="color:var(--soft);font-weight:400">{}</span>')
_WHOLE = Markup('<span style="white-space:nowrap">{}</span>')


def _seen(field: ReceptiveField | None) -> str:
    """Spell size, step and place of the first: `7x7 · 2 · −3`."""
    if field is None:
        return "?"
    step = [_each(field.stride)] if any(field.stride) else []
    return " · ".join([str(field), *step, _each(field.offset)])


def _each(values: Sequence[float]) -> str:
    told = [signed(value) for value in values]
    return told[0] if len(set(told)) == 1 else ", ".join(told)
