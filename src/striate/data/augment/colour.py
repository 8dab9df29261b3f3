"""Colour: brightness, contrast, saturation and hue, and AlexNet's lighting along the colours' principal components."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.data.augment.base import Augmentation, unit
from striate.data.registry import augmentation
from striate.data.stores import Fixed

if TYPE_CHECKING:
    from striate.data.augment.base import Draw
    from striate.data.stores import Store

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R 601)."""


def _needs_colour(what: str, x: Tensor) -> None:
    if x.shape[1] != 3:
        raise ArgumentError(f"augment: {what} needs red, green and blue; these pictures have {x.shape[1]} channels")


class Jitter(Augmentation):
    """Multiplies brightness, contrast and saturation by 1 - a to 1 + a and turns the hue by up to `hue` of a circle, in this order."""

    def __init__(self, brightness: float, contrast: float, saturation: float, hue: float) -> None:
        for name, value, most in (("brightness", brightness, 1.0), ("contrast", contrast, 1.0), ("saturation", saturation, 1.0), ("hue", hue, 0.5)):
            if not 0 <= value <= most:
                raise ArgumentError(f"augment: jitter's {name} is {value}; expected 0 to {most:g}")
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        """Return the changed pictures as floats in [0, 1]; each step is clipped."""
        x = unit(x)
        brightness, contrast, saturation = (draw.uniform(1 - by, 1 + by, 1, 1, 1) for by in (self.brightness, self.contrast, self.saturation))
        turn = draw.uniform(-self.hue, self.hue, 1, 1)
        if self.brightness:
            x = (x * brightness).clamp(0, 1)
        if self.contrast:
            middle = grey(x).mean(dim=(2, 3), keepdim=True)
            x = (middle + (x - middle) * contrast).clamp(0, 1)
        if self.saturation:
            _needs_colour("saturation", x)
            plain = grey(x)
            x = (plain + (x - plain) * saturation).clamp(0, 1)
        if self.hue:
            _needs_colour("hue", x)
            x = turned(x, turn)
        return x


class Lighting(Augmentation):
    """Adds to every pixel of a picture the colours' principal components, each times its eigenvalue and a normal number of spread `std`."""

    def __init__(self, std: float) -> None:
        if std < 0:
            raise ArgumentError(f"augment: lighting's std is {std}; expected 0 or more")
        self.std = std
        self.components: Tensor | None = None

    def fitted(self, store: Store) -> Self:
        """Return a copy with the eigenvectors (columns) times eigenvalues of the training split's colour covariance, values in [0, 1]."""
        from striate.data.whitening import channel_covariance

        channels = store.shape[0] if isinstance(store, Fixed) else 3
        if channels != 3:
            raise ArgumentError(f"augment: lighting needs red, green and blue; these pictures have {channels} channels")
        values, vectors = torch.linalg.eigh(torch.from_numpy(channel_covariance(store)))
        other = copy.copy(self)
        other.components = (vectors * values).float()
        return other

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        """Return the changed pictures as floats, not clipped."""
        if self.components is None:
            raise ArgumentError("augment: lighting has not seen a training split; use it through Dataset.prepared")
        amounts = draw.normal(3) * self.std
        return unit(x) + (amounts @ self.components.T.to(x.device))[:, :, None, None]


def grey(x: Tensor) -> Tensor:
    """Return N 1 H W: luma for three channels, the mean of any other number."""
    if x.shape[1] != 3:
        return x.mean(dim=1, keepdim=True)
    return (x * x.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def turned(x: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue of N 3 H W (values in [0, 1]) by `turn` (N 1 1, in circles), keeping HSV saturation and value."""
    red, green, blue = x.unbind(1)
    value, low = x.amax(1), x.amin(1)
    span = value - low
    safe = torch.where(span > 0, span, torch.ones_like(span))
    hue = torch.where(value == red, (green - blue) / safe, torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe))
    hue = hue / 6 + turn
    parts = []
    for offset in (5.0, 3.0, 1.0):  # value - span * max(0, min(k, 4 - k, 1)), k = (offset + 6 hue) mod 6
        k = torch.remainder(offset + 6 * hue, 6)
        parts.append(value - span * torch.minimum(k, 4 - k).clamp(0, 1))
    return torch.stack(parts, dim=1)


@augmentation("jitter", help="change brightness, contrast, saturation and hue")
def jitter(brightness: float = 0.4, contrast: float = 0.4, saturation: float = 0.4, hue: float = 0.0) -> Jitter:
    """Return the colour jitter; grey pictures need `saturation=0, hue=0` (Howard 2013)."""
    return Jitter(brightness, contrast, saturation, hue)


@augmentation("lighting", help="shift colours along their principal components, as AlexNet")
def lighting(std: float = 0.1) -> Lighting:
    """Return AlexNet's lighting (Krizhevsky, Sutskever and Hinton 2012, section 4.1), components from the training split."""
    return Lighting(std)
