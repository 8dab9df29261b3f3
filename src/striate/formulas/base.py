"""What every formula is made of: the base class, and the exact terms of one number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError, unknown_name
from striate.draw.numbers import short
from striate.formulas.windows import Grid

Array = npt.NDArray[np.float64]
Numbers = Any
"""What the methods take: an array, nested lists, a tensor on the CPU without gradient: whatever NumPy can read. None for an array left out."""
Index = tuple[int, ...]
ALL: Any = slice(None)
"""A whole axis, as `:` (which mypy cannot read beside a starred index)."""

AXES = {0: "a single number", 1: "one axis", 2: "N F", 3: "N C L", 4: "N C H W", 5: "N C D H W"}
"""What the axes of an array of that rank are called."""


@dataclass(frozen=True)
class Factor:
    """One factor of a product: an entry of the array `name` at `index`, or, with index None, a number that `text` spells ("1/4", "e^(−2)")."""

    name: str
    value: float
    index: Index | None = None
    text: str = ""

    def __str__(self) -> str:
        return self.text or spell(self.value)


@dataclass(frozen=True)
class Term:
    """One product of the sum."""

    factors: tuple[Factor, ...]

    @property
    def value(self) -> float:
        """The product of the factors."""
        return math.prod(factor.value for factor in self.factors)

    def __str__(self) -> str:
        return "·".join(map(str, self.factors))


@dataclass(frozen=True)
class Terms:
    """The exact terms of one number: `of` names its array ("y", an input, a parameter), `at` its place."""

    of: str
    at: Index
    terms: tuple[Term, ...]
    rule: str
    note: str = ""
    then: str = ""

    @property
    def total(self) -> float:
        """The sum of the products."""
        return math.fsum(term.value for term in self.terms)

    @property
    def value(self) -> float:
        """The number itself: the sum, or its root where `then` says so."""
        return math.sqrt(self.total) if self.then == "√" else self.total

    @property
    def name(self) -> str:
        """The number's name: `y[0, 0, 0, 1]`, `∂L/∂weight[0, 2]`."""
        place = f"[{', '.join(map(str, self.at))}]" if self.at else ""
        return ("" if self.of == "y" else "∂L/∂") + self.of + place

    def __str__(self) -> str:
        spelled = " + ".join(map(str, self.terms)) or "0"
        if self.then:
            spelled = f"{self.then}({spelled})"
        value = short(self.value, 5)
        made = "" if spelled.strip("()") == value else f"{spelled} = "
        return f"{self.name} = {made}{value}" + (f"   ({self.note})" if self.note else "")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; every factor keeps its full value."""
        terms = [
            {
                "value": term.value,
                "factors": [
                    {"name": f.name, "index": None if f.index is None else list(f.index), "value": f.value, "text": f.text} for f in term.factors
                ],
            }
            for term in self.terms
        ]
        return {
            "of": self.of,
            "at": list(self.at),
            "value": self.value,
            "rule": self.rule,
            "note": self.note,
            "then": self.then,
            "terms": terms,
            "text": str(self),
        }


PADDED = Factor("padding", 0.0)


class Formula:
    """One operation: its options as fields, its three passes and the terms of one number. `striate.formulas.registry` tells how to use it."""

    arrays: ClassVar[tuple[str, ...]] = ("x",)
    inputs: ClassVar[tuple[str, ...]] = ("x",)
    parameters: ClassVar[tuple[str, ...]] = ()
    rules: ClassVar[dict[str, str]] = {}
    """The formulas in symbols: under "y" that of the forward pass, under each input and parameter that of its gradient."""

    forward: ClassVar[Callable[..., Array]]
    message: ClassVar[Callable[..., Any]]
    _terms: ClassVar[Callable[..., Iterable[Term]]]

    def shape(self, *arrays: Numbers) -> Index:
        """Return the shape of y."""
        return self.forward(*arrays).shape

    def parameter_gradient(self, delta: Numbers, *arrays: Numbers) -> dict[str, Array]:  # noqa: ARG002 - the interface's
        """Return the gradient of every parameter by name; this operation has none."""
        return {}

    def terms(self, of: str, at: Index, *arrays: Numbers, delta: Numbers = None) -> Terms:
        """Return the exact terms of the number at `at` in `of`: "y", an input's message or a parameter's gradient (these need `delta`)."""
        names = self._names(len(arrays))
        known = dict(zip(names, arrays, strict=False))
        if of not in ("y", *names) or of in self._given():
            raise unknown_name("array", of, ["y", *(name for name in names if name not in self._given())])
        if of != "y" and known[of] is None:
            raise ArgumentError(f"{of}: none was given, so it has no gradient; allowed: y, {', '.join(n for n in names if known[n] is not None)}")
        output = self.shape(*arrays)
        if of == "y":
            shape, back = output, None
        else:
            if delta is None:
                raise ArgumentError(f"terms of {of!r} are made of the message that comes to y: give delta=, an array of y's shape {output}")
            shape, back = np.shape(known[of]), array("delta", delta, shape=output)
        place = index(at, shape, of)
        found = tuple(self._terms(of, place, *arrays, delta=back))
        return Terms(of, place, found, self.rules[of if of in self.rules else "x"], *self._remarks(of, place, *arrays))

    def _names(self, count: int) -> tuple[str, ...]:
        if count > len(self.arrays):
            raise ArgumentError(f"{type(self).__name__} takes {len(self.arrays)} arrays ({', '.join(self.arrays)}), got {count}")
        return self.arrays[:count]

    def _given(self) -> tuple[str, ...]:
        return tuple(name for name in self.arrays if name not in self.inputs and name not in self.parameters)

    def _remarks(self, of: str, at: Index, *arrays: Numbers) -> tuple[str, str]:  # noqa: ARG002 - for those that have some
        """Return the note and what is done to the sum; most operations have neither."""
        return "", ""


def entry(name: str, values: Array, at: Index) -> Factor:
    """Return the entry of `values` at `at` as a factor."""
    return Factor(name, float(values[at]), tuple(int(i) for i in at))


def number(value: Numbers, name: str, text: str = "") -> Factor:
    """Return a factor that is no entry of an array; `text` spells how it comes about."""
    return Factor(name, float(value), None, text)


def spell(value: float) -> str:
    """Spell a number with at most five meant digits, a negative one in parentheses."""
    return f"({short(value, 5)})" if value < 0 else short(value, 5)


def seen(x: Numbers, before: Index, position: Index, windows: Grid) -> Factor:
    """Return what a tap sees at `position` of channel `before` (n, c): an entry of x, or the padding's zero."""
    return entry("x", x, (*before, *position)) if windows.inside(position) else PADDED


