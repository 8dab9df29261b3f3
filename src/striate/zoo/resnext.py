"""ResNeXt. Xie, Girshick, Dollár, Tu, He: Aggregated residual transformations for deep neural networks, 2016.

A bottleneck whose 3x3 is parted into C groups (the cardinality) of d channels each in the first stage, twice as many in each further one.

    network              blocks a stage   first stage's block, out 256             parameters    GMACs   error
    ResNeXt-50 32x4d     3, 4, 6, 3       [1x1, 128; 3x3, 128, C=32; 1x1, 256]     25,028,904    4.23    22.2 %
    ResNeXt-101 32x4d    3, 4, 23, 3      [1x1, 128; 3x3, 128, C=32; 1x1, 256]     44,177,704    7.97    21.2 %
    ResNeXt-101 32x8d    3, 4, 23, 3      [1x1, 256; 3x3, 256, C=32; 1x1, 256]     88,791,336    16.41
    ResNeXt-101 64x4d    3, 4, 23, 3      [1x1, 256; 3x3, 256, C=64; 1x1, 256]     83,455,272    15.46   20.4 %
    ResNeXt-29 8x64d     3, 3, 3 (CIFAR)  [1x1, 512; 3x3, 512, C=8; 1x1, 256]      34,426,698            3.65 %
    ResNeXt-29 16x64d    3, 3, 3 (CIFAR)  [1x1, 1024; 3x3, 1024, C=16; 1x1, 256]   68,155,210            3.58 %

Errors: ImageNet validation, top 1, one 224 crop; CIFAR-10. The form is the paper's (c), grouped convolutions; parameter names are torchvision's. The
stride is in the 3x3, as in the authors' code.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

from torch import nn

from striate.zoo.papers import RESNEXT_CIFAR, RESNEXT_IMAGENET
from striate.zoo.registry import Shape, architecture
from striate.zoo.residual import Bottleneck, cifar, imagenet, paper_names
from striate.zoo.resnet import BLOCKS
from striate.zoo.resnet import CARD as RESNET
from striate.zoo.resnet_cifar import CARD as RESNET_CIFAR

CARD = replace(
    RESNET,
    paper="Xie, Girshick, Dollár, Tu, He: Aggregated residual transformations for deep neural networks",
    year=2016,
    parameters=25_028_904,
    recipe=RESNEXT_IMAGENET,
    paper_names=paper_names(BLOCKS[50]),
    deviations="None from 97 pixels on. From 49 to 96 pixels the stem does not pool, up to 48 it is a 3x3 convolution of stride 1.",
    weights="torchvision's resnext50_32x4d-*.pth (BSD-3-Clause; trained on ImageNet, whose pictures are for research)",
    error="ImageNet validation, top 1: 22.2 %",
)
DEEP = replace(CARD, paper_names=paper_names(BLOCKS[101]))
SMALL = replace(
    RESNET_CIFAR,
    paper=CARD.paper,
    year=2016,
    parameters=34_426_698,
    recipe=RESNEXT_CIFAR,
    deviations="None known. The first convolution has 64 maps as in the authors' code.",
    error="CIFAR-10: 3.65 %",
)
CARDS = {
    "resnext50_32x4d": CARD,
    "resnext101_32x4d": replace(DEEP, parameters=44_177_704, weights="timm's resnext101_32x4d files", error="ImageNet validation, top 1: 21.2 %"),
    "resnext101_32x8d": replace(
        DEEP,
        parameters=88_791_336,
        weights=CARD.weights.replace("resnext50_32x4d", "resnext101_32x8d"),
        error="none in the paper; torchvision's first weights, ImageNet validation, top 1: 20.69 %",
    ),
    "resnext101_64x4d": replace(
        DEEP,
        parameters=83_455_272,
        weights=CARD.weights.replace("resnext50_32x4d", "resnext101_64x4d"),
        error="ImageNet validation, top 1: 20.4 %",
    ),
    "resnext29_8x64d": SMALL,
    "resnext29_16x64d": replace(SMALL, parameters=68_155_210, error="CIFAR-10: 3.58 %"),
}


@architecture(
    "resnext50_32x4d", help="ResNeXt-50, 32 groups of 4 channels", year=2016, parameters=25_028_904, smallest=8, card=CARDS["resnext50_32x4d"]
)
def resnext50_32x4d(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", survival: float = 1.0) -> nn.Module:
    """Build ResNeXt-50 32x4d; `stem`, `survival`: see zoo/residual.py."""
    return imagenet(partial(Bottleneck, inner=1 / 2, groups=32), 256, BLOCKS[50], classes, shape, stem, survival)


@architecture(
    "resnext101_32x4d", help="ResNeXt-101, 32 groups of 4 channels", year=2016, parameters=44_177_704, smallest=8, card=CARDS["resnext101_32x4d"]
)
def resnext101_32x4d(
    classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", survival: float = 1.0
) -> nn.Module:
    """Build ResNeXt-101 32x4d."""
    return imagenet(partial(Bottleneck, inner=1 / 2, groups=32), 256, BLOCKS[101], classes, shape, stem, survival)


@architecture(
    "resnext101_32x8d", help="ResNeXt-101, 32 groups of 8 channels", year=2016, parameters=88_791_336, smallest=8, card=CARDS["resnext101_32x8d"]
)
def resnext101_32x8d(
    classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", survival: float = 1.0
) -> nn.Module:
    """Build ResNeXt-101 32x8d."""
    return imagenet(partial(Bottleneck, inner=1, groups=32), 256, BLOCKS[101], classes, shape, stem, survival)


@architecture(
    "resnext101_64x4d", help="ResNeXt-101, 64 groups of 4 channels", year=2016, parameters=83_455_272, smallest=8, card=CARDS["resnext101_64x4d"]
)
def resnext101_64x4d(
    classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", survival: float = 1.0
) -> nn.Module:
    """Build ResNeXt-101 64x4d."""
    return imagenet(partial(Bottleneck, inner=1, groups=64), 256, BLOCKS[101], classes, shape, stem, survival)


@architecture(
    "resnext29_8x64d", help="CIFAR ResNeXt-29, 8 groups of 64 channels", year=2016, parameters=34_426_698, smallest=4, card=CARDS["resnext29_8x64d"]
)
def resnext29_8x64d(classes: int, shape: Shape, *, survival: float = 1.0) -> nn.Module:
    """Build ResNeXt-29 8x64d; `survival`: see zoo/residual.py."""
    return cifar(partial(Bottleneck, inner=2, groups=8), 64, 256, 3, classes, shape, survival)


@architecture(
    "resnext29_16x64d",
    help="CIFAR ResNeXt-29, 16 groups of 64 channels",
    year=2016,
    parameters=68_155_210,
    smallest=4,
    card=CARDS["resnext29_16x64d"],
)
def resnext29_16x64d(classes: int, shape: Shape, *, survival: float = 1.0) -> nn.Module:
    """Build ResNeXt-29 16x64d."""
    return cifar(partial(Bottleneck, inner=4, groups=16), 64, 256, 3, classes, shape, survival)
