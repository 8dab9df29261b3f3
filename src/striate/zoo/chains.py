"""What the families in a single line share: the size of the last maps, and the linear layers behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

from striate.core.errors import ArgumentError
from striate.layers import LocalResponseNorm
from striate.zoo.boxes import Network

Stem = Literal["auto", "imagenet", "small"]


def small_stem(name: str, stem: Stem, shape: Sequence[int], *, smallest: int, limit: int = 64) -> bool:
    """Tell whether a network for ImageNet takes its small stem: `auto` does up to `limit` pixels on the shorter side.

    Raises `ArgumentError` where `stem` asks for ImageNet's and the input is under `smallest`, the least size of which that stem leaves anything.
    """
    side = min(shape[1:])
    if stem == "imagenet" and side < smallest:
        raise ArgumentError(
            f"stem: {name} with the imagenet stem takes inputs from {smallest}x{smallest}, got {shape[1]}x{shape[2]}; use auto or small"
        )
    return stem == "small" or (stem == "auto" and side <= limit)


def map_size(chain: nn.Module, height: int, width: int) -> tuple[int, int]:
    """Return the height and width of a chain's last maps for an input of `height` x `width`, from kernels, strides and paddings alone.

    Raises `ArgumentError` where a window no longer fits.
    """
    sides = (height, width)
    for path, module in chain.named_modules():
        if isinstance(module, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            before = sides
            sides = (_side(module, 0, before[0]), _side(module, 1, before[1]))
            if min(sides) < 1:
                raise ArgumentError(f"input: {height}x{width} is too small: only {before[0]}x{before[1]} reach {path}, whose window does not fit")
    return sides


def _side(module: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d, axis: int, side: int) -> int:
    kernel, stride, padding, dilation = (
        value[axis] if isinstance(value, tuple) else int(value)
        for value in (module.kernel_size, module.stride, module.padding, getattr(module, "dilation", 1))
    )
    room = side + 2 * padding - dilation * (kernel - 1) - 1
    if not getattr(module, "ceil_mode", False):
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - ((count - 1) * stride >= side + padding)  # the last window starts inside the picture, not in its padding


def linear_head(inputs: int, classes: int, *, width: int = 4096, dropout: float = 0.5, first: bool = True) -> Network:
    """Return dropout-linear-relu twice and a last linear layer, numbered as torchvision numbers them.

    `first` puts dropout before the linear layers (AlexNet), otherwise it follows their ReLU (VGG).
    Raises `ArgumentError` for a share of dropout outside 0 to 1.
    """
    boxes: list[nn.Module] = []
    for before in (inputs, width):
        layer = [nn.Linear(before, width), nn.ReLU()]
        boxes += [share_left_out(dropout), *layer] if first else [*layer, share_left_out(dropout)]
    boxes.append(nn.Linear(width, classes))
    return Network({str(number): box for number, box in enumerate(boxes)})


def paper_head(inputs: int, classes: int, dropout: float, *, width: int = 4096) -> dict[str, nn.Module]:
    """Return flatten and the layers 6 to 8 under the names that AlexNet's and ZFNet's papers count by."""
    return {
        "flatten": nn.Flatten(),
        "dropout6": share_left_out(dropout),
        "fc6": nn.Linear(inputs, width),
        "relu6": nn.ReLU(),
        "dropout7": share_left_out(dropout),
        "fc7": nn.Linear(width, width),
        "relu7": nn.ReLU(),
        "fc8": nn.Linear(width, classes),
    }


def share_left_out(dropout: float) -> nn.Dropout:
    """Return the dropout box for a share; raises `ArgumentError` outside 0 to 1, 1 itself excluded."""
    if not 0 <= dropout < 1:
        raise ArgumentError(f"dropout: got {dropout}, expected a share from 0 up to 1")
    return nn.Dropout(dropout)


def gaussian(network: nn.Module, *, linear: float = 0.01) -> None:
    """Draw linear layers from a normal distribution with deviation `linear`; their biases start at zero."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, linear)
            nn.init.zeros_(module.bias)


def normalise() -> LocalResponseNorm:
    """Return AlexNet's response normalisation (section 3.3): k = 2, n = 5, α = 1e-4, β = 0.75."""
    return LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)
