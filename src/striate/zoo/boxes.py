"""The form every family is written in: a table of named boxes, each a module of its own, run from top to bottom."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from torch import nn


class Network(nn.Sequential):
    """Named boxes in a chain; a box that is None is left out.

    Slicing (`network[:5]`) gives a shorter chain of the same boxes, so a network is cut without rewriting it.
    """

    def __init__(self, boxes: Mapping[str, nn.Module | None]) -> None:
        super().__init__(OrderedDict((name, box) for name, box in boxes.items() if box is not None))


def conv(channels: int, width: int, kernel: int, stride: int = 1, *, padding: int | None = None, bias: bool = False) -> nn.Conv2d:
    """Return a convolution as the residual families spell it: `same` padding unless told, no bias because a batch norm follows."""
    return nn.Conv2d(channels, width, kernel, stride, kernel // 2 if padding is None else padding, bias=bias)


def he_normal(network: nn.Module) -> None:
    """Draw convolutions from He's normal distribution by fan-out, as the residual papers and their published code do; biases start at zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
