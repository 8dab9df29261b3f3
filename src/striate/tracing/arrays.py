"""The numbers a spec is traced with: input, target and weights from a JSON, CSV or picture file, or small whole numbers drawn on the spot."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError, DataError, unknown_name
from striate.draw.canvas import printable
from striate.tracing.checking import plain
from striate.tracing.spec import Step

if TYPE_CHECKING:
    from torch import nn

Array = npt.NDArray[np.float64]
SETTINGS = ("spec", "input", "target", "loss", "about")
"""What a JSON file may hold besides parameters: the network's spec, its input, the target, the loss's name, a line about the example."""
DRAWN = "drawn from −2 … 2 with seed {}"


@dataclass
class Given:
    """What a file gives: an input, and perhaps spec, target, loss and parameters by name (`conv1.weight`)."""

    path: Path
    input: Array | None = None
    spec: str | None = None
    target: int | Array | None = None
    loss: str | None = None
    about: str = ""
    parameters: dict[str, Array] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read(path: str | Path) -> Given:
    """Read a file: JSON (an array, or an object with `input`, `spec`, `target`, `loss` and parameters), CSV (blank lines part maps) or a picture.

    A picture's numbers are its pixels, 0 to 255, C H W. Raises `DataError` naming file and place.
    """
    from striate.pixels import is_picture

    path = Path(path)
    if is_picture(path):
        return _picture(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Give a JSON, CSV or picture file, or a size such as 3x5x5 to draw numbers") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: neither text nor a picture. Give a JSON, CSV or picture file") from None
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return Given(path, _table(text, path))
    return _json(text, path)


def drawn(shape: tuple[int, ...], seed: int = 0) -> Array:
    """Return small whole numbers, 0 to 4, the way the course's worked examples have them."""
    return np.random.default_rng(seed).integers(0, 5, shape).astype(np.float64)


def as_batch(array: Array, first: Step) -> Array:
    """Give `array` the axes that the first box of a spec wants, batch first.

    A vector is one sample; a matrix is a picture of one channel (for `linear`: one sample a row; for `conv1d`: channels x length);
    three axes are channels x height x width; four are a batch of pictures. Raises `ArgumentError`.
    """
    rank = array.ndim
    if first.word == "linear":
        if rank > 2:
            shape = "x".join(map(str, array.shape))
            raise ArgumentError(f"input: {shape} numbers for {first.spelling}, which takes a vector; begin the spec with flatten or gap")
        return array.reshape(-1, array.shape[-1]) if rank else array.reshape(1, 1)
    if first.spelling == "conv1d":
        if rank > 3:
            raise ArgumentError(f"input: {rank} axes for conv1d, expected length, channels x length, or samples x channels x length")
        return array.reshape((1,) * (3 - rank) + array.shape)
    windows = first.word in ("conv", "maxpool", "avgpool", "l2pool", "lrn", "gap", "local", "batchnorm")
    if rank == 1:
        return array.reshape(1, 1, -1) if windows and first.word != "batchnorm" else array.reshape(1, -1)
    if rank in (2, 3, 4):
        return array.reshape((1,) * (4 - rank) + array.shape)
    raise ArgumentError(f"input: {rank} axes, expected 1 (a vector), 2 (one map), 3 (channels, height, width) or 4 (a batch of them)")


