"""Residual networks for ImageNet. He, Zhang, Ren, Sun: Deep residual learning for image recognition, 2015.

Table 1 of the paper (18 and 34 layers; two 3x3 convolutions make a block):

    stage     output    18 layers            34 layers
    conv1     112       7x7, 64, stride 2
    conv2_x   56        3x3 max pool, stride 2
                        [3x3, 64]x2   x2     [3x3, 64]x2   x3
    conv3_x   28        [3x3, 128]x2  x2     [3x3, 128]x2  x4
    conv4_x   14        [3x3, 256]x2  x2     [3x3, 256]x2  x6
    conv5_x   7         [3x3, 512]x2  x2     [3x3, 512]x2  x3
              1         global average pool, 1000-way linear
    parameters          11,689,512           21,797,672

Parameter names are torchvision's. Deviations: none at 224 pixels; where the shape changes the shortcut is a 1x1 convolution (option B), as in the
paper's ImageNet models. Inputs up to 64 pixels get a small stem: a 3x3 convolution with stride 1 and no max pool, so that the last stage still sees
a neighbourhood. `stem` chooses by hand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import Tensor, nn

from striate.core.contracts import Card
from striate.layers import Add
from striate.zoo.boxes import Network, conv, he_normal
from striate.zoo.papers import RESNET_IMAGENET
from striate.zoo.registry import Shape, architecture

Stem = Literal["auto", "imagenet", "small"]

BLOCKS = {  # conv2_x, conv3_x, conv4_x, conv5_x
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
}
WIDTHS = (64, 128, 256, 512)

CARD = Card(
    paper="He, Zhang, Ren, Sun: Deep residual learning for image recognition",
    year=2015,
    parameters=11_689_512,
    input=(3, 224, 224),
    classes=1000,
    recipe=RESNET_IMAGENET,
    cut_points=("relu", "layer1", "layer2", "layer3", "layer4", "avgpool"),
    groups=(("conv1", "bn1", "layer1"), ("layer2",), ("layer3",), ("layer4",), ("fc",)),
    paper_names={"conv1": "conv1", "conv2_x": "layer1", "conv3_x": "layer2", "conv4_x": "layer3", "conv5_x": "layer4", "fc": "fc"},
    deviations="None at 224 pixels. Up to 64 pixels a small stem: 3x3, stride 1, no max pool. "
    "The recipe's crops (scale 256-480, crop 224, colour) are left to the data; "
    "the paper divides the rate when the error stands still, here at fixed shares of 120 epochs.",
    weights="torchvision's resnet18-*.pth (BSD-3-Clause; trained on ImageNet, whose pictures are for research)",
    error="ImageNet validation, top 1, ten crops: 27.88 %",
)
CARDS = {
    "resnet18": CARD,
    "resnet34": replace(
        CARD, parameters=21_797_672, weights=CARD.weights.replace("resnet18", "resnet34"), error="ImageNet validation, top 1, ten crops: 25.03 %"
    ),
}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: relu2(bn2(conv2(relu1(bn1(conv1(x))))) + downsample(x)).

    `downsample` makes the shortcut fit where the shape changes; None is the identity.
    """

    def __init__(self, channels: int, width: int, stride: int = 1, *, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = conv(channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample
        self.add = Add()
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Turn N C H W into N width ⌈H/stride⌉ ⌈W/stride⌉."""
        change = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        shortcut = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu2(self.add(change, shortcut))
        return out


def stage(channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    """Stack `blocks` basic blocks; the first has the stride, and a 1x1 projection in its shortcut where the shape changes (option B)."""
    projection = None
    if stride > 1 or channels != width:
        projection = nn.Sequential(conv(channels, width, 1, stride), nn.BatchNorm2d(width))
    first = BasicBlock(channels, width, stride, downsample=projection)
    return nn.Sequential(first, *(BasicBlock(width, width) for _ in range(blocks - 1)))


def _resnet(blocks: tuple[int, int, int, int], classes: int, shape: Shape, stem: Stem) -> nn.Module:
    small = stem == "small" or (stem == "auto" and min(shape[1:]) <= 64)
    network = Network(
        {
            "conv1": conv(shape[0], 64, 3) if small else conv(shape[0], 64, 7, 2),
            "bn1": nn.BatchNorm2d(64),
            "relu": nn.ReLU(),
            "maxpool": None if small else nn.MaxPool2d(3, 2, 1),
            "layer1": stage(64, WIDTHS[0], blocks[0], 1),
            "layer2": stage(WIDTHS[0], WIDTHS[1], blocks[1], 2),
            "layer3": stage(WIDTHS[1], WIDTHS[2], blocks[2], 2),
            "layer4": stage(WIDTHS[2], WIDTHS[3], blocks[3], 2),
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(WIDTHS[3], classes),
        }
    )
    he_normal(network)
    return network


@architecture("resnet18", help="ResNet of 18 layers, basic blocks", year=2015, parameters=11_689_512, smallest=8, card=CARDS["resnet18"])
def resnet18(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto") -> nn.Module:
    """Build ResNet-18; `stem` auto takes the small one up to 64 pixels."""
    return _resnet(BLOCKS["resnet18"], classes, shape, stem)


@architecture("resnet34", help="ResNet of 34 layers, basic blocks", year=2015, parameters=21_797_672, smallest=8, card=CARDS["resnet34"])
def resnet34(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto") -> nn.Module:
    """Build ResNet-34; `stem` auto takes the small one up to 64 pixels."""
    return _resnet(BLOCKS["resnet34"], classes, shape, stem)
