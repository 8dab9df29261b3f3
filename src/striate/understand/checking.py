"""Options of methods checked the way the command line checks them: types by the signature, numbers by their limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from striate.core.errors import ArgumentError
from striate.understand.registry import methods, options_of


def checked(method: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `method` coerced to their types (1 -> 1.0); raises `ArgumentError` naming the option and what is allowed."""
    return options_of(methods.entry(method)).check(values)


def within(name: str, value: float, least: float, most: float | None = None) -> None:
    """Raise `ArgumentError` unless `least` <= value <= `most`; without `most` it must be finite."""
    if not least <= value or (most is not None and value > most):
        raise ArgumentError(f"{name}: got {value}, expected {least} or more" + ("" if most is None else f", at most {most}"))
    if most is None and isinstance(value, float) and not math.isfinite(value):
        raise ArgumentError(f"{name}: got {value}, expected {least} or more, and finite")
