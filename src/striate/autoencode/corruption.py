"""What a denoising autoencoder is given instead of its input: masked, noisy or salted numbers (Vincent et al. 2008; row E5)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError, unknown_name
from striate.core.runtime import generator

Noise = Literal["none", "masking", "gaussian", "salt"]
KINDS = ("none", "masking", "gaussian", "salt")
SEED = 11
"""Keeps the noise that judges apart from every other random number."""


class Corruption(nn.Module):
    """Spoil the input in training; in evaluation hand it on as it is.

    `masking`   each number becomes 0 with probability `amount`
    `gaussian`  noise of deviation `amount` is added (for pixels in [0, 1]: 0.1 is 10 % of the range; nothing is clipped)
    `salt`      each number becomes 0 or 1, as likely as each other, with probability `amount`

    Random numbers come from torch's generator, which the loop seeds at every step.
    """

    def __init__(self, noise: Noise = "none", amount: float = 0.1) -> None:
        super().__init__()
        self.noise, self.amount = checked(noise, amount)

    def forward(self, x: Tensor) -> Tensor:
        """Return the spoiled input, N …; the given tensor is not written to."""
        return _spoiled(x, self.noise, self.amount, None) if self.training else x

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"noise={self.noise!r}" + (f", amount={self.amount:g}" if self.noise != "none" else "")


def corrupted(images: Tensor, noise: Noise, amount: float = 0.1, *, seed: int = 0) -> Tensor:
    """Return images N C H W, floats, spoiled as `Corruption` does, with noise of each image's own: picture i is the same whatever its batch.

    Raises `UnknownNameError` for a kind of noise, `ArgumentError` for an amount out of range and for images that are not floats.
    """
    checked(noise, amount)
    if not images.is_floating_point() or images.dim() < 2:
        raise ArgumentError(f"images: got {images.dtype} of shape {tuple(images.shape)}, expected floats N C H W; uint8 pixels: divide by 255")
    rows = [_spoiled(image[None], noise, amount, generator(seed, SEED, place)) for place, image in enumerate(images)]
    return torch.cat(rows) if rows else images


def checked(noise: str, amount: float) -> tuple[Noise, float]:
    """Return a kind of noise and its amount, or raise `UnknownNameError` or `ArgumentError`."""
    if noise not in KINDS:
        raise unknown_name("noise", str(noise), KINDS)
    if not 0 <= amount <= 1 or (noise != "none" and amount == 0):
        raise ArgumentError(f"amount: got {amount!r}, expected more than 0 and at most 1 (0.1: a tenth of the pixels, or of their range)")
    return noise, float(amount)  # type: ignore[return-value]


def _spoiled(x: Tensor, noise: str, amount: float, draw: torch.Generator | None) -> Tensor:
    if noise == "none":
        return x
    where = "cpu" if draw is not None else x.device
    if noise == "gaussian":
        return x + amount * torch.randn(x.shape, generator=draw, device=where).to(x)
    chance = torch.rand(x.shape, generator=draw, device=where).to(x.device)
    if noise == "masking":
        return x.masked_fill(chance < amount, 0.0)
    return x.masked_fill(chance < amount / 2, 0.0).masked_fill(chance > 1 - amount / 2, 1.0)
