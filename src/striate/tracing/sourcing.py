"""Where a call's inputs come from: told by the memory that tensors share, and where a call hands on what it got, by the messages that come back."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from striate.probe import Call

CHOICES = 256
"""Ways of sharing readers out among calls that give the same memory, up to which each is tried."""
OUTSIDE = -1


class Sources:
    """The source of every input of `calls`, which are in the order they ran.

    It is a call's key, `parameter NAME` of `model`, `input`, or None where it cannot be told. A tensor comes from the latest call that gave its
    memory. Some calls give the memory they got (identity, dropout in eval mode), so that a later reader may have taken either: then the messages
    decide, for what comes back to a call is the sum of what its readers send. `output` is the network's, `back` the loss's message to it. Only the
    network's inputs, which a recording copies, are known by their numbers.
    """

    def __init__(self, calls: Sequence[Call], inputs: Sequence[Any], model: nn.Module, output: Any, back: Tensor | None) -> None:
        self._calls = calls
        self._inputs = [value for value in inputs if isinstance(value, Tensor)]
        self._parameters = {_memory(value): name for name, value in model.named_parameters()}
        self._places = {id(call): place for place, call in enumerate(calls)}
        self._makers: dict[Any, list[int]] = defaultdict(list)
        self._readers: dict[Any, list[tuple[int, int, Tensor | None]]] = defaultdict(list)
        for place, call in enumerate(calls):
            for number, tensor in enumerate(call.inputs):
                self._readers[_memory(tensor)].append((place, number, call.input_messages[number]))
            for key in dict.fromkeys(map(_memory, call.outputs)):
                self._makers[key].append(place)
        if isinstance(output, Tensor):
            self._readers[_memory(output)].append((len(calls), 0, back))
        self._output = output
        self._shared: dict[Any, dict[tuple[int, int], int]] = {}

    def of(self, call: Call) -> tuple[str | None, ...]:
        """Return the source of each of a call's inputs."""
        return tuple(self._source(tensor, (self._places[id(call)], number)) for number, tensor in enumerate(call.inputs))

    def of_output(self) -> str | None:
        """Return what the network's output comes from; None where it is not one tensor."""
        return self._source(self._output, (len(self._calls), 0)) if isinstance(self._output, Tensor) else None

    def _source(self, tensor: Tensor, reader: tuple[int, int]) -> str | None:
        key = _memory(tensor)
        if key not in self._shared:
            self._shared[key] = self._share(key)
        maker = self._shared[key][reader]
        if maker != OUTSIDE:
            return self._calls[maker].key
        if key in self._parameters:
            return f"parameter {self._parameters[key]}"
        return "input" if any(_equal(tensor, value) for value in self._inputs) else None

    def _share(self, key: Any) -> dict[tuple[int, int], int]:
        """Return from which call each reader of one memory took it."""
        makers, readers = self._makers.get(key, []), self._readers[key]
        handed_on = [maker for maker in makers if any(_memory(tensor) == key for tensor in self._calls[maker].inputs)]
        before = [OUTSIDE, *makers] if makers == handed_on else makers
        options = [[maker for maker in reversed(before) if maker < place] or [OUTSIDE] for place, _, _ in readers]
        found = latest = tuple(each[0] for each in options)
        if 1 < math.prod(map(len, options)) <= CHOICES:
            found = next((choice for choice in product(*options) if self._fits(key, choice)), latest)
        return {(place, number): maker for (place, number, _), maker in zip(readers, found, strict=True)}

    def _fits(self, key: Any, choice: tuple[int, ...]) -> bool:
        """Whether every call gets back what the readers chosen for it send; a call that reads one tensor twice sends the sum in both places."""
        for maker in self._makers[key]:
            call = self._calls[maker]
            back = call.message if isinstance(call.message, tuple) else (call.message,)
            came = next((b for tensor, b in zip(call.outputs, back, strict=False) if _memory(tensor) == key), None)
            sent = {
                place: message
                for (place, _, message), chosen in zip(self._readers[key], choice, strict=True)
                if chosen == maker and message is not None
            }
            if came is None or not sent:
                if (came is None) != (not sent):
                    return False
            elif not _close(sum(sent.values(), torch.zeros_like(came)), came):
                return False
        return True


def _memory(tensor: Tensor) -> tuple[Any, ...]:
    """An identity of the numbers a tensor looks at; tensors are kept alive by the recording, so no memory is used twice."""
    if tensor.layout != torch.strided:
        return (id(tensor),)
    return tensor.untyped_storage()._cdata, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype  # noqa: SLF001 - the storage itself


def _close(a: Tensor, b: Tensor) -> bool:
    within = 1e-9 if b.dtype == torch.float64 else 1e-4
    return not b.numel() or bool(((a - b).abs() <= within * b.abs().max()).all())


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool((a == b.to(a.dtype)).all())
