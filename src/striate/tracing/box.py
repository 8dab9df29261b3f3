"""One box of a trace: what came in, what went out, its parameters, their gradients and the messages, all float64; and the terms of one number."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.core.arguments import whole_number
from striate.core.errors import ArgumentError, unknown_name
from striate.draw.numbers import short
from striate.formulas import Formula, Term, Terms

Array = npt.NDArray[np.float64]
Place = tuple[int, ...]
SHOWN = 200
"""Terms that are printed; `.terms` holds them all."""


@dataclass(frozen=True)
class Narration:
    """How a box is told by its formula: the operation, and what stands for each of its arrays.

    `names` are the formula's arrays, `operands` where each is: `("input", 0)`, `("parameter", "weight")`, or `("value", array)`.
    """

    name: str
    formula: Formula
    names: tuple[str, ...]
    operands: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Explained:
    """One number of a trace and the terms whose sum it is.

    `value` is what torch computed; `terms` come from the formula and are empty where striate knows none (`note` says so).
    """

    box: str
    quantity: str
    place: Place
    value: float
    terms: tuple[Term, ...] = ()
    rule: str = ""
    note: str = ""
    then: str = ""

    @property
    def name(self) -> str:
        """The number's name: `conv1 output[0, 0, 0, 1]`."""
        return f"{self.box} {self.quantity}" + (f"[{', '.join(map(str, self.place))}]" if self.place else "")

    @property
    def spelled(self) -> str:
        """The terms as one sum: `2·0 + 2·0 + 0·0 + 2·(−1) + …`."""
        total = " + ".join(map(str, self.terms))
        return f"{self.then}({total})" if self.then else total

    def _shortened(self) -> str:
        if len(self.terms) <= SHOWN:
            return self.spelled
        total = " + ".join(map(str, self.terms[:SHOWN])) + f" + … and {len(self.terms) - SHOWN} more"
        return f"{self.then}({total})" if self.then else total

    def __str__(self) -> str:
        lines = [f"{self.name} = {short(self.value, 6)}"]
        if self.rule:
            lines.append(f"  {self.rule}")
        if self.terms:
            lines += textwrap.wrap(f"= {self._shortened()}", 110, initial_indent="  ", subsequent_indent="    ", break_long_words=False)
            lines.append(f"  = {short(self.value, 6)}")
        if self.note:
            lines.append(f"  {self.note}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; factors name an array (`x`, `weight`, `delta` for the message that came) and the place in it."""
        factors = [
            [{"name": f.name, "index": None if f.index is None else list(f.index), "value": f.value, "text": f.text} for f in term.factors]
            for term in self.terms
        ]
        return {
            "box": self.box,
            "quantity": self.quantity,
            "place": list(self.place),
            "value": self.value,
            "rule": self.rule,
            "terms": factors,
            "note": self.note,
            "then": self.then,
        }


@dataclass(frozen=True, eq=False)
class Box:
    """One box, batch first.

    `name`       its address, the field's for a module (`layer1.0.conv1`), with `[1]` behind it where it is called a second time
    `operation`  what it is: `Conv2d`, or the function's name (`add`)
    `sources`    for every input the box it comes from, `input` for the network's own, None where it cannot be told
    `gradients`  of the loss, by parameter name; `message` of the loss at the output, `input_messages` what this box sends back
    `deviations` pass -> largest difference between formula and torch, relative to the largest number (or term); empty where no formula is known
    """

    name: str
    operation: str
    inputs: tuple[Array, ...]
    output: Array
    parameters: Mapping[str, Array] = field(default_factory=dict)
    gradients: Mapping[str, Array] = field(default_factory=dict)
    message: Array | None = None
    input_messages: tuple[Array | None, ...] = ()
    sources: tuple[str | None, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    narration: Narration | None = None
    deviations: Mapping[str, float] = field(default_factory=dict)
    tolerance: float = 1e-10
    notes: tuple[str, ...] = ()
    untold: str = ""
    """Why its numbers have no terms, where a formula is known but not for this call."""

    @property
    def input(self) -> Array:
        """The first input. Raises `ArgumentError` for a box that has none."""
        if not self.inputs:
            raise ArgumentError(f"{self.name}: takes no arrays, so it has no input")
        return self.inputs[0]

    @property
    def agrees(self) -> bool | None:
        """Whether formula and torch agree within the tolerance; None where no formula is known."""
        return None if not self.deviations else all(found <= self.tolerance for found in self.deviations.values())

    @property
    def not_finite(self) -> str:
        """Which of the arrays that a formula takes holds NaN or infinity, in words; empty where none does."""
        given = [("its input", array) for array in self.inputs] + [(f"its {name}", array) for name, array in self.parameters.items()]
        given += [] if self.message is None else [("the message that comes to it", self.message)]
        return next((what for what, array in given if not np.isfinite(array).all()), "")

    @property
    def numbers(self) -> int:
        """How many numbers the box holds."""
        arrays = (*self.inputs, self.output, *self.parameters.values(), *self.gradients.values(), self.message, *self.input_messages)
        return sum(array.size for array in arrays if array is not None)

    def explain(
        self,
        *,
        sample: int = 0,
        out: Place | None = None,
        input: Place | None = None,  # noqa: A002 - the field's word
        gradient: tuple[str, Place] | None = None,
        branch: int = 0,
    ) -> Explained:
        """Return one number and its terms: an output (`out`), the message to an input (`input`, of input number `branch`), or a parameter's gradient.

        Places leave out the sample, which is `sample`; `gradient=("weight", (0, 0, 1, 1))`. Raises `ArgumentError` for a place that does not exist.
        """
        if sum(each is not None for each in (out, input, gradient)) != 1:
            raise ArgumentError('explain: say which number: out=(0, 0, 1), input=(0, 2, 2) or gradient=("weight", (0, 0, 1, 1))')
        sample, branch = whole_number("sample", sample), whole_number("branch", branch)
        if gradient is not None:
            if not isinstance(gradient, (tuple, list)) or len(gradient) != 2 or not isinstance(gradient[0], str):
                raise ArgumentError(f'gradient: got {gradient!r}, expected a parameter and a place in it, such as ("weight", (0, 0, 1, 1))')
            name, place = gradient[0], _place("gradient", gradient[1])
            if name not in self.gradients:
                raise self._no_gradient(name)
            return self._explained(f"gradient of {name}", name, self.gradients[name], place)
        if out is not None:
            return self._explained("output", "y", self.output, _with_sample(_place("out", out), sample, self.output))
        if not 0 <= branch < len(self.inputs):
            raise ArgumentError(f"branch: got {branch}; {self.name} has {len(self.inputs)} input{'s' * (len(self.inputs) != 1)}, counted from 0")
        back = self.input_messages[branch] if branch < len(self.input_messages) else None
        if back is None:
            raise ArgumentError(f"{self.name}: no message goes back to this input (no gradient flows through it)")
        which = "message to the input" if len(self.inputs) == 1 else f"message to input {branch}"
        return self._explained(which, branch, back, _with_sample(_place("input", input), sample, back))

    def arrays(self) -> tuple[Array | None, ...]:
        """The arrays the formula takes, in its order. Raises `ArgumentError` where none is known."""
        if self.narration is None:
            raise ArgumentError(f"{self.name}: striate knows no formula for {self.operation}")
        return tuple(
            self.inputs[key] if kind == "input" else self.parameters.get(key) if kind == "parameter" else key for kind, key in self.narration.operands
        )

    def _explained(self, quantity: str, which: str | int, values: Array, place: Place) -> Explained:
        value = float(values[_inside(place, values, f"{self.name} {quantity}")])
        if self.narration is None:
            told = "the forward pass is torch's" if which == "y" else "the number is autograd's"
            note = self.untold or f"striate has no formula for {self.operation}: {told}, its terms are not known"
            return Explained(self.name, quantity, place, value, note=note)
        try:
            terms = self._terms(which, place)
        except ArithmeticError:
            return Explained(self.name, quantity, place, value, note="the numbers overflow here, so that it has no terms")
        note = terms.note if self.agrees is not False else f"{terms.note} formula and torch differ here: the terms sum to {terms.value!r}".strip()
        return Explained(self.name, quantity, place, value, terms.terms, terms.rule, note, terms.then)

    def _terms(self, which: str | int, place: Place) -> Terms:
        narration = self.narration
        if narration is None:
            raise ArgumentError(f"{self.name}: no formula")
        wanted = ("input", which) if isinstance(which, int) else ("parameter", which)
        of = "y" if which == "y" else next(name for name, operand in zip(narration.names, narration.operands, strict=True) if operand == wanted)
        with np.errstate(all="ignore"):
            return narration.formula.terms(of, place, *self.arrays(), delta=self.message)

    def _no_gradient(self, name: str) -> ArgumentError:
        if name in self.parameters:
            return ArgumentError(f"{self.name}: {name} has no gradient here (nothing of the loss depends on it)")
        if not self.parameters:
            return ArgumentError(f"{self.name}: has no parameters, so there is no gradient of {name!r}")
        return unknown_name(f"parameter of {self.name}", name, self.parameters)


def _place(name: str, place: Any) -> Place:
    if not isinstance(place, Iterable) or isinstance(place, str):
        raise ArgumentError(f"{name}: got {place!r}, expected a place such as (0, 2, 1), counted from 0")
    return tuple(whole_number(name, each) for each in place)


def _with_sample(place: Place, sample: int, values: Array) -> Place:
    return (sample, *place) if values.ndim else ()


def _inside(place: Place, values: Array, name: str) -> Place:
    if len(place) != values.ndim or not all(0 <= p < size for p, size in zip(place, values.shape, strict=True)):
        batch = " (the sample first)" if values.ndim > 1 else ""
        raise ArgumentError(f"{name}: no place {place}; its shape is {values.shape}{batch}, places are counted from 0")
    return place
