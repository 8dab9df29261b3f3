"""A summary as plain text: one row a box, figures to the right, sums and sentences below. No torch."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

from striate.measure.arithmetic import spell
from striate.measure.boxes import Box, Summary

ROWS = 60
"""So many rows at most unless a depth is asked for: deeper blocks are folded."""
TRAINED = 32
"""The batch for which memory in training is told."""

Cell = Callable[[Box], str]


def text_of(summary: Summary, *, depth: int | None = None, width: int | None = None) -> str:
    """Return the table, the totals, and what is worth saying."""
    deep, rows = _rows(summary, depth)
    lines = [f"{summary.name} on {inputs_of(summary)}", "", *_table(summary, rows, width), "", *_facts(summary, width)]
    if deep < summary.depth:
        lines += ["", f"{len(summary.boxes)} boxes are folded to {len(rows)} rows; depth {summary.depth} shows all of them"]
    paragraphs = [*(f"! {loss}" for loss in summary.losses), *_told_floors(summary), *summary.advice, *(f"note: {note}" for note in summary.notes)]
    if paragraphs:
        lines += ["", *(line for paragraph in paragraphs for line in _wrapped(paragraph, width))]
    return "\n".join(lines)


def inputs_of(summary: Summary) -> str:
    """Spell what goes in: `3x224x224`, with the batch where it is more than one."""
    shapes = [box.output_shape for box in summary.boxes if not box.operation]
    told = " and ".join(shape_of(shape, summary) for shape in shapes)
    return told + (f", a batch of {summary.batch}" if summary.batch > 1 else "")


def shape_of(shape: Sequence[int], summary: Summary) -> str:
    """Spell an output's shape; a batch of one is left out."""
    return spell(shape[1:] if summary.batch == 1 and len(shape) > 1 and shape[0] == 1 else shape)


