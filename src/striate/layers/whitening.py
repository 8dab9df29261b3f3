"""A first layer that whitens: its filters are the principal axes of the training pictures' patches, each also negated.

Neighbouring pixels say nearly the same thing. Projected on the patches' principal axes and divided by their standard deviations, the inputs of
the next layer are uncorrelated and equally strong, and gradient descent need not learn that first. The negatives let a ReLU or GELU keep both signs.
The filters are measured, not learnt: they stay frozen, only the bias trains.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.layers import checks
from striate.layers.registry import layer


@layer("whitened_conv", help="First layer whose frozen filters whiten the pictures' patches")
class WhitenedConv2d(nn.Conv2d):
    """Convolve without padding with 2·C·k² frozen filters and a trainable bias.

    Until `set_from_patches` is called the filters are torch's random ones. Raises `ArgumentError` for what is no whole number.
    """

    def __init__(self, channels: int, kernel: int = 2) -> None:
        channels, kernel = checks.count("channels", channels), checks.count("kernel", kernel)
        super().__init__(channels, 2 * channels * kernel**2, kernel)
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def set_from_patches(self, images: Tensor, *, eps: float = 5e-4) -> None:
        """Set the filters from `images` (N C H W, float, standardised as the network will see them).

        `eps` is added to each axis's variance before the division, so that nearly flat directions are not blown up.
        A few thousand pictures are plenty. Raises `ArgumentError` for another number of channels pictures smaller than a patch, NaN or infinity.
        """
        size = self.kernel_size[0]
        checks.finite(self, images, name="images")
        if images.ndim != 4 or images.shape[1] != self.in_channels or min(images.shape[2:]) < size:
            raise ArgumentError(f"images: got shape {tuple(images.shape)}, expected N x {self.in_channels} x H x W of at least {size}x{size} pixels")
        patches = images.float().unfold(2, size, 1).unfold(3, size, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, self.in_channels * size**2)
        spread = (patches.T @ patches / len(patches)).double()
        variances, axes = torch.linalg.eigh(spread)
        filters = (axes / (variances.clamp_min(0) + eps).sqrt()).T.flip(0).reshape(-1, self.in_channels, size, size)
        self.weight.copy_(torch.cat((filters, -filters)))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name for it
        """Turn N C H W into N 2·C·k² H-k+1 W-k+1 (the N may be missing)."""
        checks.maps(self, input, self.in_channels)
        checks.windows(self, input, self.kernel_size, (0, 0))
        return super().forward(input)


def example() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A small case for the contract suite."""
    return WhitenedConv2d(3), (torch.randn(2, 3, 6, 5),)
