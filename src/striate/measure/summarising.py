"""`summary`: run a network without values, and count."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from striate.core.errors import ArgumentError
from striate.measure.advice import advice_of
from striate.measure.arithmetic import spell
from striate.measure.boxes import Box, Summary
from striate.measure.counting import Count
from striate.measure.fakes import Weightless, built, valued, weightless
from striate.measure.operations import misfit_sentences
from striate.probe import Recording, record

Shape = Sequence[int]
Input = Shape | Tensor | Sequence[Shape | Tensor]
"""One sample's shape (C, H, W), or (L,) for tokens or a vector; a tensor with its batch; or several of these."""


def summary(model: nn.Module | Callable[[], nn.Module], input: Input, *, batch: int = 1, strict: bool = False) -> Summary:  # noqa: A002 - the field's word
    """Return shapes, parameters, multiply-adds, activations, memory and receptive fields of a network, box by box, without running it (O12).

    `model` is any nn.Module, which is only read, or a function that builds one, which then costs no weight memory. `input` is one sample's shape,
    C H W, or (L,): tokens where the network begins with an embedding, else a vector; a tensor brings its own batch and type; several inputs come as
    a list. All figures are for `batch` samples. The network is taken in eval mode; `stored` is what training would keep.

    Raises `ArgumentError` when the input does not run through the model, when part of it is scripted (torch.jit), and with `strict` when a stride
    does not fit.
    """
    given, said = built(model)
    twin, inputs, recording = recorded(given, input, batch)
    count = Count(twin, recording, inputs)
    boxes = tuple(count.boxes())
    losses, floors = _misfits(boxes)
    if strict and (losses or floors):
        raise ArgumentError("strides that do not fit:\n  " + "\n  ".join((*losses, *floors)))
    found = inputs[0].shape[0] if inputs[0].ndim else batch
    name = getattr(getattr(twin.model, "spec", None), "name", None) or type(twin.model).__name__
    told = (*said, *twin.notes, *recording.notes, *count.notes())
    return Summary(name, found, boxes, count.totals(boxes), losses, floors, advice_of(boxes, count.slid, count.paths), told, count.last_map())


def _inputs(twin: Weightless, given: Input, batch: int) -> tuple[Tensor, ...]:
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise ArgumentError(f"batch: got {batch!r}, expected a whole number of 1 or more")
    several: Sequence[Any] = (given,) if isinstance(given, Tensor) or _is_shape(given) else given if isinstance(given, (list, tuple)) else ()
    if not several or not all(isinstance(one, Tensor) or _is_shape(one) for one in several):
        raise ArgumentError(f"input: got {given!r}, expected one sample's shape such as (3, 224, 224), a tensor, or a list of these")
    return tuple(_input(twin, one, batch) for one in several)


def _is_shape(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0 and all(isinstance(n, int) and n > 0 for n in value)


def _input(twin: Weightless, given: Any, batch: int) -> Tensor:
    if isinstance(given, Tensor):
        return twin.input(given.shape, given.dtype)
    tokens = len(given) == 1 and any(isinstance(module, (nn.Embedding, nn.EmbeddingBag)) for module in twin.model.modules())
    floats = [p.dtype for p in twin.model.parameters() if p.is_floating_point()]
    dtype = torch.int64 if tokens else floats[0] if floats else torch.float32
    return twin.input((batch, *given), dtype)


def recorded(model: nn.Module, given: Input, batch: int) -> tuple[Weightless, tuple[Tensor, ...], Recording]:
    """Run a copy without values: on the meta device, which is quick; or of fake tensors, for code that needs a device's name.

    One with its values is run where neither will do, because the network decides by numbers it computes.
    """
    for fake in (False, True):
        twin = weightless(model, fake=fake)
        inputs = _inputs(twin, given, batch)
        try:
            return twin, inputs, _watched(twin, inputs)
        except Exception as error:
            if not fake:
                continue
            if isinstance(error, (DataDependentOutputException, DynamicOutputShapeException)):
                return _with_values(model, given, batch, _first(error))
            raise _refused(model, twin, inputs, error) from error
    raise AssertionError("unreachable")


def _with_values(model: nn.Module, given: Input, batch: int, why: str) -> tuple[Weightless, tuple[Tensor, ...], Recording]:
    twin = valued(model, why)
    inputs = _inputs(twin, given, batch)
    try:
        return twin, inputs, _watched(twin, inputs)
    except Exception as error:
        raise _refused(model, twin, inputs, error) from error


def _watched(twin: Weightless, inputs: Sequence[Tensor]) -> Recording:
    with twin.without_values(), _quiet():
        return record(twin.model, *inputs)


def _refused(model: nn.Module, twin: Weightless, inputs: Sequence[Tensor], error: Exception) -> ArgumentError:
    shapes = " and ".join(spell(tensor.shape) for tensor in inputs)
    told = " ".join(str(error).split()) or type(error).__name__
    return ArgumentError(f"input: {shapes} does not run through {type(model).__name__}{_where(twin.model, error)}: {told}")


def _first(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from logging a traceback of what is told as an error here."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _where(model: nn.Module, error: Exception) -> str:
    """Name the innermost module of the model that was running when it failed."""
    names = {id(module): path for path, module in model.named_modules() if path}
    found = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        place = names.get(id(frame.f_locals.get("self")))
        found = f", at {place}" if place else found
    return found


def _misfits(boxes: Sequence[Box]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return sentences about boxes that lose pixels, and about those that lose only padding."""
    losses: list[str] = []
    floors: list[str] = []
    for box in boxes:
        if box.misfits:
            told = [f"{box.address}: {sentence}" for sentence in misfit_sentences(box.input_shape, box.misfits)]
            (losses if any(found.lost for found in box.misfits) else floors).extend(told)
    return tuple(losses), tuple(floors)