def size_of(amount: float) -> str:
    """Spell bytes: `812 B`, `61 kB`, `61.0 MB`."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if amount >= 0.9995 * factor:
            value = amount / factor
            return f"{value:.{max(0, 2 - len(str(int(value))) + 1) if unit != 'kB' else 0}f} {unit}"
    return f"{amount:.0f} B"


def short(amount: int) -> str:
    """Spell a large count with three digits: `1.81 G`."""
    for unit, factor in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if amount >= factor:
            value = amount / factor
            return f"{value:.{max(0, 3 - len(str(int(value))))}f} {unit}"
    return str(amount)


def signed(value: float) -> str:
    """Spell a position or a step, with a real minus sign."""
    return f"{value:g}".replace("-", "−")


def _rows(summary: Summary, depth: int | None) -> tuple[int, tuple[Box, ...]]:
    if depth is not None:
        deep = min(max(1, depth), summary.depth)
        return deep, summary.folded(deep)
    deep = summary.depth
    while deep > 1 and len(summary.folded(deep)) > ROWS:
        deep -= 1
    return deep, summary.folded(deep)


def _table(summary: Summary, rows: Sequence[Box], width: int | None) -> list[str]:
    columns = _columns(summary, rows)
    dropped = []
    for name in ("from", "step", "activations", "operation", "sees", "stored"):
        if width is None or _width(columns) <= width:
            break
        if name in columns:
            dropped.append(name)
            del columns[name]
    widths = {head: max(len(cell) for cell in (head, *cells)) for head, (cells, _) in columns.items()}
    lines = []
    for place in range(-1, len(rows)):
        cells = []
        for head, (values, right) in columns.items():
            cell = head if place < 0 else values[place]
            cells.append(cell.rjust(widths[head]) if right else cell.ljust(widths[head]))
        lines.append("  ".join(cells).rstrip())
    if dropped:
        lines.append(f"({', '.join(dropped)} left out: the window is {width} columns wide)")
    return lines


def _columns(summary: Summary, rows: Sequence[Box]) -> dict[str, tuple[list[str], bool]]:
    def column(cell: Cell, *, right: bool = True) -> tuple[list[str], bool]:
        return [cell(box) for box in rows], right

    def field(cell: Callable[[Box], str]) -> Cell:
        return lambda box: cell(box) if box.receptive_field is not None else "?" if box.operation else ""

    return {
        "box": column(lambda box: box.address, right=False),
        "operation": column(lambda box: f"{box.count} boxes" if box.count > 1 else box.operation, right=False),
        "output": column(lambda box: shape_of(box.output_shape, summary)),
        "parameters": column(lambda box: _amount(box.parameters)),
        "multiply-adds": column(lambda box: _amount(box.multiply_adds)),
        "activations": column(lambda box: _amount(box.activations)),
        "stored": column(lambda box: size_of(box.stored) if box.stored else ""),
        "sees": column(field(lambda box: str(box.receptive_field))),
        "step": column(field(lambda box: _axes(box.receptive_field.stride) if box.receptive_field and any(box.receptive_field.stride) else "")),
        "from": column(field(lambda box: _axes(box.receptive_field.offset) if box.receptive_field else "")),
    }


def _width(columns: dict[str, tuple[list[str], bool]]) -> int:
    return sum(max(len(cell) for cell in (head, *cells)) + 2 for head, (cells, _) in columns.items()) - 2


def _axes(values: Sequence[float]) -> str:
    told = [signed(value) for value in values]
    return told[0] if len(set(told)) == 1 else ",".join(told)


def _amount(number: int) -> str:
    return f"{number:,}" if number else ""


def _facts(summary: Summary, width: int | None) -> list[str]:
    facts = totals_of(summary)
    longest = max(len(name) for name in facts)
    return [line for name, told in facts.items() for line in _wrapped(f"{name.ljust(longest)}  {told}", width, longest + 2)]


def _wrapped(line: str, width: int | None, indent: int = 2) -> list[str]:
    """Break a line at words where the window is narrower; what follows is indented."""
    if width is None or len(line) <= width:
        return [line]
    return textwrap.wrap(line, max(width, indent + 20), subsequent_indent=" " * indent, break_long_words=False, drop_whitespace=True)


def totals_of(summary: Summary) -> dict[str, str]:
    """Return the sums in words, by name."""
    total, batch = summary.totals, summary.batch
    each = "one sample" if batch == 1 else f"{batch} samples"
    frozen = total.parameters - total.trainable
    buffers = f"; {total.buffers:,} numbers in buffers" if total.buffers else ""
    facts = {
        "parameters": f"{total.parameters:,}, {size_of(total.parameter_bytes)}" + (f"; {frozen:,} of them frozen" if frozen else "") + buffers,
        "multiply-adds": f"{total.multiply_adds:,} for {each}" + (f", {short(total.multiply_adds)}" if total.multiply_adds >= 10**6 else ""),
        "activations": f"{total.activations:,} for {each}, {size_of(total.activation_bytes)}: the input, and outputs of convolutions, pools, dense",
        "stored": f"{size_of(total.stored)} for {each}: what training keeps until the backward pass",
    }
    if total.trainable:
        many = total.stored / batch * TRAINED
        facts["training"] = f"about {size_of(many + 2 * total.parameter_bytes)} for a batch of {TRAINED}: stored, parameters and their gradients"
    if summary.last_map:
        box = summary[summary.last_map]
        field = box.receptive_field
        if field is not None:
            facts["receptive field"] = f"{field} at {box.address}, {_each(field.stride)}{_against(field.size, summary)}"
    return facts


def _each(strides: Sequence[float]) -> str:
    return "a unit at every pixel" if set(strides) == {1} else f"a unit every {_axes(strides)} pixels"


def _against(size: Sequence[int], summary: Summary) -> str:
    picture = summary.boxes[0].output_shape[2:]
    if len(picture) != len(size):
        return ""
    return ": more than the picture" if all(a > b for a, b in zip(size, picture, strict=True)) else ""


def _told_floors(summary: Summary) -> list[str]:
    """One sentence for all strides that lose padding only."""
    if not summary.floors:
        return []
    names = floored(summary)
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return [f"{told_floors(len(names))}, and no pixel is lost by it ({shown}); strict mode refuses that"]


def floored(summary: Summary) -> list[str]:
    """Return the boxes with a stride that loses padding only, each once, whatever the number of its axes."""
    return list(dict.fromkeys(floor.partition(":")[0] for floor in summary.floors))


def told_floors(count: int) -> str:
    """Say how many strides fit only because the division is rounded down."""
    return "1 stride fits only by the floor" if count == 1 else f"{count} strides fit only by the floor"
