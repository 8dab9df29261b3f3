"""Short names for the content of networks and pictures: equal content, equal fingerprint; fast enough to be made every time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from striate.core.storage import digest

_KNOWN: ContextVar[WeakKeyDictionary[nn.Module, str] | None] = ContextVar("known", default=None)


@contextmanager
def remembered() -> Iterator[None]:
    """Read each network once inside: for several methods one after the other, which all leave it as it was."""
    token = _KNOWN.set(WeakKeyDictionary())
    try:
        yield
    finally:
        _KNOWN.reset(token)


def of_array(values: Tensor) -> str:
    """Return the hex fingerprint of a tensor's shape, type and values."""
    return digest(f"{values.dtype} {tuple(values.shape)}", bytes(_bytes(values)))


def of_model(model: nn.Module) -> str:
    """Return the hex fingerprint of a network's parameters and buffers: names, shapes, types and a checksum (CRC-32) of each one's values."""
    known = _KNOWN.get()
    if known is not None and model in known:
        return known[model]
    named = (*model.named_parameters(), *model.named_buffers())
    found = digest(*(f"{name} {tensor.dtype} {tuple(tensor.shape)} {zlib.crc32(_bytes(tensor)):08x}" for name, tensor in named))
    if known is not None:
        known[model] = found
    return found


def _bytes(values: Tensor) -> memoryview:
    plain = values.detach().cpu().contiguous().reshape(-1)
    plain = torch.view_as_real(plain).reshape(-1) if plain.is_complex() else plain
    return plain.view(torch.uint8).numpy().data
