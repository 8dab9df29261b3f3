"""The figures of every call of a run without values, and what goes from call to call: receptive fields, who made which tensor, what was seen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from striate.measure.arithmetic import Fit, fit
from striate.measure.axes import Axes, input_axes
from striate.measure.boxes import Box, ReceptiveField, Totals, sum_of
from striate.measure.fakes import Weightless
from striate.measure.replaying import Replay, geometry_of, makes_no_tensors, replay, storage_of
from striate.measure.rules import constant
from striate.measure.spreading import spread
from striate.measure.windows import Sliding, sliding
from striate.probe import Call, Recording

DENSE = re.compile(r"\w*[Ll]inear|addmm")
NORM = re.compile(r"\w*(Norm|_norm)(\dd)?")
"""Layers whose inner products are a way to add up neighbours, not the work the field counts."""


class Count:
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
        inputs, outputs, slid = call.inputs, call.outputs, sliding(call)
        axes = self._axes_after(call, inputs, slid)
        found = self._replayed(call)
        parameters, trainable = self._parameters(call)
        shape = tuple(outputs[0].shape) if outputs else ()
        before = tuple(inputs[0].shape) if inputs else ()
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
            _multiply_adds(call, slid, found),
            outputs[0].numel() if outputs and _counts(call, slid, before, shape) else 0,
            found.internal,
            _field(axes),
            _misfits_of(slid, before),
            before if slid is None else before[-len(slid.windows or slid.uneven) :],
        )

    def _input_box(self, name: str, tensor: Tensor, stored: int) -> Box:
        counted = tensor.numel() if tensor.is_floating_point() else 0
        return Box(name, "", tuple(tensor.shape), 0, 0, 0, counted, stored, _field(input_axes(tensor)))

    def _axes_after(self, call: Call, inputs: Sequence[Tensor], slid: Sliding | None) -> Axes | None:
        given = [self._axes_of(tensor) for tensor in inputs]
        if call.inside:
            for part in call.inside:
                self._keep(part, spread(part, [self._axes_of(tensor) for tensor in part.inputs], sliding(part)))
            found = self._axes_of(call.outputs[0]) if call.outputs else None
        else:
            found = spread(call, given, slid)
        if found is None and any(given) and not constant(call):
            self.lost_fields.append(call.operation)
        self._keep(call, found)
        return found

    def _keep(self, call: Call, axes: Axes | None) -> None:
        for tensor in call.outputs:
            self.fields[geometry_of(tensor)] = axes
            place = storage_of(tensor)
            if place is not None:
                self.makers.setdefault(place, call.key)

    def _axes_of(self, tensor: Tensor) -> Axes | None:
        key = geometry_of(tensor)
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
        with nullcontext() if self.twin.mode is None and makes_no_tensors(call.module) else self.twin.without_values():
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


def _counts(call: Call, slid: Sliding | None, before: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether the course counts this box's output: convolutions, pools, dense; not a pool that passes its input on as it is."""
    if slid is None:
        return DENSE.fullmatch(call.operation) is not None
    return slid.kind != "pool" or before != shape


def _multiply_adds(call: Call, slid: Sliding | None, found: Replay) -> int:
    """Products of a convolution or linear layer by its shapes; of anything else what runs inside it."""
    module = call.module
    if slid is not None and slid.kind == "local":
        return call.outputs[0].shape[0] * max((p.numel() for p in (module.parameters() if module is not None else ())), default=0)
    weight = getattr(module, "weight", None) if module is not None else call.kwargs.get("weight", call.args[1] if len(call.args) > 1 else None)
    if not isinstance(weight, Tensor) or not call.outputs or not _plain(call):
        return 0 if NORM.fullmatch(call.operation) or (slid is not None and slid.kind == "pool") else found.products
    if slid is not None and slid.kind == "transposed":
        return call.inputs[0].numel() * weight.numel() // weight.shape[0]
    return call.outputs[0].numel() * weight.numel() // weight.shape[0]


def _plain(call: Call) -> bool:
    """Whether it is one of torch's own convolutions or linear layers."""
    if call.module is not None:
        return isinstance(call.module, (nn.modules.conv._ConvNd, nn.Linear, nn.Bilinear))  # noqa: SLF001
    return call.operation == "linear" or call.operation.startswith("conv")


def _misfits_of(slid: Sliding | None, before: tuple[int, ...]) -> tuple[Fit, ...]:
    if slid is None or slid.kind == "transposed" or not slid.windows:
        return ()
    sizes = before[-len(slid.windows) :]
    return tuple(found for found in (fit(size, w) for size, w in zip(sizes, slid.windows, strict=True)) if not found.exact)


def _field(axes: Axes | None) -> ReceptiveField | None:
    if not axes:
        return None
    fields = [axis.field for axis in axes]
    steps = [_number(axis.field.stride) if axis.place is not None and axis.units > 1 else 0 for axis in axes]
    sizes = [axis.field.size if axis.place is None else axis.field.largest(axis.units) for axis in axes]
    return ReceptiveField(tuple(sizes), tuple(steps), tuple(_number(f.start) for f in fields))


def _number(value: Any) -> float:
    return int(value) if value == int(value) else float(value)
