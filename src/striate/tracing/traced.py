"""A Trace: the boxes of one run forward and back, in the order they ran, and the terms of any number in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from striate.core.errors import ArgumentError, unknown_name
from striate.tracing.box import Array, Box, Explained, Place


@dataclass(frozen=True, eq=False)
class Trace:
    """What `striate.trace` returns: boxes in the order they ran, the last being the loss; all numbers float64.

    `title` names the network, `loss` is the loss's value, `notes` say what was chosen, changed or left out.
    """

    title: str
    boxes: tuple[Box, ...]
    input: Array | None
    output: Array | None
    loss: float
    loss_name: str
    precision: str = "float64"
    notes: tuple[str, ...] = ()
    whole: bool = True
    """False where only some boxes were asked for (`at=`)."""
    about: str = field(default="", kw_only=True)

    def __iter__(self) -> Iterator[Box]:
        return iter(self.boxes)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, name: str) -> Box:
        """Return the box called `name`; raises `UnknownNameError` with the nearest names."""
        for box in self.boxes:
            if box.name == name:
                return box
        raise unknown_name("box", name, [box.name for box in self.boxes])

    @property
    def names(self) -> tuple[str, ...]:
        """The boxes' names in the order they ran."""
        return tuple(box.name for box in self.boxes)

    @property
    def numbers(self) -> int:
        """How many numbers the trace holds."""
        return sum(box.numbers for box in self.boxes)

    @property
    def agrees(self) -> bool:
        """Whether every box that has a formula agrees with it."""
        return all(box.agrees is not False for box in self.boxes)

    @property
    def verdict(self) -> str:
        """What the trace found when it checked itself, in a sentence."""
        told = [box for box in self.boxes if box.deviations]
        wrong = [box for box in told if box.agrees is False]
        if wrong:
            worst = [f"{box.name} ({', '.join(f'{name} {d:.1e}' for name, d in box.deviations.items() if d > box.tolerance)})" for box in wrong]
            return f"MISMATCH: formula and torch differ in {len(wrong)} of {len(told)} boxes: {', '.join(worst)}"
        infinite = sum(bool(box.not_finite) or not np.isfinite(box.output).all() for box in self.boxes if not box.deviations)
        if not told and infinite:
            return f"no box could be compared with its formula: {infinite} of {len(self.boxes)} hold NaN or infinity"
        if not told:
            return "no box has a formula that striate knows: every number is torch's or autograd's"
        largest = max(max(box.deviations.values()) for box in told)
        rest = len(self.boxes) - len(told) - infinite
        others = f"; {rest} without a formula, shown as torch computed {'it' if rest == 1 else 'them'}" if rest else ""
        others += f"; {infinite} with NaN or infinity, not compared" if infinite else ""
        within = f"to {largest:.0e} of the largest number" if largest else "exactly"
        return f"{len(told)} of {len(self.boxes)} boxes computed again by formula, forward and back: they agree with torch {within}{others}"

    def explain(
        self,
        box: str,
        *,
        sample: int = 0,
        out: Place | None = None,
        input: Place | None = None,  # noqa: A002 - the field's word
        gradient: tuple[str, Place] | None = None,
        branch: int = 0,
    ) -> Explained:
        """Return one number of a box with the exact terms whose sum it is.

        `out=(0, 0, 1)` is an output (channel, row, column), `input=(0, 2, 2)` the message to an input (number `branch` where there are several),
        `gradient=("weight", (0, 0, 1, 1))` a number of a parameter's gradient. Raises `UnknownNameError`, `ArgumentError`.
        """
        return self[box].explain(sample=sample, out=out, input=input, gradient=gradient, branch=branch)

    def __str__(self) -> str:
        from striate.tracing.text import as_text

        return as_text(self)

    def to_json(self) -> dict[str, Any]:
        """Return the trace as plain JSON values; the format is described in the manual, under Tracing."""
        from striate.tracing.document import as_json

        return as_json(self)

    def to_html(self) -> str:
        """Return one self-contained page: step through the boxes, click a number, see its terms."""
        from striate.tracing.page import as_html

        return as_html(self)

    def save(self, path: str | Path) -> Path:
        """Write the trace to `.html`, `.json` or `.txt` and return the path. Raises `ArgumentError` for another ending."""
        from striate.core.contracts import dump_json
        from striate.core.storage import write_text

        path = Path(path)
        writers: dict[str, Callable[[], str]] = {".html": self.to_html, ".json": lambda: dump_json(self.to_json()), ".txt": lambda: f"{self}\n"}
        if path.suffix.lower() not in writers:
            raise ArgumentError(f"{path}: a trace is written as .html, .json or .txt")
        write_text(path, writers[path.suffix.lower()]())
        return path
