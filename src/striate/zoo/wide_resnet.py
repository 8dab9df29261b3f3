"""Wide residual networks. Zagoruyko, Komodakis: Wide residual networks, 2016.

For CIFAR, table 1 of the paper: k times the filters, 6n + 4 layers, blocks that normalise and activate first, dropout between their convolutions:

    group     output   block
    conv1     32x32    [3x3, 16]
    conv2     32x32    [3x3, 16k; 3x3, 16k] x n
    conv3     16x16    [3x3, 32k; 3x3, 32k] x n
    conv4     8x8      [3x3, 64k; 3x3, 64k] x n
    avg-pool  1x1

    network    n   k    parameters     CIFAR-10 error
    WRN-16-8   2   8    10,961,370     4.27 %
    WRN-40-4   6   4    8,949,210      4.53 %
    WRN-28-10  4   10   36,479,194     4.00 % (dropout 0.3: 3.89 %)

For ImageNet the 3x3 of ResNet's bottleneck has twice the filters: WRN-50-2 (68,883,240 parameters, 21.9 % of ImageNet's validation part) and 101-2
(126,886,696), under torchvision's names and in its form (stride in the 3x3).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

from torch import Tensor, nn

from striate.core.contracts import Card
from striate.core.errors import ArgumentError
from striate.layers import Add
from striate.zoo.boxes import conv
from striate.zoo.papers import RESNET_IMAGENET, WIDE_RESNET_CIFAR
from striate.zoo.preact_resnet import preactivated
from striate.zoo.registry import Shape, architecture
from striate.zoo.residual import Bottleneck, drop_path, imagenet, paper_names
from striate.zoo.resnet import BLOCKS
from striate.zoo.resnet import CARD as RESNET

CARD = Card(
    paper="Zagoruyko, Komodakis: Wide residual networks",
    year=2016,
    parameters=36_479_194,
    input=(3, 32, 32),
    classes=10,
    recipe=WIDE_RESNET_CIFAR,
    cut_points=("conv1", "layer1", "layer2", "layer3", "relu", "avgpool"),
    groups=(("conv1",), ("layer1",), ("layer2",), ("layer3", "bn"), ("fc",)),
    paper_names={"conv1": "conv1", "conv2": "layer1", "conv3": "layer2", "conv4": "layer3", "fc": "fc"},
    deviations="None known. The paper edges pictures by reflection, as the recipe does.",
    error="CIFAR-10: 4.00 % (with dropout=0.3: 3.89 %)",
)
IMAGENET = replace(
    CARD,
    parameters=68_883_240,
    input=(3, 224, 224),
    classes=1000,
    recipe=RESNET_IMAGENET,
    cut_points=RESNET.cut_points,
    groups=RESNET.groups,
    paper_names=paper_names(BLOCKS[50]),
    deviations="Stride in the 3x3, as in torchvision. From 49 to 96 pixels the stem does not pool, up to 48 it is a 3x3 convolution of stride 1.",
    weights="torchvision's wide_resnet50_2-*.pth (BSD-3-Clause; trained on ImageNet, whose pictures are for research)",
    error="ImageNet validation, top 1: 21.9 %",
)
CARDS = {
    "wide_resnet16_8": replace(CARD, parameters=10_961_370, error="CIFAR-10: 4.27 %"),
    "wide_resnet40_4": replace(CARD, parameters=8_949_210, error="CIFAR-10: 4.53 %"),
    "wide_resnet28_10": CARD,
    "wide_resnet50_2": IMAGENET,
    "wide_resnet101_2": replace(
        IMAGENET,
        parameters=126_886_696,
        paper_names=paper_names(BLOCKS[101]),
        weights=IMAGENET.weights.replace("50_2", "101_2"),
        error="none in the paper; torchvision's first weights, ImageNet validation, top 1: 21.15 %",
    ),
}


class WideBlock(nn.Module):
    """Two 3x3 convolutions, each after batch norm and ReLU, dropout before the second; the projection sees the activated input."""

    def __init__(self, channels: int, width: int, stride: int = 1, survival: float = 1.0, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.downsample = conv(channels, width, 1, stride) if stride > 1 or channels != width else None
        self.conv1 = conv(channels, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.dropout = nn.Dropout(dropout) if dropout else None
        self.conv2 = conv(width, width, 3)
        self.drop = drop_path(survival)
        self.add = Add()

    def forward(self, x: Tensor) -> Tensor:
        """Turn N C H W into N width ⌈H/stride⌉ ⌈W/stride⌉."""
        active = self.relu1(self.bn1(x))
        shortcut = x if self.downsample is None else self.downsample(active)
        change = self.relu2(self.bn2(self.conv1(active)))
        change = self.conv2(change if self.dropout is None else self.dropout(change))
        out: Tensor = self.add(change if self.drop is None else self.drop(change), shortcut)
        return out


def _wrn(depth: int, k: int, classes: int, shape: Shape, dropout: float, survival: float) -> nn.Module:
    if not 0 <= dropout < 1:
        raise ArgumentError(f"dropout: got {dropout!r}, expected the probability of a zero, from 0 up to 1")
    block, n = partial(WideBlock, dropout=dropout), (depth - 4) // 6
    return preactivated({"conv1": conv(shape[0], 16, 3)}, block, 16, (16 * k, 32 * k, 64 * k), [n] * 3, classes, survival)


@architecture(
    "wide_resnet16_8", help="CIFAR WRN-16-8: 16 layers, 8 times as wide", year=2016, parameters=10_961_370, smallest=4, card=CARDS["wide_resnet16_8"]
)
def wide_resnet16_8(classes: int, shape: Shape, *, dropout: float = 0.0, survival: float = 1.0) -> nn.Module:
    """Build WRN-16-8; `dropout` is the probability of a zero between a block's convolutions; `survival`: see zoo/residual.py."""
    return _wrn(16, 8, classes, shape, dropout, survival)