def zeros(shape: Index) -> Array:
    """Return float64 zeros."""
    return np.zeros(shape)


def array(name: str, value: Numbers, *, rank: int | tuple[int, ...] | None = None, shape: Index | None = None) -> Numbers:
    """Return `value` as float64, or raise `ArgumentError`: wrong rank, wrong shape, nothing in it, NaN or infinity, no numbers."""
    try:
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name}: got {type(value).__name__} that is no array of numbers; give numbers, all rows equally long") from None
    except RuntimeError as error:  # a tensor that NumPy cannot read
        raise ArgumentError(f"{name}: got a {type(value).__name__} that NumPy cannot read ({error}); give {name}.detach().cpu()") from None
    ranks = (rank,) if isinstance(rank, int) else rank
    if ranks is not None and found.ndim not in ranks:
        wanted = " or ".join(f"{r} ({AXES.get(r, 'axes')})" for r in ranks)
        batchless = f"; for a single sample write {name}[None]" if name == "x" and found.ndim + 1 in ranks else ""
        raise ArgumentError(f"{name}: got {found.ndim} axes {found.shape}, expected {wanted}{batchless}")
    if shape is not None and found.shape != shape:
        raise ArgumentError(f"{name}: got shape {found.shape}, expected {shape}")
    if not found.size:
        raise ArgumentError(f"{name}: got shape {found.shape}, an array without numbers; expected at least one")
    if not np.isfinite(found).all():
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(found))[0])
        raise ArgumentError(f"{name}: got {found[first]} at {first}, expected finite numbers")
    return found


def index(at: Index, shape: Index, name: str) -> Index:
    """Return `at` as a tuple of non-negative integers, or raise `ArgumentError` when it is no place in an array of `shape`."""
    place = tuple(int(i) for i in at)
    if len(place) != len(shape) or not all(-size <= i < size for i, size in zip(place, shape, strict=True)):
        raise ArgumentError(
            f"at: got {tuple(at)}, expected a place in {name}, whose shape is {tuple(shape)}: {len(shape)} numbers, each below its size"
        )
    return tuple(i % size for i, size in zip(place, shape, strict=True))
