"""`summary`: run a network without values, and count."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.measure.advice import advice_of
from striate.measure.arithmetic import Fit, fit, spell
from striate.measure.boxes import Box, ReceptiveField, Summary, Totals, sum_of
from striate.measure.fakes import Weightless, built, weightless
from striate.measure.operations import misfit_sentences
from striate.measure.replaying import Replay, replay, storage_of
from striate.measure.spreading import Axes, input_axes, spread
from striate.measure.windows import Sliding, sliding
from striate.probe import Call, Recording, record

Shape = Sequence[int]
Input = Shape | Tensor | Sequence[Shape | Tensor]
"""One sample's shape (C, H, W), or (L,) for tokens or a vector; a tensor with its batch; or several of these."""

DENSE = re.compile(r"\w*[Ll]inear|addmm")
NORM = re.compile(r"\w*(Norm|_norm)(\dd)?")
"""Layers whose inner products are a way to add up neighbours, not the work the field counts."""


def summary(model: nn.Module | Callable[[], nn.Module], input: Input, *, batch: int = 1, strict: bool = False) -> Summary:  # noqa: A002 - the field's word
    """Return shapes, parameters, multiply-adds, activations, memory and receptive fields of a network, box by box, without running it (O12).

    `model` is any nn.Module, which is only read, or a function that builds one, which then costs no weight memory. `input` is one sample's shape,
    C H W, or (L,): tokens where the network begins with an embedding, else a vector; a tensor brings its own batch and type; several inputs come as
    a list. All figures are for `batch` samples. The network is taken in eval mode; `stored` is what training would keep.

    Raises `ArgumentError` when the input does not run through the model, and with `strict` when a stride does not fit.
    """
    given, said = built(model)
    twin, inputs, recording = _recorded(given, input, batch)
    count = _Count(twin, recording, inputs)
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


def _recorded(model: nn.Module, given: Input, batch: int) -> tuple[Weightless, tuple[Tensor, ...], Recording]:
    """Run a copy without values: on the meta device, which is quick, or of fake tensors where the model's code needs a real device's name."""
    for fake in (False, True):
        twin = weightless(model, fake=fake)
        inputs = _inputs(twin, given, batch)
        try:
            with twin.without_values():
                return twin, inputs, record(twin.model, *inputs)
        except Exception as error:
            if not fake:
                continue
            shapes = " and ".join(spell(tensor.shape) for tensor in inputs)
            told = " ".join(str(error).split()) or type(error).__name__
            raise ArgumentError(f"input: {shapes} does not run through {type(model).__name__}{_where(twin.model, error)}: {told}") from error
    raise AssertionError("unreachable")


def _where(model: nn.Module, error: Exception) -> str:
    """Name the innermost module of the model that was running when it failed."""
    names = {id(module): path for path, module in model.named_modules() if path}
    found = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        place = names.get(id(frame.f_locals.get("self")))
        found = f", at {place}" if place else found
    return found


