"""AlexNet. Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks, 2012.

    layer    output (227)   alexnet_2012 (the paper)      alexnet_227 (lectures)   alexnet (torchvision)
    conv1    55             96, 11x11 stride 4            96                       64, edged by 2
    norm     55             response normalisation        -                        -
    pool1    27             3x3 max, stride 2 (these overlap), in every form
    norm     27             -                             response normalisation   -
    conv2    27             256, 5x5, two groups          256                      192
    norm, pool2  13         norm, then pool               pool, then norm          pool
    conv3    13             384, 3x3                      384                      384
    conv4    13             384, 3x3, two groups          384                      256
    conv5    13             256, 3x3, two groups          256                      256
    pool5    6
    fc6-8                   256x6x6 -> 4096 -> 4096 -> 1000, dropout 0.5 before fc6 and fc7, in every form
    parameters              60,965,224                    62,378,344               61,100,840

The paper says 224 pixels, where 11x11 with stride 4 leaves a quarter over; its own sizes need 227. Deviations. alexnet_2012: two groups on one device
instead of two devices; weights and biases start as in the paper (deviation 0.01, biases of one where it has them). alexnet_227 is the usual table of
lectures: no groups, and pooling comes before normalisation. alexnet is the single tower of "One weird trick" (2014) with torchvision's parameter
names. Inputs up to 64 pixels get a small stem: conv1 is 3x3 with stride 1. fc6 sees the last maps as they are, so other sizes than 224 (227) give it
another shape; in alexnet larger maps are averaged to 6x6, as in torchvision.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import nn

from striate.core.contracts import Card
from striate.zoo.boxes import Network, he_normal
from striate.zoo.chains import Stem, gaussian, linear_head, map_size, normalise, paper_head, small_stem
from striate.zoo.papers import ALEXNET_IMAGENET
from striate.zoo.registry import Shape, architecture

TOWER = Card(
    paper="Krizhevsky: One weird trick for parallelizing convolutional neural networks",
    year=2014,
    parameters=61_100_840,
    input=(3, 224, 224),
    classes=1000,
    recipe=ALEXNET_IMAGENET,
    cut_points=("features.2", "features.5", "features.7", "features.9", "features.12", "classifier.2", "classifier.5"),
    groups=(("features.0", "features.3"), ("features.6", "features.8", "features.10"), ("classifier.1", "classifier.4"), ("classifier.6",)),
    paper_names={f"conv{layer}": f"features.{number}" for layer, number in enumerate((0, 3, 6, 8, 10), 1)}
    | {f"relu{layer}": f"features.{number}" for layer, number in enumerate((1, 4, 7, 9, 11), 1)}
    | {"pool1": "features.2", "pool2": "features.5", "pool5": "features.12"}
    | {"fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"},
    deviations="A single tower of 64-192-384-256-256 maps without response normalisation (torchvision's form). "
    "Up to 64 pixels a small stem: 3x3, stride 1. The recipe is that of 2012.",
    weights="torchvision's alexnet-*.pth (BSD-3-Clause; trained on ImageNet, whose pictures are for research)",
    error="ImageNet validation, top 1, one crop, torchvision's weights: 43.48 %",
)

PAPER = replace(
    TOWER,
    paper="Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks",
    year=2012,
    parameters=60_965_224,
    input=(3, 227, 227),
    cut_points=("pool1", "pool2", "relu3", "relu4", "pool5", "relu6", "relu7"),
    groups=(("conv1", "conv2"), ("conv3", "conv4", "conv5"), ("fc6", "fc7"), ("fc8",)),
    paper_names={f"{'conv' if layer < 6 else 'fc'}{layer}": f"{'conv' if layer < 6 else 'fc'}{layer}" for layer in range(1, 9)},
    deviations="Two groups on one device. 227 pixels, which its sizes need, for the 224 it names. Up to 64 pixels a small stem: 3x3, stride 1.",
    weights="",
    error="ImageNet validation (2012), top 1 / top 5, one net: 40.7 / 18.2 %",
)

LECTURES = replace(
    PAPER,
    parameters=62_378_344,
    deviations="The table of lectures: no groups, pooling before response normalisation, 227 pixels. Up to 64 pixels a small stem: 3x3, stride 1.",
)


@architecture("alexnet", help="AlexNet as torchvision has it: one tower, no normalisation", year=2014, parameters=61_100_840, smallest=15, card=TOWER)
def alexnet(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto", dropout: float = 0.5) -> nn.Module:
    """Build the single tower; `stem` auto takes the small one up to 64 pixels."""
    small = small_stem("alexnet", stem, shape, smallest=63)
    boxes = [
        *(nn.Conv2d(shape[0], 64, 3, padding=1) if small else nn.Conv2d(shape[0], 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
    ]
    features = Network({str(number): box for number, box in enumerate(boxes)})
    height, width = (min(6, side) for side in map_size(features, *shape[1:]))
    network = Network(
        {
            "features": features,
            "avgpool": nn.AdaptiveAvgPool2d((height, width)),
            "flatten": nn.Flatten(),
            "classifier": linear_head(256 * height * width, classes, dropout=dropout),
        }
    )
    he_normal(network, "fan_in")
    gaussian(network)
    return network


@architecture(
    "alexnet_2012",
    help="AlexNet as published: two groups, response normalisation, overlapping pools",
    year=2012,
    parameters=60_965_224,
    smallest=15,
    card=PAPER,
)
def alexnet_2012(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto", dropout: float = 0.5) -> nn.Module:
    """Build the paper's two groups; `stem` auto takes the small one up to 64 pixels."""
    features = (
        {"conv1": _stem("alexnet_2012", stem, shape), "relu1": nn.ReLU(), "norm1": normalise(), "pool1": nn.MaxPool2d(3, 2)}
        | {"conv2": nn.Conv2d(96, 256, 5, padding=2, groups=2), "relu2": nn.ReLU(), "norm2": normalise(), "pool2": nn.MaxPool2d(3, 2)}
        | _last_three(groups=2)
    )
    network = _with_head(features, classes, shape, dropout)
    for name, layer in network.named_children():
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
            nn.init.normal_(layer.weight, 0, 0.01)
            nn.init.constant_(layer.bias, float(name in ("conv2", "conv4", "conv5", "fc6", "fc7")))  # section 5 of the paper
    return network


