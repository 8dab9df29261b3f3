"""Plain arguments checked in one way: what came, what is allowed."""

from __future__ import annotations

import operator
from typing import Any

from striate.core.errors import ArgumentError


def whole_number(name: str, value: Any, *, least: int | None = None, most: int | None = None) -> int:
    """Return as Python's int whatever counts as a whole number, NumPy's and torch's too; truth values are none. Raises `ArgumentError`.

    `least` and `most` bound it; `most` goes with `least`.
    """
    allowed = "a whole number" + ("" if least is None else f", {least} or more" if most is None else f" from {least} to {most}")
    try:
        found = operator.index(value)
    except TypeError:
        raise ArgumentError(f"{name}: got {value!r}, expected {allowed}") from None
    if isinstance(value, bool) or (least is not None and found < least) or (most is not None and found > most):
        raise ArgumentError(f"{name}: got {value!r}, expected {allowed}")
    return found