class _Count:
    """Everything that goes from call to call: receptive fields, who made which tensor, which parameters were seen."""

    def __init__(self, twin: Weightless, recording: Recording, inputs: tuple[Tensor, ...]) -> None:
        self.twin, self.model, self.buffers, self.recording, self.inputs = twin, twin.model, twin.buffers, recording, inputs
        self.learns = {place: p.requires_grad for p in self.model.parameters() if (place := storage_of(p)) is not None}
        self.sizes = {storage_of(p): p.numel() for p in self.model.parameters()}
        self.owned = self.learns | {place: False for b in self.buffers if (place := storage_of(b)) is not None and place not in self.learns}
        self.fields: dict[tuple[Any, ...], Axes | None] = {}
        self.known: dict[int, Axes | None] = {}
        self.makers: dict[int, str] = {}
        self.wanted: set[int] = set()
        self.stored: dict[int, int] = {}
        self.paths: dict[str, Axes] = {}
        self.slid: dict[str, Sliding] = {}
        self.lost_fields: list[str] = []
        self.problems: list[str] = []
        self.unclaimed = list(enumerate(inputs))
        self.input_places: dict[int, int] = {}

    def boxes(self) -> list[Box]:
        """Return the input's boxes and one for every call."""
        rows = [self._box(call) for call in self.recording.calls]
        kept = self._stored_by_maker()
        names = [f"input{f' {place + 1}' if len(self.inputs) > 1 else ''}" for place in range(len(self.inputs))]
        first = [self._input_box(name, tensor, kept.get(name, 0)) for name, tensor in zip(names, self.inputs, strict=True)]
        return first + [replace(box, stored=box.stored + kept.get(box.address, 0)) for box in rows]

    def totals(self, boxes: Sequence[Box]) -> Totals:
        """Return the sums; parameters and buffers are the whole model's, used in this pass or not."""
        parameters = list(self.model.parameters())
        size = self.inputs[0].element_size() if self.inputs[0].is_floating_point() else 4
        activations = sum_of(boxes, "activations")
        return Totals(
            sum(p.numel() for p in parameters),
            sum(p.numel() for p in parameters if p.requires_grad),
            sum(b.numel() for b in self.buffers),
            sum_of(boxes, "multiply_adds"),
            activations,
            activations * size,
            sum_of(boxes, "stored"),
            sum(p.numel() * p.element_size() for p in parameters),
        )

    def last_map(self) -> str:
        """Return the address of the last call whose output still has places of the picture, and more than one."""
        maps = [key for key, axes in self.paths.items() if any(axis.place is not None and not axis.merged and axis.units > 1 for axis in axes)]
        return maps[-1] if maps else ""

    def notes(self) -> tuple[str, ...]:
        """Say what was not counted, or not fully."""
        notes = []
        missing = {name: p.numel() for name, p in self.model.named_parameters() if storage_of(p) in self.sizes}
        if missing:
            blocks = list(dict.fromkeys(name.split(".")[0] for name in missing))
            shown = ", ".join(blocks[:6]) + (f" and {len(blocks) - 6} more" if len(blocks) > 6 else "")
            notes.append(f"{sum(missing.values()):,} parameters are not used in this pass: {shown}")
        if self.lost_fields:
            notes.append(f"receptive fields cannot be followed through {', '.join(dict.fromkeys(self.lost_fields))}")
        if self.problems:
            notes.append(f"what training keeps was guessed (input and output) for {', '.join(dict.fromkeys(self.problems))}")
        return tuple(notes)

    def _box(self, call: Call) -> Box:
        outputs = call.outputs
        axes = self._axes_after(call)
        found = self._replayed(call)
        parameters, trainable = self._parameters(call)
        slid = sliding(call)
        shape = tuple(outputs[0].shape) if outputs else ()
        before = tuple(call.inputs[0].shape) if call.inputs else ()
        if axes:
            self.paths[call.key] = axes
        if slid is not None:
            self.slid[call.key] = slid
        return Box(
            call.key,
            call.operation,
            shape,
            parameters,
            trainable,
            _multiply_adds(call, found),
            outputs[0].numel() if outputs and self._counts(call, before, shape) else 0,
            found.internal,
            _field(axes),
            _misfits_of(call),
            before if slid is None else before[-len(slid.windows or slid.uneven) :],
        )

    def _input_box(self, name: str, tensor: Tensor, stored: int) -> Box:
        counted = tensor.numel() if tensor.is_floating_point() else 0
        return Box(name, "", tuple(tensor.shape), 0, 0, 0, counted, stored, _field(input_axes(tensor)))

    def _counts(self, call: Call, before: tuple[int, ...], shape: tuple[int, ...]) -> bool:
        """Whether the course counts this box's output: convolutions, pools, dense; not a pool that passes its input on as it is."""
        slid = sliding(call)
        if slid is None:
            return DENSE.fullmatch(call.operation) is not None
        return slid.kind != "pool" or before != shape

    def _axes_after(self, call: Call) -> Axes | None:
        given = [self._axes_of(tensor) for tensor in call.inputs]
        if call.inside:
            for part in call.inside:
                self._keep(part, spread(part, [self._axes_of(tensor) for tensor in part.inputs]))
            found = self._axes_of(call.outputs[0]) if call.outputs else None
        else:
            found = spread(call, given)
        if found is None and any(given):
            self.lost_fields.append(call.operation)
        self._keep(call, found)
        return found

    def _keep(self, call: Call, axes: Axes | None) -> None:
        for tensor in call.outputs:
            self.fields[_geometry(tensor)] = axes
            place = storage_of(tensor)
            if place is not None:
                self.makers.setdefault(place, call.key)

    def _axes_of(self, tensor: Tensor) -> Axes | None:
        key = _geometry(tensor)
        if key in self.fields:
            return self.fields[key]
        place = storage_of(tensor)
        if place is None or place in self.owned or place in self.makers:
            return None
        for number, (position, given) in enumerate(self.unclaimed):
            if given.shape == tensor.shape and given.dtype == tensor.dtype:
                del self.unclaimed[number]
                self.makers[place] = f"input{f' {position + 1}' if len(self.inputs) > 1 else ''}"
                self.fields[key] = input_axes(tensor)
                return self.fields[key]
        return None

    def _replayed(self, call: Call) -> Replay:
        with self.twin.without_values():
            found = replay(call, owned=self.owned, wanted=self.wanted)
        tensors = [*call.inputs, *call.outputs]
        if found.problem:
            self.problems.append(call.key)
            for tensor in tensors:
                place = storage_of(tensor)
                if place is not None and place not in self.owned:
                    found.kept[place] = tensor.untyped_storage().nbytes()
        self.stored |= found.kept
        learning = any(p.requires_grad for p in call.module.parameters()) if call.module is not None else False
        places = {storage_of(tensor) for tensor in call.inputs}
        if learning or places & self.wanted or any(place is not None and self.learns.get(place, False) for place in places):
            self.wanted |= {place for t in call.outputs if t.is_floating_point() and (place := storage_of(t)) is not None}
        return found

    def _parameters(self, call: Call) -> tuple[int, int]:
        """Count the parameters this call is the first to use."""
        held = list(call.module.parameters()) if call.module is not None else []
        total = learning = 0
        for tensor in (*held, *call.inputs):
            place = storage_of(tensor)
            if place in self.sizes:
                amount = self.sizes.pop(place)
                total += amount
                learning += amount if place is not None and self.learns[place] else 0
        return total, learning

    def _stored_by_maker(self) -> Mapping[str, int]:
        kept: dict[str, int] = {}
        for place, amount in self.stored.items():
            name = self.makers.get(place)
            if name is not None:
                kept[name] = kept.get(name, 0) + amount
        return kept


