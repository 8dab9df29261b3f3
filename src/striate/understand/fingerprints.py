"""Short names for the content of networks and pictures: equal content, equal fingerprint; fast enough to be made every time."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from striate.core.storage import digest
from striate.probe.walking import Parts

WHOLE, SAMPLES = 4096, 64
"""Tensors up to so many numbers are compared whole, larger ones by so many of their numbers, and by where they lie and how often torch wrote them."""
T = TypeVar("T")
_KNOWN: WeakKeyDictionary[nn.Module, tuple[Any, dict[str, Any]]] = WeakKeyDictionary()


def facts(model: nn.Module, parts: Parts | None = None) -> dict[str, Any]:
    """Return what is known of a network, to be added to: emptied as soon as its weights are no longer the same (`state`)."""
    now = state(model, parts)
    seen, known = _KNOWN.get(model, (None, {}))
    if seen != now:
        known = {}
        _KNOWN[model] = (now, known)
    return known


def remembered(known: dict[str, Any], what: str, find: Callable[[], T]) -> T:
    """Return `find()`, or what it gave before: reading all weights takes as long as a map."""
    if what not in known:
        known[what] = find()
    found: T = known[what]
    return found


def state(model: nn.Module, parts: Parts | None = None) -> tuple[Any, ...]:
    """Return what tells within a millisecond that weights and statistics changed: names, places, torch's version counters, a checksum of samples.

    A single number of a large tensor written behind torch's back (through `.data`) may go unseen. `parts`: the network's, where they are at hand.
    """
    parts = parts or Parts.of(model)
    samples: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    found: list[tuple[Any, ...]] = []
    with torch.no_grad():
        for name, tensor in (*parts.parameters, *parts.buffers):
            found.append((name, tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version))  # noqa: SLF001
            samples.setdefault((tensor.dtype, tensor.device), []).append(_sampled(tensor))
        return tuple(found), tuple(zlib.crc32(_bytes(torch.cat(group))) for group in samples.values())


def _sampled(tensor: Tensor) -> Tensor:
    count = tensor.numel()
    if count > WHOLE and _dense(tensor):
        return tensor.as_strided((SAMPLES,), (count // SAMPLES,))
    line = tensor if tensor.dim() == 1 else tensor.reshape(-1)
    return line if count <= WHOLE else line[:: count // SAMPLES]


def _dense(tensor: Tensor) -> bool:
    return tensor.is_contiguous() or (tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last))


def of_array(values: Tensor) -> str:
    """Return the hex fingerprint of a tensor's shape, type and values."""
    return digest(f"{values.dtype} {tuple(values.shape)}", bytes(_bytes(values)))


def of_model(model: nn.Module, known: dict[str, Any] | None = None) -> str:
    """Return the hex fingerprint of a network's parameters and buffers: names, shapes, types and a checksum (CRC-32) of each one's values.

    `known`: its `facts`, where they were asked for a moment ago.
    """
    return remembered(facts(model) if known is None else known, "fingerprint", lambda: _read(model))


def _read(model: nn.Module) -> str:
    named = (*model.named_parameters(), *model.named_buffers())
    return digest(*(f"{name} {tensor.dtype} {tuple(tensor.shape)} {zlib.crc32(_bytes(tensor)):08x}" for name, tensor in named))


def _bytes(values: Tensor) -> memoryview:
    plain = values.detach().cpu().contiguous().reshape(-1)
    plain = torch.view_as_real(plain).reshape(-1) if plain.is_complex() else plain
    return plain.view(torch.uint8).numpy().data
