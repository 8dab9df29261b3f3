"""VGG. Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition, 2014.

Table 1 of the paper, columns A, B, D and E: 3x3 convolutions with stride 1 and one pixel of padding, 2x2 max pools between the stages.

    stage      output   11 (A)      13 (B)      16 (D)      19 (E)
    conv1      224      64          64 64       64 64       64 64
    conv2      112      128         128 128     128 128     128 128
    conv3      56       256 256     256 256     256 x3      256 x4
    conv4      28       512 512     512 512     512 x3      512 x4
    conv5      14       512 512     512 512     512 x3      512 x4
    fc                  7x7x512 -> 4096 -> 4096 -> 1000, dropout 0.5
    millions            132.9       133.0       138.4       143.7

The forms `_bn` put batch norm between convolution and ReLU, as torchvision and most later work do. Parameter names are torchvision's.
Deviations: weights start from He's normal distribution (linear layers from deviation 0.01) where the paper starts deep nets from shallow ones.
Inputs under 32 pixels leave out the first pool (`stem` small), since five halvings would leave nothing. The first linear layer sees the last maps
as they are: other inputs than 224 pixels give it another size (larger ones are averaged to 7x7, as torchvision does).
"""

from __future__ import annotations

from itertools import count
from typing import Literal

from torch import nn

from striate.core.contracts import Card
from striate.zoo.boxes import Network, conv, he_normal
from striate.zoo.chains import Stem, gaussian, linear_head, map_size, small_stem
from striate.zoo.papers import VGG_IMAGENET
from striate.zoo.registry import Shape, architecture

STAGES = {  # the filters of each convolution, stage by stage
    "vgg11": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "vgg13": ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    "vgg16": ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
    "vgg19": ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}


def _features(name: str, channels: int, *, norm: bool, small: bool) -> Network:
    """Stack the stages; every box has the number torchvision gives it, whether or not the first pool is there."""
    boxes: dict[str, nn.Module | None] = {}
    number = count()
    for stage, widths in enumerate(STAGES[name], 1):
        for width in widths:
            boxes[str(next(number))] = conv(channels, width, 3, bias=True)
            if norm:
                boxes[str(next(number))] = nn.BatchNorm2d(width)
            boxes[str(next(number))] = nn.ReLU()
            channels = width
        boxes[str(next(number))] = None if small and stage == 1 else nn.MaxPool2d(2)
    return Network(boxes)


def _vgg(name: str, classes: int, shape: Shape, stem: Stem, dropout: float, *, norm: bool) -> nn.Module:
    small = small_stem(name, stem, shape, limit=31, smallest=32)
    features = _features(name, shape[0], norm=norm, small=small)
    height, width = (min(7, side) for side in map_size(features, *shape[1:]))
    network = Network(
        {
            "features": features,
            "avgpool": nn.AdaptiveAvgPool2d((height, width)),
            "flatten": nn.Flatten(),
            "classifier": linear_head(512 * height * width, classes, dropout=dropout, first=False),
        }
    )
    he_normal(network)
    gaussian(network)
    return network


def _card(name: str, parameters: int, error: str, *, norm: bool = False) -> Card:
    """Number the boxes by the table: conv3_2, relu3_2 and pool3 are the paper's words for them."""
    number = count()
    names: dict[str, str] = {}
    stages: list[tuple[str, ...]] = []
    for stage, widths in enumerate(STAGES[name], 1):
        convs = []
        for place in range(1, len(widths) + 1):
            convs.append(f"features.{next(number)}")
            names[f"conv{stage}_{place}"] = convs[-1]
            if norm:
                convs.append(f"features.{next(number)}")
                names[f"bn{stage}_{place}"] = convs[-1]
            names[f"relu{stage}_{place}"] = f"features.{next(number)}"
        names[f"pool{stage}"] = f"features.{next(number)}"
        stages.append(tuple(convs))
    names |= {"fc6": "classifier.0", "fc7": "classifier.3", "fc8": "classifier.6"}
    kind = "_bn" if norm else ""
    return Card(
        paper="Simonyan, Zisserman: Very deep convolutional networks for large-scale image recognition",
        year=2014,
        parameters=parameters,
        input=(3, 224, 224),
        classes=1000,
        recipe=VGG_IMAGENET,
        cut_points=(*(names[f"pool{stage}"] for stage in range(2, 6)), "classifier.1", "classifier.4"),
        groups=(*stages, ("classifier.0", "classifier.3"), ("classifier.6",)),
        paper_names=names,
        deviations=("Batch norm after every convolution. " if norm else "")
        + "He's initial weights for the paper's growing from shallower nets. Under 32 pixels without the first pool, pool1.",
        weights=f"torchvision's {name}{kind}-*.pth (BSD-3-Clause; trained on ImageNet, whose pictures are for research)",
        error=error,
    )


