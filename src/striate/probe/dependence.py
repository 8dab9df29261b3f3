"""Which calls of a run see its input, and which work on weights alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from striate.probe.calls import tensors
from striate.probe.recording import record
from striate.probe.untouched import traceless
from striate.probe.unwrapping import original
from striate.probe.watching import Watch


def seeing(model: nn.Module, x: Tensor) -> frozenset[tuple[str, int]]:
    """Return address and turn of every call whose output depends on the input `x`: by the graph, else by values that another input changes.

    Neither alone is enough: parts that run without a graph have none, and behind a layer whose units are all dead nothing changes.
    """
    inner, _ = original(model)
    found: set[tuple[str, int]] = set()

    def passing(address: str, turn: int, output: Any) -> Any:
        if any(tensor.requires_grad for tensor in tensors(output)):
            found.add((address, turn))
        return output

    with traceless(inner), torch.inference_mode(False):
        for parameter in inner.parameters():
            if parameter.requires_grad:
                parameter.requires_grad_(False)
        watch = Watch(inner, gradients=False)
        watch.live = passing
        try:
            with torch.enable_grad():
                given = x.detach().clone().requires_grad_().clone()
                with watch.watching():
                    inner(given)
        except RuntimeError:  # it cannot be run with a graph: the values tell
            pass
    one, other = (record(inner, each).calls for each in (x, x.flip(-1) * 0.5))
    if len(one) != len(other):
        return frozenset((call.address, call.turn) for call in one)
    return frozenset(found | {(call.address, call.turn) for call, again in zip(one, other, strict=True) if _differ(call.inputs, again.inputs)})


def _differ(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> bool:
    return any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(one, other, strict=False))
