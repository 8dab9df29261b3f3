"""Short names for the content of networks and pictures: equal content, equal fingerprint; fast enough to be made every time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.core.storage import digest

SAMPLE = 256
"""Values of each tensor that are taken as they are, evenly spread; all others count through an exact sum of their bits."""
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def of_array(values: Tensor) -> str:
    """Return the hex fingerprint of a tensor's shape, type and values."""
    plain = values.detach().cpu().contiguous()
    return digest(f"{plain.dtype} {tuple(plain.shape)}", plain.numpy().tobytes())


def of_model(model: nn.Module) -> str:
    """Return the hex fingerprint of a network's parameters and buffers: names, shapes, types, a sample of the values and an exact sum of all bits."""
    parts: list[bytes | str] = []
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        flat = tensor.detach().reshape(-1)
        if flat.is_complex():
            flat = torch.view_as_real(flat).reshape(-1)
        bits = flat.view(_BITS[flat.element_size()]) if flat.dtype != torch.bool else flat.to(torch.uint8)
        spread = bits[:: max(1, len(bits) // SAMPLE)]
        parts += [f"{name} {tensor.dtype} {tuple(tensor.shape)} {int(bits.sum(dtype=torch.int64))}", spread.cpu().numpy().tobytes()]
    return digest(*parts)
