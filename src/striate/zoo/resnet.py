"""Residual networks for ImageNet. He, Zhang, Ren, Sun: Deep residual learning for image recognition, 2015.

Table 1 of the paper, blocks a stage:

    stage     output   18, 34: basic blocks            50, 101, 152: bottlenecks
    conv1     112      7x7, 64, stride 2
    conv2_x   56       3x3 max pool, stride 2
                       [3x3, 64; 3x3, 64]     x2, x3   [1x1, 64; 3x3, 64; 1x1, 256]      x3, x3, x3
    conv3_x   28       [3x3, 128; 3x3, 128]   x2, x4   [1x1, 128; 3x3, 128; 1x1, 512]    x4, x4, x8
    conv4_x   14       [3x3, 256; 3x3, 256]   x2, x6   [1x1, 256; 3x3, 256; 1x1, 1024]   x6, x23, x36
    conv5_x   7        [3x3, 512; 3x3, 512]   x2, x3   [1x1, 512; 3x3, 512; 1x1, 2048]   x3, x3, x3
              1        global average pool, 1000-way linear

    network   parameters    GMACs              error                  plain net   error
    18        11,689,512    1.814              27.88 % (A)            18          27.94 %
    34        21,797,672    3.664              24.52 % (A: 25.03)     34          28.54 %
    50        25,557,032    4.089, v1 3.858    22.85 %
    101       44,549,160    7.801              21.75 %
    152       60,192,808    11.514             21.43 %                (ImageNet validation, top 1, ten crops)

Two forms of the bottleneck: the paper's (`resnet50_v1`) has a stage's stride in its first 1x1, v1.5 (`resnet50`, torchvision's and everybody's
since 2016) in the 3x3, a little better and 6 % dearer. Their parameters have the same names and shapes, so weights of one load into the other
and compute the wrong thing: the cards say which file fits which. The plain nets have no shortcuts. Parameter names are torchvision's.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

from torch import nn

from striate.core.contracts import Card
from striate.zoo.papers import RESNET_IMAGENET
from striate.zoo.registry import Shape, architecture
from striate.zoo.residual import BasicBlock, Block, Bottleneck, imagenet, paper_names, plain_block

BLOCKS = {  # conv2_x, conv3_x, conv4_x, conv5_x
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
V1: Block = partial(Bottleneck, early=True)

CARD = Card(
    paper="He, Zhang, Ren, Sun: Deep residual learning for image recognition",
    year=2015,
    parameters=11_689_512,
    input=(3, 224, 224),
    classes=1000,
    recipe=RESNET_IMAGENET,
    cut_points=("relu", "layer1", "layer2", "layer3", "layer4", "avgpool"),
    groups=(("conv1", "bn1", "layer1"), ("layer2",), ("layer3",), ("layer4",), ("fc",)),
    paper_names=paper_names(BLOCKS[18]),
    deviations="None from 97 pixels on. From 49 to 96 pixels the stem does not pool, up to 48 it is a 3x3 convolution of stride 1. "
    "The recipe's crops (scale 256-480, crop 224, colour) are left to the data; "
    "the paper divides the rate when the error stands still, here at fixed shares of 120 epochs.",
    weights="torchvision's resnet18-*.pth (BSD-3-Clause; trained on ImageNet, whose pictures are for research)",
    error="ImageNet validation, top 1, ten crops: 27.88 % (with shortcut A)",
)


def _card(depth: int, parameters: int, error: str) -> Card:
    files = CARD.weights.replace("resnet18", f"resnet{depth}")
    top1 = f"ImageNet validation, top 1, ten crops: {error}"
    return replace(CARD, parameters=parameters, paper_names=paper_names(BLOCKS[depth]), weights=files, error=top1)


def _v15(card: Card) -> Card:
    form = "Stride in the 3x3 instead of the first 1x1 (v1.5), as all published torchvision files have it. "
    return replace(card, deviations=form + card.deviations, error=card.error + " (v1)")


def _v1(card: Card, depth: int) -> Card:
    files = (
        f"Files of the paper's own form, stride in the first 1x1, under torchvision's names (such as resnet{depth}_v1.safetensors, converted from "
        f"Caffe's or Keras's). torchvision's resnet{depth}-*.pth load too but belong to resnet{depth} and compute the wrong thing here"
    )
    return replace(card, weights=files)


CARDS = {
    "resnet18": CARD,
    "resnet34": _card(34, 21_797_672, "24.52 % (25.03 % with shortcut A)"),
    "resnet50_v1": _v1(_card(50, 25_557_032, "22.85 %"), 50),
    "resnet101_v1": _v1(_card(101, 44_549_160, "21.75 %"), 101),
    "resnet152_v1": _v1(_card(152, 60_192_808, "21.43 %"), 152),
    "resnet50": _v15(_card(50, 25_557_032, "22.85 %")),
    "resnet101": _v15(_card(101, 44_549_160, "21.75 %")),
    "resnet152": _v15(_card(152, 60_192_808, "21.43 %")),
    "plain18": replace(_card(18, 11_515_688, "27.94 %"), weights=""),
    "plain34": replace(_card(34, 21_623_848, "28.54 %"), weights=""),
}


@architecture("resnet18", help="ResNet of 18 layers, basic blocks", year=2015, parameters=11_689_512, smallest=8, card=CARDS["resnet18"])
def resnet18(
    classes: int,
    shape: Shape,
    *,
    stem: Literal["auto", "imagenet", "medium", "small"] = "auto",
    shortcut: Literal["A", "B"] = "B",
    survival: float = 1.0,
) -> nn.Module:
    """Build ResNet-18; `stem`, `survival`: see zoo/residual.py; `shortcut`: zero channels (A) or 1x1 convolutions (B)."""
    return imagenet(partial(BasicBlock, shortcut=shortcut), 64, BLOCKS[18], classes, shape, stem, survival)


@architecture("resnet34", help="ResNet of 34 layers, basic blocks", year=2015, parameters=21_797_672, smallest=8, card=CARDS["resnet34"])
def resnet34(
    classes: int,
    shape: Shape,
    *,
    stem: Literal["auto", "imagenet", "medium", "small"] = "auto",
    shortcut: Literal["A", "B"] = "B",
    survival: float = 1.0,
) -> nn.Module:
    """Build ResNet-34."""
    return imagenet(partial(BasicBlock, shortcut=shortcut), 64, BLOCKS[34], classes, shape, stem, survival)


@architecture("resnet50", help="ResNet of 50 layers, v1.5: stride in the 3x3", year=2015, parameters=25_557_032, smallest=8, card=CARDS["resnet50"])
def resnet50(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", survival: float = 1.0) -> nn.Module:
    """Build ResNet-50, v1.5."""
    return imagenet(Bottleneck, 256, BLOCKS[50], classes, shape, stem, survival)


@architecture("resnet101", help="ResNet of 101 layers, v1.5", year=2015, parameters=44_549_160, smallest=8, card=CARDS["resnet101"])
def resnet101(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", survival: float = 1.0) -> nn.Module:
    """Build ResNet-101, v1.5."""
    return imagenet(Bottleneck, 256, BLOCKS[101], classes, shape, stem, survival)


@architecture("resnet152", help="ResNet of 152 layers, v1.5", year=2015, parameters=60_192_808, smallest=8, card=CARDS["resnet152"])
def resnet152(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", survival: float = 1.0) -> nn.Module:
    """Build ResNet-152, v1.5."""
    return imagenet(Bottleneck, 256, BLOCKS[152], classes, shape, stem, survival)


@architecture(
    "resnet50_v1", help="ResNet-50 as published: stride in the first 1x1", year=2015, parameters=25_557_032, smallest=8, card=CARDS["resnet50_v1"]
)
def resnet50_v1(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", survival: float = 1.0) -> nn.Module:
    """Build ResNet-50 of the paper."""
    return imagenet(V1, 256, BLOCKS[50], classes, shape, stem, survival)


@architecture("resnet101_v1", help="ResNet-101 as published", year=2015, parameters=44_549_160, smallest=8, card=CARDS["resnet101_v1"])
def resnet101_v1(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", survival: float = 1.0) -> nn.Module:
    """Build ResNet-101 of the paper."""
    return imagenet(V1, 256, BLOCKS[101], classes, shape, stem, survival)


@architecture("resnet152_v1", help="ResNet-152 as published", year=2015, parameters=60_192_808, smallest=8, card=CARDS["resnet152_v1"])
def resnet152_v1(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", survival: float = 1.0) -> nn.Module:
    """Build ResNet-152 of the paper."""
    return imagenet(V1, 256, BLOCKS[152], classes, shape, stem, survival)


@architecture("plain18", help="ResNet-18 without its shortcuts", year=2015, parameters=11_515_688, smallest=8, card=CARDS["plain18"])
def plain18(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto") -> nn.Module:
    """Build the plain net of 18 layers."""
    return imagenet(plain_block, 64, BLOCKS[18], classes, shape, stem)


@architecture("plain34", help="ResNet-34 without its shortcuts", year=2015, parameters=21_623_848, smallest=8, card=CARDS["plain34"])
def plain34(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto") -> nn.Module:
    """Build the plain net of 34 layers."""
    return imagenet(plain_block, 64, BLOCKS[34], classes, shape, stem)
