"""A box computed a second time by its formula: how far that is from what torch computed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from striate.formulas import Term
from striate.formulas.joins import Join
from striate.tracing.box import Array, Narration

ENOUGH = 12_000
"""Terms of an array after which a spot check of it ends."""


@dataclass(frozen=True)
class Numbers:
    """What torch computed for one call."""

    output: Array
    message: Array | None
    input_messages: tuple[Array | None, ...]
    gradients: Mapping[str, Array]


def deviations(narration: Narration, arrays: tuple[Array | None, ...], torchs: Numbers, tolerance: float) -> dict[str, float]:
    """Recompute forward pass, messages and gradients by the formula; return the largest relative difference from torch's for each.

    It is relative to the largest number of the array; where that gives more than `tolerance`, to the largest term of the number that differs most,
    if that is larger: a sum that cancels to nothing leaves the rounding of its terms. Numbers of torch's that are NaN or infinity are left out.
    """
    formula = narration.formula
    operands = dict(zip(narration.names, narration.operands, strict=True))

    def difference(name: str, ours: npt.ArrayLike, theirs: Array, terms: float = 0.0) -> float:
        found = _difference(ours, theirs, terms=terms)
        if not tolerance < found < math.inf:
            return found
        place = _worst(ours, theirs)
        apart = float(np.abs(np.asarray(ours) - theirs)[place])
        size = _largest_term(narration, name, place, arrays, torchs.message)
        return min(found, apart / size) if size else found

    found = {"output": difference("y", formula.forward(*arrays), torchs.output)} if np.isfinite(torchs.output).all() else {}
    if torchs.message is None:
        return found
    known = dict(zip(narration.names, arrays, strict=True))
    size = _largest(torchs.message)
    heaviest = max((_largest(known[name]) for name in formula.parameters if known.get(name) is not None), default=1.0)
    back = formula.message(torchs.message, *arrays)
    sent = back if isinstance(back, tuple) else (back,)
    names = [name for name, (kind, _) in operands.items() if kind == "input" and (isinstance(formula, Join) or name in formula.inputs)]
    for number, message in enumerate(sent):
        there = torchs.input_messages[number] if number < len(torchs.input_messages) else None
        if there is not None and np.isfinite(there).all():
            label = "message to the input" if len(sent) == 1 else f"message to input {number}"
            found[label] = difference(names[number], message, there, size * heaviest)
    for name, gradient in formula.parameter_gradient(torchs.message, *arrays).items():
        theirs = torchs.gradients.get(name)
        if theirs is None:  # a function's weight is one of its inputs
            kind, key = operands.get(name, ("value", None))
            theirs = torchs.input_messages[key] if kind == "input" and key < len(torchs.input_messages) else None
        if theirs is not None and np.isfinite(theirs).all():
            found[f"gradient of {name}"] = difference(name, gradient, theirs, size * (1.0 if name == "bias" else _largest(arrays[0])))
    return found


def _worst(ours: npt.ArrayLike, theirs: Array) -> tuple[int, ...]:
    """Where two arrays differ most."""
    return tuple(int(i) for i in np.unravel_index(int(np.abs(np.asarray(ours) - theirs).argmax()), theirs.shape))


def _largest_term(narration: Narration, name: str, place: tuple[int, ...], arrays: tuple[Array | None, ...], message: Array | None) -> float:
    """The largest term of one number; x − μ counts as the x that it is the rest of."""
    terms = narration.formula.terms(name, place, *arrays, delta=message)
    whole = _largest(arrays[0])

    def size(term: Term) -> float:
        return math.prod(max(abs(factor.value), whole if factor.name == "x − μ" else 0.0) for factor in term.factors)

    largest = max(map(size, terms.terms), default=0.0)
    return math.sqrt(largest) if terms.then == "√" else largest


def overflowing(torchs: Numbers) -> str:
    """Which of torch's numbers hold NaN or infinity, in words; empty where none do."""
    made = [("output", torchs.output), *(("message sent back", back) for back in torchs.input_messages)]
    made += [(f"gradient of {name}", gradient) for name, gradient in torchs.gradients.items()]
    return ", ".join(dict.fromkeys(what for what, array in made if array is not None and not np.isfinite(array).all()))


def connections(narration: Narration, box_output: Array, arrays: tuple[Array | None, ...]) -> int:
    """How many steps a formula of windows takes one by one: places times taps; 0 for other formulas, which take all numbers at once."""
    known = dict(zip(narration.names, arrays, strict=True))
    weight, kernel = known.get("weight"), getattr(narration.formula, "kernel", None)
    axes = box_output.shape[2:]
    if not axes or (kernel is None and (weight is None or weight.ndim < 3)):
        return 0
    sizes = (kernel,) * len(axes) if isinstance(kernel, int) else kernel if kernel is not None else weight.shape[-len(axes) :]  # type: ignore[union-attr]
    return int(math.prod(axes) * math.prod(sizes))


def spot_deviations(narration: Narration, arrays: tuple[Array | None, ...], torchs: Numbers, *, places: int) -> dict[str, float]:
    """As `deviations`, for a box too large to be computed again: some numbers of each array, drawn with a fixed seed, by their terms."""
    random = np.random.default_rng(0)
    wanted: list[tuple[str, str, Array]] = [("output", "y", torchs.output)]
    if torchs.message is not None:
        for name, (kind, key) in zip(narration.names, narration.operands, strict=True):
            if kind == "input" and key < len(torchs.input_messages) and (back := torchs.input_messages[key]) is not None:
                wanted.append((f"message to input {key}", name, back))
            elif kind == "parameter" and key in torchs.gradients:
                wanted.append((f"gradient of {key}", name, torchs.gradients[key]))
    found = {}
    for label, name, values in wanted:
        if not np.isfinite(values).all():
            continue
        worst, enough = 0.0, ENOUGH
        for flat in random.choice(values.size, min(places, values.size), replace=False):
            place = tuple(int(i) for i in np.unravel_index(int(flat), values.shape))
            terms = narration.formula.terms(name, place, *arrays, delta=torchs.message)
            enough -= len(terms.terms)
            scale = max(_largest(values), max((abs(term.value) for term in terms.terms), default=0.0))
            worst = max(worst, abs(terms.value - float(values[place])) / scale if scale else 0.0)
            if enough < 0:
                break
        found[label] = worst
    return found


def _difference(ours: npt.ArrayLike, theirs: Array, *, terms: float = 0.0) -> float:
    """The largest difference, relative to the largest number, or to the largest of the `terms` where sums cancel to nothing."""
    ours = np.asarray(ours, dtype=np.float64)
    if ours.shape != theirs.shape or not np.isfinite(ours).all():
        return float("inf")
    if not ours.size:
        return 0.0
    scale = max(_largest(theirs), _largest(ours), terms)
    return float(np.abs(ours - theirs).max()) / scale if scale else 0.0


def _largest(values: Array | None) -> float:
    return float(np.abs(values).max()) if values is not None and values.size else 0.0