def fill(model: nn.Module, parameters: Mapping[str, Array], *, seed: int = 0) -> list[str]:
    """Write parameters into `model` and return notes. Those not given are drawn as small whole numbers, biases beside a given weight are 0.

    A weight may leave out axes of size 1. Raises `ArgumentError` for unknown names and sizes that do not fit.
    """
    import torch

    random = np.random.default_rng(seed)
    slots = {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
    for name in parameters:
        if name not in slots:
            raise unknown_name("parameter", name, slots)
    values = {name: _fitted(name, value, tuple(slots[name].shape)) for name, value in parameters.items()}
    fresh, zeros = [], []
    for address, module in model.named_modules():
        own = {name: tuple(value.shape) for name, value in module.named_parameters(prefix=address, recurse=False)}
        normalises = len(own.get(f"{address}.weight", ())) == 1  # batch normalisation begins with scale 1 and shift 0
        for name, shape in own.items():
            if name in values or normalises:
                continue
            if name.endswith(".bias") and f"{address}.weight" in parameters:
                values[name] = np.zeros(shape)
                zeros.append(name)
            else:
                values[name] = random.integers(-2, 3, shape).astype(np.float64)
                fresh.append(name)
    with torch.no_grad():
        for name, value in values.items():
            slots[name].copy_(torch.from_numpy(np.ascontiguousarray(value)))
    notes = [f"{', '.join(fresh)}: {DRAWN.format(seed)}"] if fresh else []
    return notes + ([f"{', '.join(zeros)}: 0, as none was given"] if zeros else [])


def _fitted(name: str, value: Array, shape: tuple[int, ...]) -> Array:
    def bare(sizes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(size for size in sizes if size != 1)

    if value.shape != shape and bare(value.shape) != bare(shape):
        raise ArgumentError(f"{name}: got {_spelled(value.shape)}, expected {_spelled(shape)}")
    return value.reshape(shape)


def _spelled(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) if shape else "one number"


def _picture(path: Path) -> Given:
    from striate.pixels import decode

    pixels = decode(path)
    return Given(path, np.moveaxis(pixels, -1, 0).astype(np.float64), notes=[f"{printable(path.name)}: the numbers are its pixels, 0 to 255"])


def _table(text: str, path: Path) -> Array:
    """Rows of numbers; blank lines part one map from the next."""
    maps: list[list[list[float]]] = [[]]
    delimiter = "\t" if "\t" in text else ";" if ";" in text else "," if "," in text else " "
    for number, row in enumerate(csv.reader(text.splitlines(), delimiter=delimiter, skipinitialspace=True), start=1):
        cells = [cell for cell in row if cell.strip()]
        if not cells:
            maps += [[]] if maps[-1] else []
            continue
        try:
            maps[-1].append([float(cell) for cell in cells])
        except ValueError:
            bad = next(cell for cell in cells if not _is_number(cell))
            raise DataError(f"{path}, line {number}: {bad!r} is not a number. Write numbers only, without a head line") from None
    filled = [rows for rows in maps if rows]
    if len(filled) == 1 and len(filled[0]) == 1:
        return _array(filled[0][0], "input", path)
    return _array(filled[0] if len(filled) == 1 else filled, "input", path)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _json(text: str, path: Path) -> Given:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}, column {error.colno}: {error.msg}. A JSON array or object is expected") from None
    if not isinstance(content, dict):
        return Given(path, _array(content, "input", path))
    given = Given(path)
    if content.get("input") is not None:
        given.input = _array(content["input"], "input", path)
    for name, kind, spoken in (("spec", str, "text"), ("loss", str, "text"), ("about", str, "text")):
        value = content.get(name)
        if value is not None and not isinstance(value, kind):
            raise DataError(f"{path}: {name} is {value!r}, expected {spoken}")
        if value is not None:
            setattr(given, name, value)
    target = content.get("target")
    if target is not None:
        given.target = target if isinstance(target, int) and not isinstance(target, bool) else _array(target, "target", path)
    for name, value in flat({key: value for key, value in content.items() if key not in SETTINGS}):
        given.parameters[name] = _array(value, name, path)
    return given


def flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield parameters by dotted name, from names nested or with dots."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _array(value: Any, name: str, path: Path) -> Array:
    if _null(value):
        raise DataError(f"{path}: {name} {'is' if value is None else 'holds'} null, expected numbers")
    try:
        array = plain(name, value).astype(np.float64)
    except ArgumentError:
        raise DataError(f"{path}: {name} is no array of numbers; all rows must be equally long and hold numbers only") from None
    if not array.size or not np.isfinite(array).all():
        raise DataError(f"{path}: {name} {'is empty' if not array.size else 'holds NaN or infinity'}")
    return array


def _null(value: Any) -> bool:
    return value is None or (isinstance(value, list) and any(map(_null, value)))
