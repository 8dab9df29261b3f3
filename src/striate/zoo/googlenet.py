"""GoogLeNet. Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich: Going deeper with convolutions, 2014.

Table 1 of the paper; a module lays four columns beside each other (#... reduce is the 1x1 before a 3x3 or 5x5, proj the 1x1 after the pool):

    layer         output      #1x1  #3x3 red.  #3x3  #5x5 red.  #5x5  proj
    conv1         112x112x64  7x7, stride 2; then 3x3 max pool, stride 2
    conv2, conv3  56x56x192   1x1 to 64, 3x3 to 192; then 3x3 max pool, stride 2
    3a            28x28x256   64    96         128   16         32    32
    3b            28x28x480   128   128        192   32         96    64       3x3 max pool, stride 2
    4a            14x14x512   192   96         208   16         48    64       auxiliary head 1
    4b            14x14x512   160   112        224   24         64    64
    4c            14x14x512   128   128        256   24         64    64
    4d            14x14x528   112   144        288   32         64    64       auxiliary head 2
    4e            14x14x832   256   160        320   32         128   128      max pool, stride 2
    5a            7x7x832     256   160        320   32         128   128
    5b            7x7x1024    384   192        384   48         128   128      global average pool, dropout, linear

    form                 parameters   with its two auxiliary heads
    googlenet_2014       6,998,552    13,378,280    the paper's: 5x5, biases, local response normalisation
    googlenet            6,624,904    13,004,888    torchvision's: batch norm, 3x3 in the place of 5x5, no response normalisation

Parameter names are torchvision's. In training the network returns (logits, logits of head 1, logits of head 2), and task `classify` counts the heads
with 0.3 as the paper does; in evaluation they do not run. Deviations of googlenet_2014: weights start from He's normal distribution by fan-in (the
paper does not say its own). Deviations of both: smaller inputs get a stem of less stride, `stem_for` in boxes.py: up to 96 pixels without the first
pool, up to 48 with a first convolution of 3x3 and stride 1 too; where the paper's 5x5 pool of an auxiliary head does not give 4x4 places, it averages
to 4x4 all the same.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal, Protocol

from torch import nn

from striate.core.contracts import Card
from striate.zoo.boxes import Aside, Branches, Network, Stem, conv, fits, he_normal, stem_for
from striate.zoo.papers import GOOGLENET_IMAGENET
from striate.zoo.registry import Shape, architecture

MODULES = ("inception3a", "inception3b", "inception4a", "inception4b", "inception4c", "inception4d", "inception4e", "inception5a", "inception5b")

CARD = Card(
    paper="Szegedy and others: Going deeper with convolutions",
    year=2014,
    parameters=13_004_888,
    input=(3, 224, 224),
    classes=1000,
    recipe=GOOGLENET_IMAGENET,
    cut_points=("conv1", "conv3", *MODULES, "avgpool"),
    groups=(
        ("conv1", "conv2", "conv3"),
        ("inception3a", "inception3b"),
        ("inception4a", "aux1", "inception4b", "inception4c", "inception4d", "aux2", "inception4e"),
        ("inception5a", "inception5b"),
        ("fc",),
    ),
    paper_names={f"inception ({name[-2:]})": name for name in MODULES}
    | {"conv1": "conv1", "conv2": "conv3", "softmax0": "aux1", "softmax1": "aux2", "softmax2": "fc"},
    deviations="torchvision's form, not the paper's (that is googlenet_2014): batch norm, 3x3 where the paper has 5x5, no response normalisation. "
    "6,624,904 parameters without the two auxiliary heads, which run in training only. Up to 96 pixels the stem has less stride. "
    "The recipe's length, batch and first rate are those of the public replications; the paper gives the schedule alone.",
    weights="torchvision's googlenet-*.pth (BSD-3-Clause; trained on ImageNet, whose pictures are for research): "
    "for inputs scaled to [-1, 1]; their auxiliary heads are untrained",
    error="ImageNet validation, top 5, the paper's form: 10.07 % with one crop; 6.67 % for seven nets and 144 crops",
)
HISTORIC = replace(
    CARD,
    parameters=13_378_280,
    deviations="6,998,552 parameters without the two auxiliary heads, which run in training only. Weights start from He's normal distribution. "
    "Up to 96 pixels the stem has less stride. " + CARD.deviations[CARD.deviations.index("The recipe's") :],
    weights="None published for torch.",
)


class Unit(Protocol):
    """How a form spells one convolution with its ReLU."""

    def __call__(self, channels: int, width: int, kernel: int, stride: int = 1) -> Network:
        """Return the boxes."""


def unit(channels: int, width: int, kernel: int, stride: int = 1, *, norm: bool = True) -> Network:
    """Return convolution and ReLU, with batch norm between them, or with biases where there is none."""
    bn = nn.BatchNorm2d(width, eps=0.001) if norm else None
    return Network({"conv": conv(channels, width, kernel, stride, bias=not norm), "bn": bn, "relu": nn.ReLU()})


def inception(
    channels: int, one: int, reduce3: int, three: int, reduce5: int, five: int, project: int, *, unit: Unit = unit, kernel: int = 3
) -> Branches:
    """Return one module from a row of table 1; `kernel` is that of the third column, 5 in the paper."""
    return Branches(
        {"branch1": unit(channels, one, 1)},
        {"branch2": nn.Sequential(unit(channels, reduce3, 1), unit(reduce3, three, 3))},
        {"branch3": nn.Sequential(unit(channels, reduce5, 1), unit(reduce5, five, kernel))},
        {"branch4": nn.Sequential(nn.MaxPool2d(3, 1, 1), unit(channels, project, 1))},
    )


def auxiliary_head(channels: int, classes: int, pool: nn.Module, unit: Unit) -> Aside:
    """Return an auxiliary classifier: average pool to 4x4, 1x1 convolution to 128, linear to 1024, dropout 0.7, linear."""
    return Aside(
        {
            "avgpool": pool,
            "conv": unit(channels, 128, 1),
            "flatten": nn.Flatten(),
            "fc1": nn.Linear(128 * 4 * 4, 1024),
            "relu": nn.ReLU(),
            "dropout": nn.Dropout(0.7),
            "fc2": nn.Linear(1024, classes),
        }
    )


def _googlenet(classes: int, shape: Shape, stem: Stem, *, paper: bool, auxiliary: bool) -> nn.Module:
    stem = stem_for(shape, stem)
    name, least = ("googlenet_2014", (31, 15, 8)) if paper else ("googlenet", (15, 7, 4))  # the paper's fourth pool is a window wider
    fits(name, shape, dict(zip(("imagenet", "medium", "small"), least, strict=True))[stem], f"stem {stem}")
    cell: Unit = partial(unit, norm=not paper)
    module = partial(inception, unit=cell, kernel=5 if paper else 3)
    as_printed = paper and stem == "imagenet" and shape[1:] == (224, 224)

    def head(channels: int) -> Aside | None:
        pool = nn.AvgPool2d(5, 3) if as_printed else nn.AdaptiveAvgPool2d(4)
        return auxiliary_head(channels, classes, pool, cell) if auxiliary else None

    def normalise() -> nn.Module | None:
        return nn.LocalResponseNorm(5) if paper else None

    network = Network(
        {
            "conv1": cell(shape[0], 64, 3) if stem == "small" else cell(shape[0], 64, 7, 2),
            "maxpool1": nn.MaxPool2d(3, 2, ceil_mode=True) if stem == "imagenet" else None,
            "norm1": normalise(),
            "conv2": cell(64, 64, 1),
            "conv3": cell(64, 192, 3),
            "norm2": normalise(),
            "maxpool2": nn.MaxPool2d(3, 2, ceil_mode=True),
            "inception3a": module(192, 64, 96, 128, 16, 32, 32),
            "inception3b": module(256, 128, 128, 192, 32, 96, 64),
            "maxpool3": nn.MaxPool2d(3, 2, ceil_mode=True),
            "inception4a": module(480, 192, 96, 208, 16, 48, 64),
            "aux1": head(512),
            "inception4b": module(512, 160, 112, 224, 24, 64, 64),
            "inception4c": module(512, 128, 128, 256, 24, 64, 64),
            "inception4d": module(512, 112, 144, 288, 32, 64, 64),
            "aux2": head(528),
            "inception4e": module(528, 256, 160, 320, 32, 128, 128),
            "maxpool4": nn.MaxPool2d(3 if paper else 2, 2, ceil_mode=True),
            "inception5a": module(832, 256, 160, 320, 32, 128, 128),
            "inception5b": module(832, 384, 192, 384, 48, 128, 128),
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "dropout": nn.Dropout(0.4 if paper else 0.2),
            "fc": nn.Linear(1024, classes),
        }
    )
    he_normal(network, "fan_in")
    return network


@architecture("googlenet", help="GoogLeNet with batch norm, torchvision's form", year=2014, parameters=13_004_888, smallest=4, card=CARD)
def googlenet(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", auxiliary: bool = True) -> nn.Module:
    """Build GoogLeNet as torchvision has it; `auxiliary` adds the two heads that run in training."""
    return _googlenet(classes, shape, stem, paper=False, auxiliary=auxiliary)


@architecture("googlenet_2014", help="GoogLeNet as published: 5x5, biases", year=2014, parameters=13_378_280, smallest=8, card=HISTORIC)
def googlenet_2014(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", auxiliary: bool = True) -> nn.Module:
    """Build GoogLeNet as the paper has it; `auxiliary` adds the two heads that run in training."""
    return _googlenet(classes, shape, stem, paper=True, auxiliary=auxiliary)
