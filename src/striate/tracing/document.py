"""A trace as JSON (format 1, described in docs/tracing.md): the same document feeds the self-contained page and any other viewer."""

from __future__ import annotations

from typing import Any

import numpy as np

from striate.core.errors import ArgumentError
from striate.draw.numbers import count
from striate.tracing.box import Array, Box
from striate.tracing.traced import Trace

FORMAT = 1
LARGEST = 1_500_000
"""Numbers a document may hold; more is asked for place by place, with `explain`."""
COUNTED = frozenset(
    {"conv1d", "conv2d", "linear", "max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d"}
    | {"relu", "leaky_relu", "sigmoid", "tanh", "scaled_tanh", "flatten", "add"}
)
"""Formulas whose terms a viewer works out from options and arrays (page.js does); the terms of all others stand in the document."""
WRITTEN = 40_000
"""Factors of written-out terms that one trace may hold."""


def as_json(trace: Trace, *, digits: int | None = None, largest: int = LARGEST) -> dict[str, Any]:
    """Return the document; `digits` rounds every number to that many significant digits. Raises `ArgumentError` for more than `largest` numbers."""
    if trace.numbers > largest:
        big = max(trace.boxes, key=lambda box: box.numbers)
        raise ArgumentError(
            f"trace: {count(trace.numbers)} numbers ({count(big.numbers)} of them in {big.name}) are too many for a document to be read in; "
            f'ask for a place instead: .explain("{big.name}", out=({", ".join("0" * max(big.output.ndim - 1, 1))})), or trace fewer boxes with at='
        )
    shelf = _Shelf(digits)
    budget = _Budget(WRITTEN)
    return {
        "kind": "striate-trace",
        "format": FORMAT,
        "title": trace.title,
        "about": trace.about,
        "precision": trace.precision,
        "loss": {"name": trace.loss_name, "value": None if trace.loss is None else shelf.plain(trace.loss)},
        "agrees": trace.agrees,
        "verdict": trace.verdict,
        "notes": list(trace.notes),
        "whole": trace.whole,
        "boxes": [_box(box, shelf, budget) for box in trace.boxes],
        "arrays": shelf.arrays,
    }


class _Budget:
    """How many factors may still be written out."""

    def __init__(self, left: int) -> None:
        self.left = left


class _Shelf:
    """The document's arrays; one that comes again (an output is the next box's input) stands there once."""

    def __init__(self, digits: int | None) -> None:
        self.digits = digits
        self.arrays: list[dict[str, Any]] = []
        self._known: dict[tuple[tuple[int, ...], bytes], int] = {}

    def put(self, array: Array | None) -> int | None:
        """Return the array's number on the shelf; None for none."""
        if array is None:
            return None
        key = (array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = len(self.arrays)
            self.arrays.append({"shape": list(array.shape), "data": [self.plain(value) for value in array.ravel().tolist()]})
        return self._known[key]

    def plain(self, value: float) -> float | int | str:
        """Return a number as JSON can hold it, rounded to `digits`."""
        if not np.isfinite(value):
            return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        if value == int(value) and abs(value) < 2**53:
            return int(value)
        return value if self.digits is None else float(f"{value:.{self.digits}g}")


def _box(box: Box, shelf: _Shelf, budget: _Budget) -> dict[str, Any]:
    narration = box.narration
    names = narration.names if narration is not None else tuple(f"input {i}" if i else "x" for i in range(len(box.inputs)))
    operands = narration.operands if narration is not None else tuple(("input", i) for i in range(len(box.inputs)))
    return {
        "name": box.name,
        "operation": box.operation,
        "formula": None if narration is None else narration.name,
        "rules": {} if narration is None else dict(narration.formula.rules),
        "options": {name: list(value) if isinstance(value, tuple) else value for name, value in box.options.items()},
        "inputs": [
            {"array": shelf.put(array), "source": box.sources[i] if i < len(box.sources) else None, "message": shelf.put(_message(box, i))}
            for i, array in enumerate(box.inputs)
        ],
        "parameters": {name: {"array": shelf.put(array), "gradient": shelf.put(box.gradients.get(name))} for name, array in box.parameters.items()},
        "output": shelf.put(box.output),
        "message": shelf.put(box.message),
        "operands": {
            name: {"kind": kind, "value": shelf.put(value) if kind == "value" else value} for name, (kind, value) in zip(names, operands, strict=True)
        },
        "deviations": {name: shelf.plain(value) for name, value in box.deviations.items()},
        "agrees": box.agrees,
        "notes": list(box.notes),
        "untold": box.untold,
        "terms": _written(box, shelf, budget),
    }


def _message(box: Box, place: int) -> Array | None:
    return box.input_messages[place] if place < len(box.input_messages) else None


def _written(box: Box, shelf: _Shelf, budget: _Budget) -> dict[str, dict[str, Any]]:
    """The terms of every number of a small box, by array and place, where a viewer cannot work them out itself."""
    narration = box.narration
    if narration is None or narration.name in COUNTED or box.output.size > WRITTEN:
        return {}
    wanted: list[tuple[str, Array]] = [("y", box.output)]
    if box.message is not None:
        for name, (kind, key) in zip(narration.names, narration.operands, strict=True):
            values = _message(box, key) if kind == "input" else box.gradients.get(key) if kind == "parameter" else None
            if values is not None:
                wanted.append((name, values))
    arrays = box.arrays()
    found: dict[str, dict[str, Any]] = {}
    for name, values in wanted:
        told: dict[str, Any] = {}
        for place in np.ndindex(values.shape):
            try:
                with np.errstate(all="ignore"):
                    terms = narration.formula.terms(name, place, *arrays, delta=box.message)
            except ArithmeticError:  # what overflows has no terms
                break
            spelled = [[_factor(factor, shelf) for factor in term.factors] for term in terms.terms]
            told[",".join(map(str, place))] = {"terms": spelled, "note": terms.note, "then": terms.then}
            if len(told) == 1 and values.size * sum(map(len, spelled)) > budget.left:
                break
            budget.left -= sum(map(len, spelled))
        else:
            found[name] = told
    return found


def _factor(factor: Any, shelf: _Shelf) -> list[Any]:
    """[name, place or None, value, text]."""
    return [factor.name, None if factor.index is None else list(factor.index), shelf.plain(factor.value), factor.text]