@architecture(
    "wide_resnet40_4", help="CIFAR WRN-40-4: 40 layers, 4 times as wide", year=2016, parameters=8_949_210, smallest=4, card=CARDS["wide_resnet40_4"]
)
def wide_resnet40_4(classes: int, shape: Shape, *, dropout: float = 0.0, survival: float = 1.0) -> nn.Module:
    """Build WRN-40-4."""
    return _wrn(40, 4, classes, shape, dropout, survival)


@architecture(
    "wide_resnet28_10",
    help="CIFAR WRN-28-10: 28 layers, 10 times as wide",
    year=2016,
    parameters=36_479_194,
    smallest=4,
    card=CARDS["wide_resnet28_10"],
)
def wide_resnet28_10(classes: int, shape: Shape, *, dropout: float = 0.0, survival: float = 1.0) -> nn.Module:
    """Build WRN-28-10."""
    return _wrn(28, 10, classes, shape, dropout, survival)


@architecture(
    "wide_resnet50_2", help="ResNet-50 with its 3x3 twice as wide", year=2016, parameters=68_883_240, smallest=8, card=CARDS["wide_resnet50_2"]
)
def wide_resnet50_2(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", survival: float = 1.0) -> nn.Module:
    """Build WRN-50-2; `stem`, `survival`: see zoo/residual.py."""
    return imagenet(partial(Bottleneck, inner=1 / 2), 256, BLOCKS[50], classes, shape, stem, survival)


@architecture(
    "wide_resnet101_2", help="ResNet-101 with its 3x3 twice as wide", year=2016, parameters=126_886_696, smallest=8, card=CARDS["wide_resnet101_2"]
)
def wide_resnet101_2(
    classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", survival: float = 1.0
) -> nn.Module:
    """Build WRN-101-2."""
    return imagenet(partial(Bottleneck, inner=1 / 2), 256, BLOCKS[101], classes, shape, stem, survival)
