"""From a layer's maps to one code a picture: the mean and the largest value of each map, or everything flat."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from striate.core.errors import ArgumentError

Pool = Literal["avg", "max", "both"]


def pooled(maps: Tensor, pool: Pool = "avg") -> Tensor:
    """Turn N C H W (or N C L, N L D tokens are not told apart) into N C (N 2C for `both`: means, then maxima); N D stays as it is. float32."""
    if maps.dim() < 2:
        raise ArgumentError(f"maps: got shape {tuple(maps.shape)}, expected N D or N C H W")
    if maps.dim() == 2:
        return maps.float()
    flat = maps.flatten(2)
    if pool == "avg":
        return flat.float().mean(2)
    if pool == "max":
        return flat.amax(2).float()
    return torch.cat([flat.float().mean(2), flat.amax(2).float()], 1)
