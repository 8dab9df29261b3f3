"""Residual networks for CIFAR. He, Zhang, Ren, Sun: Deep residual learning for image recognition, 2015, section 4.2.

    output       32x32     16x16     8x8       1x1
    filters      16        32        64        global average pool, linear
    layers       1 + 2n    2n        2n        1              6n + 2 in all

    network      n         parameters     error on CIFAR-10
    ResNet-20    3         269,722        8.75 %
    ResNet-32    5         464,154        7.51 %
    ResNet-44    7         658,586        7.17 %
    ResNet-56    9         853,018        6.97 %
    ResNet-110   18        1,727,962      6.43 % (best of five; mean 6.61)

Every shortcut is free of parameters (option A): where the shape changes it takes every second pixel and fills the new channels with zeros.
Deviations: none known. The paper does not say on which side the zero channels stand; here they come last.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from striate.core.contracts import Card
from striate.layers import PadShortcut
from striate.zoo.boxes import Network, conv, he_normal
from striate.zoo.papers import RESNET_CIFAR
from striate.zoo.registry import Shape, architecture
from striate.zoo.resnet import BasicBlock

CARD = Card(
    paper="He, Zhang, Ren, Sun: Deep residual learning for image recognition",
    year=2015,
    parameters=269_722,
    input=(3, 32, 32),
    classes=10,
    recipe=RESNET_CIFAR,
    cut_points=("relu", "layer1", "layer2", "layer3", "avgpool"),
    groups=(("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("fc",)),
    paper_names={"conv1": "conv1", "32x32": "layer1", "16x16": "layer2", "8x8": "layer3", "fc": "fc"},
    deviations="None known; the zero channels of the shortcuts come last. 164 epochs are the paper's 64,000 steps of 128 pictures.",
    error="CIFAR-10: 8.75 %",
)
CARDS = {
    20: CARD,
    32: replace(CARD, parameters=464_154, error="CIFAR-10: 7.51 %"),
    44: replace(CARD, parameters=658_586, error="CIFAR-10: 7.17 %"),
    56: replace(CARD, parameters=853_018, error="CIFAR-10: 6.97 %"),
    110: replace(
        CARD,
        parameters=1_727_962,
        recipe=RESNET_CIFAR.edited(name="resnet-cifar-110", warmup=400 / 64_000),
        deviations=CARD.deviations + " The paper starts ResNet-110 at a rate of 0.01 for about 400 steps; the recipe's rate rises over as many.",
        error="CIFAR-10: 6.43 % (best of five; mean 6.61)",
    ),
}


def _stage(channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    shortcut = PadShortcut(width - channels, stride) if stride > 1 else None
    first = BasicBlock(channels, width, stride, downsample=shortcut)
    return nn.Sequential(first, *(BasicBlock(width, width) for _ in range(blocks - 1)))


def _resnet(n: int, classes: int, shape: Shape) -> nn.Module:
    network = Network(
        {
            "conv1": conv(shape[0], 16, 3),
            "bn1": nn.BatchNorm2d(16),
            "relu": nn.ReLU(),
            "layer1": _stage(16, 16, n, 1),
            "layer2": _stage(16, 32, n, 2),
            "layer3": _stage(32, 64, n, 2),
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(64, classes),
        }
    )
    he_normal(network)
    return network


@architecture("resnet20", help="CIFAR ResNet of 20 layers, shortcut A", year=2015, parameters=269_722, smallest=4, card=CARDS[20])
def resnet20(classes: int, shape: Shape) -> nn.Module:
    """Build ResNet-20."""
    return _resnet(3, classes, shape)


@architecture("resnet32", help="CIFAR ResNet of 32 layers, shortcut A", year=2015, parameters=464_154, smallest=4, card=CARDS[32])
def resnet32(classes: int, shape: Shape) -> nn.Module:
    """Build ResNet-32."""
    return _resnet(5, classes, shape)


@architecture("resnet44", help="CIFAR ResNet of 44 layers, shortcut A", year=2015, parameters=658_586, smallest=4, card=CARDS[44])
def resnet44(classes: int, shape: Shape) -> nn.Module:
    """Build ResNet-44."""
    return _resnet(7, classes, shape)


@architecture("resnet56", help="CIFAR ResNet of 56 layers, shortcut A", year=2015, parameters=853_018, smallest=4, card=CARDS[56])
def resnet56(classes: int, shape: Shape) -> nn.Module:
    """Build ResNet-56."""
    return _resnet(9, classes, shape)


@architecture("resnet110", help="CIFAR ResNet of 110 layers, shortcut A", year=2015, parameters=1_727_962, smallest=4, card=CARDS[110])
def resnet110(classes: int, shape: Shape) -> nn.Module:
    """Build ResNet-110."""
    return _resnet(18, classes, shape)
