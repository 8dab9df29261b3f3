"""What can be traced by name: a spec with its numbers, an example file, a run's folder, an architecture of the zoo with a picture."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from striate.core.arguments import whole_number
from striate.core.errors import ArgumentError, unknown_name
from striate.draw.canvas import printable
from striate.tracing.arrays import Given, as_batch, drawn, fill, flat, read
from striate.tracing.checking import numbers
from striate.tracing.registry import words
from striate.tracing.running import trace
from striate.tracing.spec import build, is_spec, parse
from striate.tracing.traced import Trace


def from_spec(
    spec: str,
    input: npt.ArrayLike,  # noqa: A002 - the field's word
    *,
    parameters: Mapping[str, Any] | None = None,
    target: int | npt.ArrayLike | None = None,
    loss: str | None = None,
    train: bool = False,
    seed: int = 0,
    at: Sequence[str] | None = None,
    about: str = "",
) -> Trace:
    """Build the network of a spec such as `conv(1, 3x3) -> relu` and trace it on `input` (a vector, a map, C H W or N C H W).

    `parameters` by name (`conv1.weight`, or `conv1` with a mapping that holds `weight`); those not given are small whole numbers drawn with
    `seed`, and it is said. Raises `SpecError` with the place in the spec, `ArgumentError`.
    """
    steps = parse(spec)
    whole_number("seed", seed, least=0)
    if parameters is not None and not isinstance(parameters, Mapping):
        raise ArgumentError(f'parameters: got {type(parameters).__name__}, expected arrays by name, such as {{"conv1.weight": [[1, 0], [0, 1]]}}')
    x = as_batch(numbers("input", input), steps[0])
    if not x.size:
        raise ArgumentError("input: holds no numbers; expected at least one")
    model = build(spec, x.shape[1:])
    notes = fill(model, {name: numbers(name, value) for name, value in flat(parameters or {})}, seed=seed)
    found = trace(model.train(train), x, target, loss, at=at, title=" ".join(spec.split()))
    return dataclasses.replace(found, notes=(*notes, *found.notes), about=about)


def opened(
    what: str,
    input: str | None = None,  # noqa: A002
    *,
    target: int | None = None,
    loss: str | None = None,
    train: bool = False,
    seed: int = 0,
    at: Sequence[str] | None = None,
) -> Trace:
    """Trace what a person names: a spec, a JSON file that holds one, a run (folder or name), or an architecture.

    `input` is a JSON, CSV or picture file, or a size such as `3x5x5` to draw numbers. Raises `ArgumentError`, `DataError`.
    """
    whole_number("seed", seed, least=0)
    if what.lower().endswith(".json") and "->" not in what:
        given = read(what)
        if given.spec is None:
            raise ArgumentError(f"{what}: holds no spec; add one, or write: striate trace SPEC --input {what}")
        if input is not None:
            _take_over(given, _given(input, seed))
        return _spec(given.spec, given, target=target, loss=loss, train=train, seed=seed, at=at)
    if is_spec(what) and _run_folder(what) is None:
        if input is None:
            parse(what)
            raise ArgumentError("--input: the network needs numbers: a JSON, CSV or picture file, or a size such as 3x5x5 to draw small numbers")
        return _spec(what, _given(input, seed), target=target, loss=loss, train=train, seed=seed, at=at)
    return _model(what, input, target=target, loss=loss, train=train, seed=seed, at=at)


def _spec(spec: str, given: Given, *, target: int | None, loss: str | None, train: bool, seed: int, at: Sequence[str] | None) -> Trace:
    if given.input is None:
        raise ArgumentError(f'{given.path}: holds no input; add "input": [[...]]')
    found = from_spec(
        spec,
        given.input,
        parameters=given.parameters,
        target=given.target if target is None else target,
        loss=loss or given.loss,
        train=train,
        seed=seed,
        at=at,
        about=given.about,
    )
    return dataclasses.replace(found, notes=(*given.notes, *found.notes))


def _given(text: str, seed: int) -> Given:
    if re.fullmatch(r"\d+(x\d+)*", text):
        shape = tuple(map(int, text.split("x")))
        if 0 in shape:
            raise ArgumentError(f"--input {text}: every size must be 1 or more")
        return Given(Path(text), drawn(shape, seed), notes=[f"input: {text}, drawn from 0 … 4 with seed {seed}"])
    return read(text)


def _take_over(given: Given, other: Given) -> None:
    """Put another file's input (and what else it has) in the place of this one's."""
    given.input = other.input if other.input is not None else given.input
    given.parameters |= other.parameters
    given.target = other.target if other.target is not None else given.target
    given.loss = other.loss or given.loss
    given.notes += other.notes


def _model(
    what: str,
    input: str | None,  # noqa: A002
    *,
    target: int | npt.ArrayLike | None,
    loss: str | None,
    train: bool,
    seed: int,
    at: Sequence[str] | None,
) -> Trace:
    from striate.pixels import is_picture
    from striate.zoo.registry import architectures

    folder = _run_folder(what)
    notes: list[str] = []
    if folder is not None:
        from striate.training import Run

        run = Run.load(folder)
        model, preprocess, title = run.model, run.preprocess, folder.name
    elif what in architectures:
        model, preprocess, title = _fresh(what, input, seed), None, what
        notes.append(f"weights freshly drawn with seed {seed}")
    else:
        if Path(what).exists():
            raise ArgumentError(
                f"{what}: neither a run's folder nor a JSON file with a spec. To trace a spec on it: striate trace SPEC --input {what}"
            )
        raise unknown_name("spec, run or network", what, [*architectures.names(), *words.names()])
    if input is None:
        raise ArgumentError("--input: the network needs something to look at: a picture, or a JSON file with an array")
    given = _given(input, seed) if not is_picture(input) else None
    if given is not None:
        if given.parameters:
            raise ArgumentError(f"{input}: gives {', '.join(given.parameters)}, but {title} has its own parameters; leave them out, or trace a spec")
        notes += given.notes
        target, loss = given.target if target is None else target, loss or given.loss
    x = _network_input(input, given, preprocess, _wanted(model, run.facts if folder is not None else {}), notes)
    found = trace(model.train(train), x, target, loss, at=at, title=title)
    return dataclasses.replace(found, notes=(*notes, *found.notes))


def _run_folder(what: str) -> Path | None:
    return next((path for path in (Path(what), Path("runs") / what) if os.path.isfile(path / "run.json")), None)  # noqa: PTH113 - is_file raises for long specs


def _fresh(name: str, input: str | None, seed: int) -> Any:  # noqa: A002
    import torch

    from striate.core.runtime import random_state_kept
    from striate.zoo import build as build_network
    from striate.zoo import card

    known = card(name)
    shape = known.input
    if input is not None and re.fullmatch(r"\d+x\d+x\d+", input):
        channels, height, width = map(int, input.split("x"))
        shape = (channels, height, width)
    with random_state_kept():
        torch.manual_seed(seed)
        return build_network(name, classes=known.classes, input=shape)


def _wanted(model: Any, facts: Mapping[str, Any]) -> tuple[int, ...]:
    from striate.zoo import spec_of

    spec = spec_of(model)
    return spec.input if spec is not None else tuple(facts.get("input", ()))


def _network_input(text: str, given: Given | None, preprocess: Any, shape: tuple[int, ...], notes: list[str]) -> Any:
    """The picture `text` as the network sees it, or the numbers that were `given`."""
    import torch

    from striate.pixels import Preprocess

    if given is None:
        eye = preprocess if hasattr(preprocess, "open") else Preprocess(size=(shape[1], shape[2]), channels=shape[0])
        if eye is not preprocess:
            notes.append("the picture is scaled to the network's size, its values to 0 … 1")
        return eye(torch.as_tensor(_picture(eye, Path(text), notes))[None])
    if given.input is None:
        raise ArgumentError(f"{text}: holds no input")
    array = given.input if given.input.ndim > len(shape) else given.input.reshape((1,) * (1 + len(shape) - given.input.ndim) + given.input.shape)
    if array.shape[1:] != shape:
        came, expected = "x".join(map(str, array.shape[1:])), "x".join(map(str, shape))
        raise ArgumentError(f"{text}: got {came} numbers, expected the network's input, {expected}")
    return array


def _picture(eye: Any, path: Path, notes: list[str]) -> Any:
    """The picture as the network's preprocessing opens it; where that never resizes, it is brought to the size and said."""
    try:
        return eye.open(path)
    except ArgumentError:
        if getattr(eye, "resize", None) != "none":
            raise
        height, width = eye.size
        notes.append(f"{printable(path.name)}: brought to {height} x {width} pixels, the size this network learned on")
        return dataclasses.replace(eye, resize="crop").open(path)
