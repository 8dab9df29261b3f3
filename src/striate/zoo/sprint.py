"""Two nets made to learn fast: sprint28 for MNIST in seconds, sprint32 for CIFAR-10 in minutes of two CPU cores. No paper; ours, 2026.

    sprint28      output      sprint32            output (32x32 input)
    5x5, 16       24 -> 12    whiten 2x2, 24      31
    3x3, 32       10          [3x3, 64]  x2       31 -> 15
    3x3, 32       8 -> 4      [3x3, 256] x2       15 -> 7
    3x3, 64       2           [3x3, 256] x2       7 -> 3
    global max    1           global max          1
    linear        10          linear, / width     10

sprint28 pads nothing from 24 pixels on, which takes a third of the multiply-adds of `same` padding; smaller pictures are padded.
sprint32 is in the spirit of Keller Jordan's airbench (2024): a frozen first layer that whitens patches, batch norm without scale and with a quick
memory, convolutions that start as partial identity, a head of unit spread whose logits are divided by its width. Every pooling comes before the batch
norm, where a quarter of the values is left to normalise. With a depth of three or more, a group's later convolutions have a shortcut beside them.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from striate.core.contracts import Card
from striate.core.errors import ArgumentError
from striate.layers import Add, BatchShift, Scale, WhitenedConv2d
from striate.zoo.boxes import Network, conv
from striate.zoo.registry import Shape, architecture

SPRINT28 = Card(
    paper="none: a small batch-norm net, sized for training on a CPU",
    year=2026,
    parameters=33_594,
    input=(1, 28, 28),
    classes=10,
    cut_points=("relu1", "relu2", "relu3", "relu4"),
    groups=(("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("conv4", "bn4"), ("fc",)),
    deviations="None: it has no paper. Pictures under 24 pixels are padded to keep their size, larger ones are not.",
)

SPRINT32 = Card(
    paper="none: in the spirit of Keller Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, 2024",
    year=2026,
    parameters=1_971_640,
    input=(3, 32, 32),
    classes=10,
    cut_points=("gelu", "group1", "group2", "group3"),
    groups=(("whiten",), ("group1",), ("group2",), ("group3",), ("fc",)),
    deviations="Own code. The global maximum at the end equals airbench's 3x3 max pool at 32 pixels, and lets the network take other sizes.",
)


@architecture("sprint28", help="Four convolutions with batch norm: MNIST in seconds", year=2026, parameters=33_594, smallest=4, card=SPRINT28)
def sprint28(
    classes: int,
    shape: Shape,
    *,
    widths: tuple[int, int, int, int] = (16, 32, 32, 64),
    padding: Literal["auto", "same", "valid"] = "auto",
) -> nn.Module:
    """Build the MNIST sprinter; `widths` are its four convolutions' filters, `padding` auto pads pictures under 24 pixels only."""
    _positive("widths", widths)
    small = min(shape[1:]) < 24
    if small and padding == "valid":
        raise ArgumentError(f"padding: valid takes inputs from 24x24, got {shape[1]}x{shape[2]}; use auto or same")
    edge = None if padding == "same" or small else 0
    first, second, third, fourth = widths
    return Network(
        {
            "conv1": conv(shape[0], first, 5, padding=edge),
            "pool1": nn.MaxPool2d(2),
            "bn1": nn.BatchNorm2d(first),
            "relu1": nn.ReLU(),
            "conv2": conv(first, second, 3, padding=edge),
            "bn2": nn.BatchNorm2d(second),
            "relu2": nn.ReLU(),
            "conv3": conv(second, third, 3, padding=edge),
            "pool3": nn.MaxPool2d(2),
            "bn3": nn.BatchNorm2d(third),
            "relu3": nn.ReLU(),
            "conv4": conv(third, fourth, 3, padding=edge),
            "bn4": nn.BatchNorm2d(fourth),
            "relu4": nn.ReLU(),
            "maxpool": nn.AdaptiveMaxPool2d(1),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(fourth, classes),
        }
    )


class Group(nn.Module):
    """`depth` 3x3 convolutions, a max pool after the first, each with batch norm and GELU; from depth 3 on the later ones have a shortcut."""

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        self.entry = Network({"conv": partial_identity(channels, width), "pool": nn.MaxPool2d(2), "bn": _norm(width), "gelu": nn.GELU()})
        boxes: dict[str, nn.Module] = {}
        for number in range(2, depth + 1):
            boxes |= {f"conv{number}": partial_identity(width, width), f"bn{number}": _norm(width)}
            boxes |= {f"gelu{number}": nn.GELU()} if number < depth else {}
        self.body = Network(boxes) if boxes else None
        self.add = Add() if depth > 2 else None
        self.gelu = nn.GELU() if boxes else None

    def forward(self, x: Tensor) -> Tensor:
        """Turn N C H W into N width ⌊H/2⌋ ⌊W/2⌋."""
        out: Tensor = self.entry(x)
        if self.body is None or self.gelu is None:
            return out
        change = self.body(out)
        joined: Tensor = self.gelu(change if self.add is None else self.add(change, out))
        return joined


@architecture("sprint32", help="Whitened first layer, three groups: CIFAR-10 in minutes", year=2026, parameters=1_971_640, smallest=9, card=SPRINT32)
def sprint32(classes: int, shape: Shape, *, widths: tuple[int, int, int] = (64, 256, 256), depth: int = 2) -> nn.Module:
    """Build the CIFAR sprinter; `widths` are its groups' filters, `depth` the convolutions in each."""
    _positive("widths", widths)
    _positive("depth", (depth,))
    whiten = WhitenedConv2d(shape[0], 2)
    head = nn.Linear(widths[2], classes, bias=False)
    head.weight.data.div_(head.weight.data.std())
    return Network(
        {
            "whiten": whiten,
            "gelu": nn.GELU(),
            "group1": Group(whiten.out_channels, widths[0], depth),
            "group2": Group(widths[0], widths[1], depth),
            "group3": Group(widths[1], widths[2], depth),
            "maxpool": nn.AdaptiveMaxPool2d(1),
            "flatten": nn.Flatten(),
            "fc": head,
            "scale": Scale(1 / widths[2]),
        }
    )


def partial_identity(channels: int, width: int) -> nn.Conv2d:
    """Return a 3x3 convolution whose first filters hand their input channels through unchanged; the rest start as torch draws them."""
    made = conv(channels, width, 3)
    nn.init.dirac_(made.weight.data[:channels])
    return made


def _norm(width: int) -> BatchShift:
    return BatchShift(width, eps=1e-12, momentum=0.4)


def _positive(name: str, values: tuple[int, ...]) -> None:
    if min(values) < 1:
        raise ArgumentError(f"{name}: got {values}, expected whole numbers from 1")
