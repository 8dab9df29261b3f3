"""Few channels on a CPU: convolutions of a chain compute empty channels beside their own, so that what follows works on whole vectors.

torch pools bf16 pictures eight channels at a time and a rest one by one; LeNet-5's six maps cost three times what eight do. Here a convolution whose
maps go through pooling and ReLU alone into the next convolution (or a flatten) gets zero filters up to a multiple of eight. Their maps are zero
everywhere, the next convolution's weights for them are zero too, so outputs and gradients are the network's own; nothing of it is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeGuard

from torch import Tensor, nn
from torch.nn import functional as F

from striate.probe.hooks import has_hooks

VECTOR = 8
"""Channels in bf16 that torch's pooling takes at once."""
KEEP_ZERO = (nn.ReLU, nn.MaxPool2d, nn.AvgPool2d)
"""Boxes that work on each channel alone and leave zero at zero."""


def widened(network: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """Return a function that computes `network(x)` for N C H W with its narrow convolutions widened; None where nothing would be gained."""
    if not isinstance(network, nn.Sequential):
        return None
    boxes = list(network)
    extra = {place: -box.out_channels % VECTOR for place, box in enumerate(boxes) if _plain(box) and _gains(box, boxes[place + 1 :])}
    return _Widened(network, extra) if extra else None


class _Widened:
    """Runs the chain; `extra` says by place how many empty maps a convolution adds."""

    def __init__(self, network: nn.Sequential, extra: dict[int, int]) -> None:
        self.network, self.extra = network, extra

    def __call__(self, x: Tensor) -> Tensor:
        if any(map(has_hooks, self.network)):
            watched: Tensor = self.network(x)  # whoever watches the boxes sees their own maps
            return watched
        empty = 0
        for place, box in enumerate(self.network):
            if isinstance(box, nn.Conv2d):
                x, empty = _convolve(box, x, empty, self.extra.get(place, 0)), self.extra.get(place, 0)
            elif empty and isinstance(box, nn.Flatten):
                x, empty = box(x[:, :-empty]), 0
            else:
                x = box(x)
        return x


def _convolve(box: nn.Conv2d, x: Tensor, before: int, after: int) -> Tensor:
    """Convolve with zero weights for `before` empty channels of the input, and `after` zero filters besides the box's own."""
    weight = F.pad(box.weight, (0, 0, 0, 0, 0, before, 0, after)) if before or after else box.weight
    bias = F.pad(box.bias, (0, after)) if after and box.bias is not None else box.bias
    return F.conv2d(x, weight, bias, box.stride, box.padding, box.dilation)


def _gains(box: nn.Conv2d, following: Sequence[nn.Module]) -> bool:
    """Say whether the convolution has too few maps, and they are pooled and then read by a convolution or a flatten."""
    pooled = False
    for then in following if box.out_channels % VECTOR else ():
        if _plain(then) or (isinstance(then, nn.Flatten) and then.start_dim == 1):
            return pooled
        if not isinstance(then, KEEP_ZERO):
            return False
        pooled |= isinstance(then, nn.MaxPool2d)
    return False


def _plain(box: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Say whether the box is torch's own convolution, ungrouped and edged by zeros: what `_convolve` computes."""
    return type(box) is nn.Conv2d and box.groups == 1 and box.padding_mode == "zeros"
