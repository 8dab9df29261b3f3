"""A summary as one self-contained page: the figures that matter, where they are spent, every box."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from striate.draw import bars, html
from striate.measure.boxes import Box, Summary
from striate.measure.text import inputs_of, shape_of, short, signed, size_of, totals_of

BARS = 14
"""Rows of a chart: blocks are folded until they are so few."""
SPENT = (
    ("multiply_adds", "Where multiply-adds are spent", 1.0, ""),
    ("parameters", "Where parameters are", 1.0, ""),
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
        words.append(html.folded(f"{len(summary.floors)} strides fit only by the floor, and no pixel is lost by it", list(summary.floors)))
    if words:
        sections.append(html.Section("What fits and what does not", words, short="Fit"))
    if summary.notes:
        sections.append(html.Section("Notes", [html.text(note) for note in summary.notes]))
    sections.append(html.Section("Every box", [_table(summary)], _HOW, short="Boxes"))
    lead = f"{summary.name} on {inputs_of(summary)}, measured without being run"
    return html.page(_headline(summary), sections, lead=lead, facts=figures, foot=f"{summary.name} · striate")


_HOW = (
    "Multiply-adds are those of convolutions, linear layers and matrix products. Activations are counted as the course counts them: the input and "
    "what convolutions, pools and dense layers give. Stored is what training keeps until the backward pass. A unit sees so many pixels, steps from "
    "one unit to the next, and the first one begins at the position given, which is negative in the padding."
)


def _headline(summary: Summary) -> str:
    """Say where most of the work is."""
    folded = _few(summary)
    total = summary.totals.multiply_adds
    if not total or len(folded) < 2:
        return f"{summary.name}: {short(summary.totals.parameters)} parameters"
    most = max(folded, key=lambda box: box.multiply_adds)
    return f"{summary.name} spends {round(100 * most.multiply_adds / total)} % of its multiply-adds in {most.address}"


def _few(summary: Summary) -> Sequence[Box]:
    """Fold blocks until few rows are left that cost anything."""
    for depth in range(summary.depth, 0, -1):
        rows = [box for box in summary.folded(depth) if box.operation and (box.parameters or box.multiply_adds or box.stored)]
        if len(rows) <= BARS:
            return rows
    return sorted(summary.folded(1), key=lambda box: -box.multiply_adds)[:BARS]


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
                "address": box.address,
                "operation": box.operation,
                "output": shape_of(box.output_shape, summary),
                "parameters": f"{box.parameters:,}" if box.parameters else "",
                "multiply_adds": f"{box.multiply_adds:,}" if box.multiply_adds else "",
                "activations": f"{box.activations:,}" if box.activations else "",
                "stored": size_of(box.stored) if box.stored else "",
                "sees": str(field) if field else "?",
                "step": _each(field.stride) if field and any(field.stride) else "",
                "from": _each(field.offset) if field else "",
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
    columns = {name: name.replace("_", "-") for name in rows[0]} | {"address": "box"}
    return html.table(rows, columns=columns, foot=foot)


def _each(values: Sequence[float]) -> str:
    told = [signed(value) for value in values]
    return told[0] if len(set(told)) == 1 else ", ".join(told)
