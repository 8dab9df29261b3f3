"""Short names for the content of networks and pictures: equal content, equal fingerprint; fast enough to be made every time."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor, nn

from striate.core.storage import digest


def of_array(values: Tensor) -> str:
    """Return the hex fingerprint of a tensor's shape, type and values."""
    return digest(f"{values.dtype} {tuple(values.shape)}", _bytes(values))


def of_model(model: nn.Module) -> str:
    """Return the hex fingerprint of a network's parameters and buffers: names, shapes, types and a checksum (CRC-32) of each one's values."""
    named = (*model.named_parameters(), *model.named_buffers())
    return digest(*(f"{name} {tensor.dtype} {tuple(tensor.shape)} {zlib.crc32(_bytes(tensor)):08x}" for name, tensor in named))


def _bytes(values: Tensor) -> bytes:
    plain = values.detach().cpu().contiguous().reshape(-1)
    plain = torch.view_as_real(plain).reshape(-1) if plain.is_complex() else plain
    return plain.view(torch.uint8).numpy().tobytes()
