"""A network's ReLUs: which layer feeds each, and whose filters its units are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError, unknown_name
from striate.probe import Call, Recording, closed, one_name, record, seeing

RELUS = frozenset({"ReLU", "relu", "ReLU6", "relu6"})
_CARRIED = frozenset({"BatchNorm2d", "BatchNorm1d", "batch_norm", "Scale", "Dropout", "Identity"})


@dataclass(frozen=True)
class Rectifier:
    """One ReLU: its own address, the call whose output it reads ("" where that cannot be named), and the layer whose filters its units are.

    `filters` is "" where the units are a sum of several layers' (after a residual add, say).
    """

    address: str
    before: str
    filters: str

    @property
    def name(self) -> str:
        """The layer a person would name: the filters' own, else the ReLU."""
        return self.filters or self.address


def rectifiers(network: nn.Module, x: Tensor, layer: str | None = None) -> tuple[Rectifier, ...]:
    """Return the ReLUs that see the input `x`, in order, or the one of `layer` (its own address, or its filters' layer).

    Those of networks inside the network that make weights (the position biases of Swin v2) see no picture and are left out. Raises `UnknownNameError`
    for a layer that is none, `ArgumentError` where the network has no ReLU, or none that can be watched.
    """
    recording, sees = record(network, x), seeing(network, x)
    found = []
    for call in recording:
        if call.operation in RELUS and _has_units(call) and (call.address, call.turn) in sees:
            before = _before(recording, call)
            name = recording.name_of
            found.append(Rectifier(name(call), name(before) if before is not None else "", _filters(recording, before)))
    if not found:
        told = closed(network)
        raise ArgumentError(f"model: no ReLU was seen; {told}" if told else "model: it has no ReLU, and only a ReLU's unit can be dead")
    if layer is None:
        return tuple(found)
    one_name(network, layer)
    chosen = tuple(each for each in found if layer in (each.address, each.address.removesuffix("[0]"), each.filters))
    if not chosen:
        raise unknown_name("layer with a ReLU", layer, {name for each in found for name in (each.address, each.filters) if name})
    return chosen


def _has_units(call: Call) -> bool:
    return bool(call.outputs) and call.outputs[0].ndim in (2, 4) and call.outputs[0].is_floating_point()


def _before(recording: Recording, call: Call) -> Call | None:
    """Return the call whose output goes into `call`."""
    earlier = recording.calls[: recording.calls.index(call)]
    return next((each for each in reversed(earlier) if call in recording.readers(each)), None)


def _filters(recording: Recording, call: Call | None) -> str:
    while call is not None and call.operation in _CARRIED:
        call = _before(recording, call)
    weight = getattr(call.module, "weight", None) if call is not None else None
    return call.key if call is not None and isinstance(weight, torch.Tensor) and weight.ndim >= 2 else ""
