"""A trace as text: the boxes forward, then back, every array of a small one printed in full."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator

import numpy as np

from striate.draw.numbers import count, short
from striate.tracing.box import Array, Box
from striate.tracing.traced import Trace

WIDTH = 100
FULL = 400
"""Numbers of an array that is printed in full; a larger one is told by its size and range."""


def as_text(trace: Trace, *, only: str | None = None) -> str:
    """Return the whole trace as text, or one box of it."""
    if only is not None:
        return "\n".join([*_forward(trace, trace[only], trace.names.index(only) + 1), *_backward(trace[only], trace.names.index(only) + 1)])
    lines = [trace.title]
    if trace.about:
        lines += textwrap.wrap(trace.about, WIDTH)
    came = "" if trace.input is None else f"input {shape_of(trace.input)}, "
    lines.append(f"{came}{trace.precision}, loss ({trace.loss_name}) {short(trace.loss, 6)}")
    lines += [line for note in (trace.verdict, *trace.notes) for line in textwrap.wrap(note, WIDTH)]
    lines += ["", "FORWARD"]
    for number, box in enumerate(trace.boxes, start=1):
        lines += ["", *_forward(trace, box, number)]
    lines += ["", "BACKWARD"]
    for number in range(len(trace.boxes), 0, -1):
        lines += ["", *_backward(trace.boxes[number - 1], number)]
    return "\n".join(line.rstrip() for line in lines)


def shape_of(array: Array) -> str:
    """Spell a shape: `1x3x5x5`, `4`, `one number`."""
    return "x".join(map(str, array.shape)) if array.ndim else "one number"


def told_options(box: Box) -> str:
    """Spell a box's options: `stride 2, padding 0`."""
    return ", ".join(f"{name.replace('_', ' ')} {_option(value)}" for name, value in box.options.items())


def heading(box: Box) -> str:
    """Spell what a box is: name, operation, shapes, options."""
    came = " and ".join(shape_of(array) for array in box.inputs) or "nothing"
    options = told_options(box)
    return f"{box.name}  {box.operation}  {came} -> {shape_of(box.output)}" + (f"  ({options})" if options else "")


def _forward(trace: Trace, box: Box, number: int) -> Iterator[str]:
    yield f"{number}  {heading(box)}"
    if box.narration is not None:
        yield f"   {box.narration.formula.rules.get('y', '')}"
    for note in box.notes:
        yield from textwrap.wrap(note, WIDTH, initial_indent="   ", subsequent_indent="   ")
    previous = trace.boxes[number - 2].name if number > 1 else None
    for place, array in enumerate(box.inputs):
        label = "input" if len(box.inputs) == 1 else f"input {place}"
        source = box.sources[place] if place < len(box.sources) else None
        if source is not None and source == previous:
            yield f"   {label}: the output of {source}"
        else:
            yield from _shown(label if source in (None, "input") else f"{label}, from {source}", array)
    for name, array in box.parameters.items():
        yield from _shown(name, array)
    yield from _shown("output", box.output)


def _backward(box: Box, number: int) -> Iterator[str]:
    yield f"{number}  {box.name}"
    rules = box.narration.formula.rules if box.narration is not None else {}
    if box.message is None:
        yield "   no message comes back to it: the loss does not depend on it"
        return
    yield from _shown("message that comes, δ = ∂loss/∂output", box.message)
    for name, array in box.gradients.items():
        if name in rules:
            yield f"   {rules[name]}"
        yield from _shown(f"gradient of {name}", array)
    for place, back in enumerate(box.input_messages):
        if back is None:
            continue
        name = _name_of(box, place)
        if name in rules:
            yield f"   {rules[name]}"
        yield from _shown("message sent back, ∂loss/∂input" + (f" {place}" if len(box.input_messages) > 1 else ""), back)


def _name_of(box: Box, place: int) -> str:
    """The formula's name for an input; what all inputs of a sum share is told once, under x."""
    if box.narration is None:
        return ""
    named = {operand: name for name, operand in zip(box.narration.names, box.narration.operands, strict=True) if operand[0] == "input"}
    name = named.get(("input", place), "")
    return name if name in box.narration.formula.rules or place else "x"


def _shown(label: str, array: Array) -> Iterator[str]:
    if not array.size:
        yield f"   {label}: {shape_of(array)}, no numbers"
    elif array.size > FULL:
        yield f"   {label}: {shape_of(array)}, {count(array.size)} numbers from {short(float(array.min()), 4)} to {short(float(array.max()), 4)}"
    elif array.size == 1:
        yield f"   {label}: {_number(float(array.reshape(-1)[0]))}"
    else:
        yield f"   {label}"
        yield from (f"      {line}" for line in matrices(array))


def matrices(array: Array, width: int = WIDTH - 6) -> Iterator[str]:
    """Yield the lines of an array as matrices side by side, each with its place above it where there are several."""
    if array.ndim > 2 and len(array) == 1:
        array = array.reshape(array.shape[1:])
    if array.ndim < 2:
        array = array.reshape(1, -1)
    cells = np.vectorize(_number, otypes=[object])(array)
    wide = max(len(cell) for cell in cells.ravel())
    places = list(np.ndindex(array.shape[:-2]))
    blocks = [[" ".join(cell.rjust(wide) for cell in row) for row in cells[place]] for place in places]
    if len(blocks) == 1 and len(blocks[0]) == 1 and len(blocks[0][0]) > width:
        yield from textwrap.wrap(blocks[0][0], width)
        return
    if len(blocks) > 1:
        blocks = [[f"[{', '.join(map(str, place))}]", *block] for place, block in zip(places, blocks, strict=True)]
    each = max(len(line) for block in blocks for line in block)
    across = max(1, (width + 4) // (each + 4))
    for start in range(0, len(blocks), across):
        rows = blocks[start : start + across]
        for line in zip(*rows, strict=True):
            yield "    ".join(part.ljust(each) for part in line).rstrip()


def _number(value: float) -> str:
    if not math.isfinite(value):
        return short(value, 4)
    return f"{value:.0f}".replace("-", "−") if value == int(value) and abs(value) < 1e6 else short(value, 4)


def _option(value: object) -> str:
    if isinstance(value, tuple):
        return str(value[0]) if len(set(value)) == 1 else "x".join(map(str, value))
    if isinstance(value, float):
        return short(value, 4)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
