"""SqueezeNet. Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer: AlexNet-level accuracy with 50x fewer parameters and < 0.5 MB model size, 2016.

Table 1 of the paper (1.0), and the authors' later 1.1 with 2.4 times fewer multiply-adds. A fire module squeezes to `s` channels by 1x1, then lays as
many channels (`e`) of 1x1 and of 3x3 convolutions beside each other:

    SqueezeNet 1.0               output    SqueezeNet 1.1               output
    conv1   7x7, 96, stride 2    109       conv1   3x3, 64, stride 2    111
    3x3 max pool, stride 2       54        3x3 max pool, stride 2       55
    fire2   s 16, e 64+64                  fire2   s 16, e 64+64
    fire3   s 16, e 64+64                  fire3   s 16, e 64+64
    fire4   s 32, e 128+128                3x3 max pool, stride 2       27
    3x3 max pool, stride 2       27        fire4   s 32, e 128+128
    fire5   s 32, e 128+128                fire5   s 32, e 128+128
    fire6   s 48, e 192+192                3x3 max pool, stride 2       13
    fire7   s 48, e 192+192                fire6   s 48, e 192+192
    fire8   s 64, e 256+256                fire7   s 48, e 192+192
    3x3 max pool, stride 2       13        fire8   s 64, e 256+256
    fire9   s 64, e 256+256                fire9   s 64, e 256+256
    dropout 0.5, conv10 1x1 to the classes, ReLU, global average pool
    parameters  1,248,424                  1,235,496

Parameter names are torchvision's. Deviations: none at 224 pixels; the paper's own table says 224 and counts with 227 (111, 55, 27, 13).
Up to 48 pixels conv1 is a padded 3x3 with stride 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import nn

from striate.core.contracts import Card
from striate.zoo.boxes import Branches, Network, Stem, fits, he_normal, stem_for
from striate.zoo.papers import SQUEEZENET_IMAGENET
from striate.zoo.registry import Shape, architecture

Row = tuple[int, int] | Literal["relu", "pool"]
TABLES: dict[str, tuple[Row, ...]] = {  # conv1 (width, kernel); then fire modules (s, e)
    "squeezenet1_0": (
        *((96, 7), "relu", "pool"),
        *((16, 64), (16, 64), (32, 128), "pool"),
        *((32, 128), (48, 192), (48, 192), (64, 256), "pool"),
        (64, 256),
    ),
    "squeezenet1_1": (
        *((64, 3), "relu", "pool"),
        *((16, 64), (16, 64), "pool"),
        *((32, 128), (32, 128), "pool"),
        *((48, 192), (48, 192), (64, 256), (64, 256)),
    ),
}

CARD = Card(
    paper="Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer: SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and < 0.5 MB model size",
    year=2016,
    parameters=1_248_424,
    input=(3, 224, 224),
    classes=1000,
    recipe=SQUEEZENET_IMAGENET,
    deviations="None at 224 pixels. Up to 48 pixels the first convolution is a padded 3x3 with stride 1.",
    weights="torchvision's squeezenet1_0-*.pth (BSD-3-Clause; trained on ImageNet, whose pictures are for research)",
    error="ImageNet validation, top 1: 42.5 %, top 5: 19.7 %",
)


def _card(name: str, parameters: int) -> Card:
    """Return the card of one version, its modules named as the paper counts them: fire2 to fire9 are the pairs of numbers after conv1."""
    fires = [f"features.{at}" for at, row in enumerate(TABLES[name]) if at and not isinstance(row, str)]
    return replace(
        CARD,
        parameters=parameters,
        cut_points=("features.1", *fires, "classifier.2"),
        groups=(("features.0", *fires[:2]), tuple(fires[2:4]), tuple(fires[4:]), ("classifier.1",)),
        paper_names={"conv1": "features.0", **{f"fire{number}": path for number, path in enumerate(fires, 2)}, "conv10": "classifier.1"},
        weights=CARD.weights.replace("squeezenet1_0", name),
    )


CARDS = {"squeezenet1_0": _card("squeezenet1_0", 1_248_424), "squeezenet1_1": _card("squeezenet1_1", 1_235_496)}


def fire(channels: int, squeeze: int, expand: int) -> Branches:
    """Return a fire module: `channels` -> `squeeze` -> twice `expand`."""
    one = {"expand1x1": nn.Conv2d(squeeze, expand, 1), "expand1x1_activation": nn.ReLU()}
    three = {"expand3x3": nn.Conv2d(squeeze, expand, 3, padding=1), "expand3x3_activation": nn.ReLU()}
    return Branches({"squeeze": nn.Conv2d(channels, squeeze, 1), "squeeze_activation": nn.ReLU(), "expand": [one, three]})


def _features(table: tuple[Row, ...], channels: int, *, small: bool) -> Network:
    boxes: dict[str, nn.Module] = {}
    for number, row in enumerate(table):
        if isinstance(row, str):
            box: nn.Module = nn.ReLU() if row == "relu" else nn.MaxPool2d(3, 2, ceil_mode=True)
        elif number == 0:
            width, kernel = row
            box = nn.Conv2d(channels, width, 3, padding=1) if small else nn.Conv2d(channels, width, kernel, 2)
            channels = width
        else:
            squeeze, expand = row
            box = fire(channels, squeeze, expand)
            channels = 2 * expand
        boxes[str(number)] = box
    return Network(boxes)


def _squeezenet(name: str, classes: int, shape: Shape, stem: Stem) -> nn.Module:
    small = stem_for(shape, stem) == "small"
    if not small:
        fits(name, shape, 21 if name == "squeezenet1_0" else 17, "the imagenet stem")
    conv10 = nn.Conv2d(512, classes, 1)
    network = Network(
        {
            "features": _features(TABLES[name], shape[0], small=small),
            "classifier": nn.Sequential(nn.Dropout(0.5), conv10, nn.ReLU(), nn.AdaptiveAvgPool2d(1)),
            "flatten": nn.Flatten(),
        }
    )
    he_normal(network, "fan_in")
    nn.init.normal_(conv10.weight, std=0.01)
    return network


@architecture("squeezenet1_0", help="SqueezeNet 1.0, the paper's", year=2016, parameters=1_248_424, smallest=8, card=CARDS["squeezenet1_0"])
def squeezenet1_0(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto") -> nn.Module:
    """Build SqueezeNet 1.0."""
    return _squeezenet("squeezenet1_0", classes, shape, stem)


@architecture(
    "squeezenet1_1", help="SqueezeNet 1.1, 2.4 times fewer multiply-adds", year=2016, parameters=1_235_496, smallest=8, card=CARDS["squeezenet1_1"]
)
def squeezenet1_1(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto") -> nn.Module:
    """Build SqueezeNet 1.1."""
    return _squeezenet("squeezenet1_1", classes, shape, stem)
