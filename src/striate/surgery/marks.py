"""The boxes `to_convolutional` puts in, which remember what they were, so that `to_linear` can put it back."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class KeptMaps(nn.Identity):
    """Stands where a flatten was: maps stay maps."""


class SlidLinear(nn.Conv2d):
    """A linear layer as a convolution: the same weights, seen as filters over the maps it used to see flat."""

    @classmethod
    def of(cls, layer: nn.Linear, channels: int, height: int, width: int) -> SlidLinear:
        """Rearrange the weights of a linear layer over `channels` maps of `height` x `width`."""
        made = cls(channels, layer.out_features, (height, width), bias=layer.bias is not None, device=layer.weight.device, dtype=layer.weight.dtype)
        made.weight = nn.Parameter(layer.weight.detach().view(-1, channels, height, width).clone(), requires_grad=layer.weight.requires_grad)
        made.register_parameter("bias", layer.bias)
        return made

    def linear(self) -> nn.Linear:
        """Return the linear layer this was."""
        made = nn.Linear(self.weight[0].numel(), self.out_channels, bias=self.bias is not None, device=self.weight.device, dtype=self.weight.dtype)
        made.weight = nn.Parameter(self.weight.detach().flatten(1).clone(), requires_grad=self.weight.requires_grad)
        made.bias = self.bias  # type: ignore[assignment]
        return made


class SlidNorm(nn.BatchNorm2d):
    """A batch norm over flat features as one over maps."""

    @classmethod
    def of(cls, norm: nn.BatchNorm1d) -> SlidNorm:
        """Take over statistics, scale and shift."""
        made = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        made.load_state_dict(norm.state_dict())
        return made.to(next(iter(norm.state_dict().values()), torch.empty(0)).device)

    def flat(self) -> nn.BatchNorm1d:
        """Return the batch norm this was."""
        made = nn.BatchNorm1d(self.num_features, self.eps, self.momentum, self.affine, self.track_running_stats)
        made.load_state_dict(self.state_dict())
        return made


class SlidPool(nn.Module):
    """A pool to a fixed number of places as one with a fixed window that slides: `was` is the adaptive pool, `window` what it covered."""

    def __init__(self, was: nn.Module, window: tuple[int, int], *, largest: bool) -> None:
        super().__init__()
        self.was, self.window, self.largest = was, window, largest

    def forward(self, x: Tensor) -> Tensor:
        """Turn N C H W into N C H-h+1 W-w+1."""
        pool = nn.functional.max_pool2d if self.largest else nn.functional.avg_pool2d
        return pool(x, self.window, 1)

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"window={self.window}, {'maximum' if self.largest else 'mean'}"


class KeptSize(nn.Module):
    """Stands where an adaptive pool changed nothing at the size the network was made for."""

    def __init__(self, was: nn.Module) -> None:
        super().__init__()
        self.was = was

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps as they are."""
        return x