@architecture(
    "alexnet_227",
    help="AlexNet as in lectures: the 227 table, no groups, pool then norm",
    year=2012,
    parameters=62_378_344,
    smallest=15,
    card=LECTURES,
)
def alexnet_227(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto", dropout: float = 0.5) -> nn.Module:
    """Build the lectures' table; `stem` auto takes the small one up to 64 pixels."""
    features = (
        {"conv1": _stem("alexnet_227", stem, shape), "relu1": nn.ReLU(), "pool1": nn.MaxPool2d(3, 2), "norm1": normalise()}
        | {"conv2": nn.Conv2d(96, 256, 5, padding=2), "relu2": nn.ReLU(), "pool2": nn.MaxPool2d(3, 2), "norm2": normalise()}
        | _last_three(groups=1)
    )
    network = _with_head(features, classes, shape, dropout)
    he_normal(network, "fan_in")
    gaussian(network)
    return network


def _stem(name: str, stem: Stem, shape: Shape) -> nn.Conv2d:
    if small_stem(name, stem, shape, smallest=67):
        return nn.Conv2d(shape[0], 96, 3, padding=1)
    return nn.Conv2d(shape[0], 96, 11, 4)


def _last_three(*, groups: int) -> dict[str, nn.Module]:
    return (
        {"conv3": nn.Conv2d(256, 384, 3, padding=1), "relu3": nn.ReLU()}
        | {"conv4": nn.Conv2d(384, 384, 3, padding=1, groups=groups), "relu4": nn.ReLU()}
        | {"conv5": nn.Conv2d(384, 256, 3, padding=1, groups=groups), "relu5": nn.ReLU(), "pool5": nn.MaxPool2d(3, 2)}
    )


def _with_head(features: dict[str, nn.Module], classes: int, shape: Shape, dropout: float) -> Network:
    height, width = map_size(Network(features), *shape[1:])
    return Network({**features, **paper_head(256 * height * width, classes, dropout)})