PAPER = "ImageNet validation, top 1, the paper's best single scale: "
VISION = "ImageNet validation, top 1, one crop, torchvision's weights: "
CARDS = {
    "vgg11": _card("vgg11", 132_863_336, f"{PAPER}29.6 %"),
    "vgg13": _card("vgg13", 133_047_848, f"{PAPER}28.7 %"),
    "vgg16": _card("vgg16", 138_357_544, f"{PAPER}25.6 %"),
    "vgg19": _card("vgg19", 143_667_240, f"{PAPER}25.5 %"),
    "vgg11_bn": _card("vgg11", 132_868_840, f"{VISION}29.63 %", norm=True),
    "vgg13_bn": _card("vgg13", 133_053_736, f"{VISION}28.41 %", norm=True),
    "vgg16_bn": _card("vgg16", 138_365_992, f"{VISION}26.64 %", norm=True),
    "vgg19_bn": _card("vgg19", 143_678_248, f"{VISION}25.78 %", norm=True),
}


@architecture("vgg11", help="VGG of 11 layers, the paper's column A", year=2014, parameters=132_863_336, smallest=16, card=CARDS["vgg11"])
def vgg11(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto", dropout: float = 0.5) -> nn.Module:
    """Build VGG-11; `stem` small leaves out the first pool, auto does so under 32 pixels."""
    return _vgg("vgg11", classes, shape, stem, dropout, norm=False)


@architecture("vgg13", help="VGG of 13 layers, the paper's column B", year=2014, parameters=133_047_848, smallest=16, card=CARDS["vgg13"])
def vgg13(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto", dropout: float = 0.5) -> nn.Module:
    """Build VGG-13; `stem` small leaves out the first pool, auto does so under 32 pixels."""
    return _vgg("vgg13", classes, shape, stem, dropout, norm=False)


@architecture("vgg16", help="VGG of 16 layers, the paper's column D", year=2014, parameters=138_357_544, smallest=16, card=CARDS["vgg16"])
def vgg16(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto", dropout: float = 0.5) -> nn.Module:
    """Build VGG-16; `stem` small leaves out the first pool, auto does so under 32 pixels."""
    return _vgg("vgg16", classes, shape, stem, dropout, norm=False)


@architecture("vgg19", help="VGG of 19 layers, the paper's column E", year=2014, parameters=143_667_240, smallest=16, card=CARDS["vgg19"])
def vgg19(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto", dropout: float = 0.5) -> nn.Module:
    """Build VGG-19; `stem` small leaves out the first pool, auto does so under 32 pixels."""
    return _vgg("vgg19", classes, shape, stem, dropout, norm=False)


@architecture("vgg11_bn", help="VGG of 11 layers with batch norm", year=2014, parameters=132_868_840, smallest=16, card=CARDS["vgg11_bn"])
def vgg11_bn(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto", dropout: float = 0.5) -> nn.Module:
    """Build VGG-11 with batch norm; `stem` small leaves out the first pool, auto does so under 32 pixels."""
    return _vgg("vgg11", classes, shape, stem, dropout, norm=True)


@architecture("vgg13_bn", help="VGG of 13 layers with batch norm", year=2014, parameters=133_053_736, smallest=16, card=CARDS["vgg13_bn"])
def vgg13_bn(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto", dropout: float = 0.5) -> nn.Module:
    """Build VGG-13 with batch norm; `stem` small leaves out the first pool, auto does so under 32 pixels."""
    return _vgg("vgg13", classes, shape, stem, dropout, norm=True)


@architecture("vgg16_bn", help="VGG of 16 layers with batch norm", year=2014, parameters=138_365_992, smallest=16, card=CARDS["vgg16_bn"])
def vgg16_bn(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto", dropout: float = 0.5) -> nn.Module:
    """Build VGG-16 with batch norm; `stem` small leaves out the first pool, auto does so under 32 pixels."""
    return _vgg("vgg16", classes, shape, stem, dropout, norm=True)


@architecture("vgg19_bn", help="VGG of 19 layers with batch norm", year=2014, parameters=143_678_248, smallest=16, card=CARDS["vgg19_bn"])
def vgg19_bn(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto", dropout: float = 0.5) -> nn.Module:
    """Build VGG-19 with batch norm; `stem` small leaves out the first pool, auto does so under 32 pixels."""
    return _vgg("vgg19", classes, shape, stem, dropout, norm=True)
