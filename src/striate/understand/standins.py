"""What stands where the picture is taken away: one level, the picture's own mean colour, or the picture out of focus."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.core.errors import ArgumentError

Value = float | Literal["mean", "blur"]


def stand_in(picture: Tensor, value: Value, *, name: str = "value") -> Tensor:
    """Return a picture C H W made of `value`: a level in [0, 1], `mean` (its mean colour) or `blur` (itself, out of focus).

    The mean of a blank picture is exactly that picture. Raises `ArgumentError` naming `name` for a level outside [0, 1].
    """
    if value == "mean":
        mean = picture.double().mean((1, 2), keepdim=True).to(picture.dtype)
        return mean.clamp(picture.amin((1, 2), keepdim=True), picture.amax((1, 2), keepdim=True)).expand_as(picture)
    if value == "blur":
        return _blurred(picture)
    if not 0 <= value <= 1:
        raise ArgumentError(f"{name}: got {value!r}, expected a level from 0 (black) to 1 (white), mean or blur")
    return torch.full_like(picture, value)


def _blurred(picture: Tensor) -> Tensor:
    """A Gaussian of a twelfth of the longer side, edges repeated; differences from the corner, so that blank stays exactly blank."""
    deviation = max(picture.shape[-2:]) / 12
    reach = max(1, round(3 * deviation))
    places = torch.arange(-reach, reach + 1, dtype=torch.float64, device=picture.device)
    weights = torch.exp(-0.5 * (places / deviation) ** 2)
    weights = weights / weights.sum()
    corner = picture[:, :1, :1].double()
    found = (picture.double() - corner)[None]
    channels = len(picture)
    for shape, pad in (((1, 1, -1, 1), (0, 0, reach, reach)), ((1, 1, 1, -1), (reach, reach, 0, 0))):
        kernel = weights.view(shape).expand(channels, 1, *weights.view(shape).shape[2:])
        found = F.conv2d(F.pad(found, pad, mode="replicate"), kernel, groups=channels)
    return (found[0] + corner).to(picture.dtype)
