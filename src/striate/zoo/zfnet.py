"""ZFNet. Zeiler, Fergus: Visualizing and understanding convolutional networks, 2013. AlexNet with a finer first layer, found by looking into it.

    layer    output (224)   zfnet                        zfnet_wide (table 2: "our model, layers 3, 4, 5: 512, 1024, 512 maps")
    conv1    110            96, 7x7 stride 2, edged by 1
    pool1    55             3x3 max, stride 2, then response normalisation
    conv2    26             256, 5x5 stride 2
    pool2    13             3x3 max, stride 2, then response normalisation
    conv3    13             384, 3x3                     512
    conv4    13             384, 3x3                     1024
    conv5    13             256, 3x3                     512
    pool5    6              3x3 max, stride 2
    fc6-8                   -> 4096 -> 4096 -> 1000, dropout 0.5 before fc6 and fc7
    parameters              62,357,608                   107,627,624

Figure 3 of the paper. Deviations: the sizes 110-55-26-13-6 need pools that round up, which the paper does not say; contrast is normalised across
maps as AlexNet does it. Weights start from deviation 0.01 in the paper, here from He's normal distribution (linear layers 0.01). The paper keeps
first-layer filters within a radius of 0.1 while training; no recipe here does. Inputs up to 64 pixels get a small stem: conv1 is 3x3 and conv2 5x5,
both with stride 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import nn

from striate.core.contracts import Card
from striate.zoo.boxes import Network, he_normal
from striate.zoo.chains import Stem, gaussian, map_size, normalise, paper_head, small_stem
from striate.zoo.papers import ALEXNET_IMAGENET
from striate.zoo.registry import Shape, architecture

CARD = Card(
    paper="Zeiler, Fergus: Visualizing and understanding convolutional networks",
    year=2013,
    parameters=62_357_608,
    input=(3, 224, 224),
    classes=1000,
    recipe=ALEXNET_IMAGENET.edited(name="zfnet", epochs=70.0),
    cut_points=("norm1", "norm2", "relu3", "relu4", "pool5", "relu6", "relu7"),
    groups=(("conv1", "conv2"), ("conv3", "conv4", "conv5"), ("fc6", "fc7"), ("fc8",)),
    paper_names={
        "layer 1": "norm1",
        "layer 2": "norm2",
        "layer 3": "relu3",
        "layer 4": "relu4",
        "layer 5": "pool5",
        "layer 6": "relu6",
        "layer 7": "relu7",
    },
    deviations="Pools round up, which the paper's sizes need. First-layer filters are not kept within a radius. "
    "Up to 64 pixels a small stem: 3x3 and 5x5 with stride 1.",
    error="ImageNet validation (2012), top 1 / top 5, one net: 38.4 / 16.5 %",
)
WIDE = replace(CARD, parameters=107_627_624, error="ImageNet validation (2012), top 1 / top 5, one net: 37.5 / 16.0 %")


@architecture("zfnet", help="ZFNet: AlexNet with a finer first layer", year=2013, parameters=62_357_608, smallest=12, card=CARD)
def zfnet(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto", dropout: float = 0.5) -> nn.Module:
    """Build ZFNet; `stem` auto takes the small one up to 64 pixels."""
    return _zfnet("zfnet", (384, 384, 256), classes, shape, stem, dropout)


@architecture("zfnet_wide", help="ZFNet with 512, 1024, 512 maps in layers 3 to 5", year=2013, parameters=107_627_624, smallest=12, card=WIDE)
def zfnet_wide(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto", dropout: float = 0.5) -> nn.Module:
    """Build the wider ZFNet; `stem` auto takes the small one up to 64 pixels."""
    return _zfnet("zfnet_wide", (512, 1024, 512), classes, shape, stem, dropout)


def _zfnet(name: str, widths: tuple[int, int, int], classes: int, shape: Shape, stem: Stem, dropout: float) -> nn.Module:
    small = small_stem(name, stem, shape, smallest=63)
    first = nn.Conv2d(shape[0], 96, 3, padding=1) if small else nn.Conv2d(shape[0], 96, 7, 2, 1)
    second = nn.Conv2d(96, 256, 5, padding=2) if small else nn.Conv2d(96, 256, 5, 2)
    third, fourth, fifth = widths
    features = (
        {"conv1": first, "relu1": nn.ReLU(), "pool1": nn.MaxPool2d(3, 2, ceil_mode=True), "norm1": normalise()}
        | {"conv2": second, "relu2": nn.ReLU(), "pool2": nn.MaxPool2d(3, 2, ceil_mode=True), "norm2": normalise()}
        | {"conv3": nn.Conv2d(256, third, 3, padding=1), "relu3": nn.ReLU()}
        | {"conv4": nn.Conv2d(third, fourth, 3, padding=1), "relu4": nn.ReLU()}
        | {"conv5": nn.Conv2d(fourth, fifth, 3, padding=1), "relu5": nn.ReLU(), "pool5": nn.MaxPool2d(3, 2)}
    )
    height, width = map_size(Network(features), *shape[1:])
    network = Network({**features, **paper_head(fifth * height * width, classes, dropout)})
    he_normal(network, "fan_in")
    gaussian(network)
    return network