def _geometry(tensor: Tensor) -> tuple[Any, ...]:
    """What tells one view of a memory from another."""
    if tensor.layout != torch.strided:
        return (id(tensor),)
    return storage_of(tensor), tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def _multiply_adds(call: Call, found: Replay) -> int:
    """Products of a convolution or linear layer by its shapes; of anything else what runs inside it."""
    module, slid = call.module, sliding(call)
    if slid is not None and slid.kind == "local":
        return call.outputs[0].shape[0] * max((p.numel() for p in (module.parameters() if module is not None else ())), default=0)
    weight = getattr(module, "weight", None) if module is not None else call.kwargs.get("weight", call.args[1] if len(call.args) > 1 else None)
    if not isinstance(weight, Tensor) or not call.outputs or (not found.problem and not _plain(call)):
        return 0 if NORM.fullmatch(call.operation) or (slid is not None and slid.kind == "pool") else found.products
    if slid is not None and slid.kind == "transposed":
        return call.inputs[0].numel() * weight.numel() // weight.shape[0]
    return call.outputs[0].numel() * weight.numel() // weight.shape[0]


def _plain(call: Call) -> bool:
    """Whether it is one of torch's own convolutions or linear layers."""
    if call.module is not None:
        return isinstance(call.module, (nn.modules.conv._ConvNd, nn.Linear))  # noqa: SLF001
    return call.operation == "linear" or call.operation.startswith("conv")


def _misfits_of(call: Call) -> tuple[Fit, ...]:
    slid = sliding(call)
    if slid is None or slid.kind == "transposed" or not slid.windows:
        return ()
    sizes = call.inputs[0].shape[-len(slid.windows) :]
    return tuple(found for found in (fit(int(size), w) for size, w in zip(sizes, slid.windows, strict=True)) if not found.exact)


def _misfits(boxes: Sequence[Box]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return sentences about boxes that lose pixels, and about those that lose only padding."""
    losses: list[str] = []
    floors: list[str] = []
    for box in boxes:
        if box.misfits:
            told = [f"{box.address}: {sentence}" for sentence in misfit_sentences(box.input_shape, box.misfits)]
            (losses if any(found.lost for found in box.misfits) else floors).extend(told)
    return tuple(losses), tuple(floors)


def _field(axes: Axes | None) -> ReceptiveField | None:
    if not axes:
        return None
    fields = [axis.field for axis in axes]
    steps = [_number(axis.field.stride) if axis.place is not None and axis.units > 1 else 0 for axis in axes]
    return ReceptiveField(tuple(f.size for f in fields), tuple(steps), tuple(_number(f.start) for f in fields))


def _number(value: Any) -> float:
    return int(value) if value == int(value) else float(value)
