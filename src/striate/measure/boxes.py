"""What a summary consists of: a `Box` for every operation, totals, notes; as data, text, JSON and a page. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from striate.core.errors import unknown_name
from striate.measure.arithmetic import Fit, spell


@dataclass(frozen=True)
class ReceptiveField:
    """What one unit sees of the input, along its spatial axes.

    `size` in pixels; `stride` from one unit to the next, less than 1 after upsampling, 0 where there is but one; `offset` where the first unit's
    field begins, negative in the padding. Fields may reach past the picture. What normalisation layers see to take their statistics is not counted.
    After upsampling neighbours do not see alike: `size` is then the largest any unit sees, `stride` the mean.
    """

    size: tuple[int, ...]
    stride: tuple[float, ...]
    offset: tuple[float, ...]

    def __str__(self) -> str:
        return spell(self.size)


@dataclass(frozen=True)
class Box:
    """One operation of a network.

    `address`        dotted module path, or `PARENT/add#1` for a function; `[1]` follows where a module is called again
    `output_shape`   of its (first) output, the batch first
    `parameters`     held here, each counted where it is used first; `trainable` of them learn
    `multiply_adds`  of convolutions, linear layers and matrix products, biases not counted
    `activations`    numbers in its output as the course counts them: of convolutions, pools and dense layers; 0 elsewhere
    `stored`         bytes that training keeps until the backward pass: its output where anything needs it, indices of maxima, masks; attention and
                     recurrences as torch spells them out, where a device's own kernels may keep more
    `receptive_field` None where it cannot be told
    `misfits`        the axes whose stride does not fit
    """

    address: str
    operation: str
    output_shape: tuple[int, ...]
    parameters: int
    trainable: int
    multiply_adds: int
    activations: int
    stored: int
    receptive_field: ReceptiveField | None
    misfits: tuple[Fit, ...] = ()
    input_shape: tuple[int, ...] = ()
    count: int = 1
    """How many boxes this row stands for, where rows are folded."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        values = asdict(self)
        values.pop("count")
        field = self.receptive_field
        values["receptive_field"] = None if field is None else {name: list(value) for name, value in asdict(field).items()}
        values["misfits"] = [found.sentence() for found in self.misfits]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


@dataclass(frozen=True)
class Totals:
    """Sums over a network.

    `parameter_bytes` are the parameters' own; training adds a gradient of as many bytes and what the optimiser keeps.
    `activation_bytes` is what the activations come to in the precision they have.
    """

    parameters: int
    trainable: int
    buffers: int
    multiply_adds: int
    activations: int
    activation_bytes: int
    stored: int
    parameter_bytes: int


@dataclass(frozen=True)
class Summary:
    """What a network is before it is run, box by box in the order they run.

    `boxes` begins with a box called `input` for each input. `losses` are sentences about strides that do not fit and lose pixels,
    `floors` about those that lose padding only; `advice` says what would be better, `notes` what was not or not fully counted.
    """

    name: str
    batch: int
    boxes: tuple[Box, ...]
    totals: Totals
    losses: tuple[str, ...] = ()
    floors: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    last_map: str = ""
    """Address of the last box whose units still lie at places of the picture."""

    @cached_property
    def _places(self) -> dict[str, Box]:
        return {box.address: box for box in self.boxes}

    def __getitem__(self, address: str) -> Box:
        """Return the box at `address`; raises `UnknownNameError` with the nearest addresses."""
        if address not in self._places:
            raise unknown_name("box", address, self._places)
        return self._places[address]

    def folded(self, depth: int) -> tuple[Box, ...]:
        """Return one row for each block `depth` names deep: figures summed, shape and receptive field of its last box."""
        rows: list[Box] = []
        for box in self.boxes:
            name = ".".join(box.address.split("/")[0].split(".")[:depth]) or box.address
            name = box.address if box.address.count(".") < depth else name
            rows.append(_merged(rows.pop(), box, name) if rows and rows[-1].address == name else _renamed(box, name))
        return tuple(rows)

    @property
    def depth(self) -> int:
        """How deep addresses go."""
        return max((box.address.count(".") + 1 for box in self.boxes), default=1)

    def text(self, *, depth: int | None = None, width: int | None = None) -> str:
        """Return the table and what follows from it, as text.

        `depth` folds blocks that many names deep (None: as deep as some 60 rows allow), `width` drops columns until the table fits.
        """
        from striate.measure.text import text_of

        return text_of(self, depth=depth, width=width)

    def __str__(self) -> str:
        return self.text()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "name": self.name,
            "batch": self.batch,
            "totals": asdict(self.totals),
            "boxes": [box.to_json() for box in self.boxes],
            "losses": list(self.losses),
            "floors": list(self.floors),
            "advice": list(self.advice),
            "notes": list(self.notes),
            "last_map": self.last_map,
        }

    def to_html(self) -> str:
        """Return one self-contained page."""
        from striate.measure.page import page_of

        return page_of(self)

    def save(self, path: str | Path) -> Path:
        """Write the page (`.html`), the JSON (`.json`) or the text (any other ending) and return the path."""
        from striate.core.contracts import dump_json
        from striate.core.storage import write_text

        target = Path(path)
        kind = target.suffix.lower()
        write_text(target, self.to_html() if kind in (".html", ".htm") else dump_json(self.to_json()) if kind == ".json" else f"{self}\n")
        return target


def sum_of(boxes: Iterable[Box], name: str) -> int:
    """Return the sum of one figure over boxes."""
    return sum(getattr(box, name) for box in boxes)


def _renamed(box: Box, name: str) -> Box:
    return box if box.address == name else _merged(None, box, name)


def _merged(block: Box | None, box: Box, name: str) -> Box:
    parts: Sequence[Box] = [box] if block is None else [block, box]
    return Box(
        name,
        "block",
        box.output_shape,
        sum_of(parts, "parameters"),
        sum_of(parts, "trainable"),
        sum_of(parts, "multiply_adds"),
        sum_of(parts, "activations"),
        sum_of(parts, "stored"),
        box.receptive_field,
        tuple(fit for part in parts for fit in part.misfits),
        parts[0].input_shape,
        sum_of(parts, "count"),
    )
