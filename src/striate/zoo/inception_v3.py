"""Inception-v3. Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the inception architecture for computer vision, 2015.

Table 1 of the paper, as its authors published it (and torchvision took it over):

    layer               kernel / stride       output
    Conv2d_1a           3x3 / 2               149x149x32
    Conv2d_2a           3x3 / 1               147x147x32
    Conv2d_2b           3x3 / 1, padded       147x147x64    3x3 max pool, stride 2
    Conv2d_3b           1x1 / 1               73x73x80
    Conv2d_4a           3x3 / 1               71x71x192     3x3 max pool, stride 2
    Mixed_5b 5c 5d      figure 5              35x35x288     1x1 | 1x1 5x5 | 1x1 3x3 3x3 | pool 1x1
    Mixed_6a            figure 10, stride 2   17x17x768     3x3 | 1x1 3x3 3x3 | pool
    Mixed_6b 6c 6d 6e   figure 6, n = 7       17x17x768     1x1 | 1x1 1x7 7x1 | 1x1 7x1 1x7 7x1 1x7 | pool 1x1
    Mixed_7a            stride 2              8x8x1280      1x1 3x3 | 1x1 1x7 7x1 3x3 | pool
    Mixed_7b 7c         figure 7              8x8x2048      1x1 | 1x1, 1x3 and 3x1 | 1x1 3x3, 1x3 and 3x1 | pool 1x1
                        8x8 average pool, dropout, linear
    parameters          23,834,568; with the auxiliary head behind Mixed_6e 27,161,264

Parameter names are torchvision's. In training the network returns (logits, auxiliary logits); task `classify` counts the head with 0.3.
Deviations: of the published form from the paper's table, 5x5 in Mixed_5 and a 1x1 in Conv2d_3b; of ours, weights start from He's normal distribution
by fan-in, and smaller inputs get a stem of less stride (`stem_for` in boxes.py): up to 96 pixels without the first pool, up to 48 with stride 1 in
Conv2d_1a too, both padded throughout; maps under 17x17 are averaged to the auxiliary head's 5x5.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from striate.core.contracts import Card
from striate.zoo.boxes import Aside, Branches, Network, Stem, fits, he_normal, stem_for
from striate.zoo.papers import INCEPTION_IMAGENET
from striate.zoo.registry import Shape, architecture

STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
MIXED_5, MIXED_6, MIXED_7 = (tuple(f"Mixed_{stage}{letter}" for letter in letters) for stage, letters in ((5, "bcd"), (6, "abcde"), (7, "abc")))

CARD = Card(
    paper="Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the inception architecture for computer vision",
    year=2015,
    parameters=27_161_264,
    input=(3, 299, 299),
    classes=1000,
    recipe=INCEPTION_IMAGENET,
    cut_points=("Conv2d_2b_3x3", "Conv2d_4a_3x3", *MIXED_5, *MIXED_6, *MIXED_7, "avgpool"),
    groups=(STEM, MIXED_5, (*MIXED_6, "AuxLogits"), MIXED_7, ("fc",)),
    paper_names={"35x35": "Mixed_5d", "17x17": "Mixed_6e", "8x8": "Mixed_7c", "auxiliary": "AuxLogits", "logits": "fc"},
    deviations="The published form, which differs from the paper's table 1 in the stem and in Mixed_5. "
    "23,834,568 parameters without the auxiliary head, which runs in training only. Up to 96 pixels the stem has less stride and is padded. "
    "The recipe's 50 replicas of 32 pictures are one batch of 1,600 here.",
    weights="torchvision's inception_v3_google-*.pth (BSD-3-Clause; trained on ImageNet, whose pictures are for research): "
    "for inputs scaled to [-1, 1]",
    error="ImageNet validation, top 1, one crop: 21.2 %",
)


def unit(channels: int, width: int, kernel: int | tuple[int, int], stride: int = 1, *, edge: bool | None = None) -> Network:
    """Return convolution, batch norm and ReLU; with stride 1 padded to keep the size, with stride 2 not, unless `edge` says so."""
    tall, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
    padded = stride == 1 if edge is None else edge
    filters = nn.Conv2d(channels, width, (tall, wide), stride, (tall // 2, wide // 2) if padded else 0, bias=False)
    return Network({"conv": filters, "bn": nn.BatchNorm2d(width, eps=0.001), "relu": nn.ReLU()})


def _mixed_5(channels: int, pool: int) -> Branches:
    return Branches(
        {"branch1x1": unit(channels, 64, 1)},
        {"branch5x5_1": unit(channels, 48, 1), "branch5x5_2": unit(48, 64, 5)},
        {"branch3x3dbl_1": unit(channels, 64, 1), "branch3x3dbl_2": unit(64, 96, 3), "branch3x3dbl_3": unit(96, 96, 3)},
        {"pool": nn.AvgPool2d(3, 1, 1), "branch_pool": unit(channels, pool, 1)},
    )


def _mixed_6a(channels: int) -> Branches:
    return Branches(
        {"branch3x3": unit(channels, 384, 3, 2)},
        {"branch3x3dbl_1": unit(channels, 64, 1), "branch3x3dbl_2": unit(64, 96, 3), "branch3x3dbl_3": unit(96, 96, 3, 2)},
        {"pool": nn.MaxPool2d(3, 2)},
    )


def _mixed_6(channels: int, seven: int) -> Branches:
    return Branches(
        {"branch1x1": unit(channels, 192, 1)},
        {"branch7x7_1": unit(channels, seven, 1), "branch7x7_2": unit(seven, seven, (1, 7)), "branch7x7_3": unit(seven, 192, (7, 1))},
        {
            "branch7x7dbl_1": unit(channels, seven, 1),
            "branch7x7dbl_2": unit(seven, seven, (7, 1)),
            "branch7x7dbl_3": unit(seven, seven, (1, 7)),
            "branch7x7dbl_4": unit(seven, seven, (7, 1)),
            "branch7x7dbl_5": unit(seven, 192, (1, 7)),
        },
        {"pool": nn.AvgPool2d(3, 1, 1), "branch_pool": unit(channels, 192, 1)},
    )


def _mixed_7a(channels: int) -> Branches:
    return Branches(
        {"branch3x3_1": unit(channels, 192, 1), "branch3x3_2": unit(192, 320, 3, 2)},
        {
            "branch7x7x3_1": unit(channels, 192, 1),
            "branch7x7x3_2": unit(192, 192, (1, 7)),
            "branch7x7x3_3": unit(192, 192, (7, 1)),
            "branch7x7x3_4": unit(192, 192, 3, 2),
        },
        {"pool": nn.MaxPool2d(3, 2)},
    )


def _mixed_7(channels: int) -> Branches:
    return Branches(
        {"branch1x1": unit(channels, 320, 1)},
        {
            "branch3x3_1": unit(channels, 384, 1),
            "branch3x3_2": [{"branch3x3_2a": unit(384, 384, (1, 3))}, {"branch3x3_2b": unit(384, 384, (3, 1))}],
        },
        {
            "branch3x3dbl_1": unit(channels, 448, 1),
            "branch3x3dbl_2": unit(448, 384, 3),
            "branch3x3dbl_3": [{"branch3x3dbl_3a": unit(384, 384, (1, 3))}, {"branch3x3dbl_3b": unit(384, 384, (3, 1))}],
        },
        {"pool": nn.AvgPool2d(3, 1, 1), "branch_pool": unit(channels, 192, 1)},
    )


def _auxiliary(classes: int, shape: Shape, stem: Stem) -> Aside:
    """Return the head behind Mixed_6e: pool to 5x5 and above, 1x1 to 128, 5x5 to 768, average, linear."""
    side = min(shape[1:])
    for window in {"imagenet": (3, 0, 3, 0, 3, 3), "medium": (3, 3, 3), "small": (3, 3)}[stem]:  # strided 3x3 windows; 0 is an unpadded 3x3, stride 1
        side = (side - 3) // 2 + 1 if window else side - 2
    return Aside(
        {
            "pool": nn.AvgPool2d(5, 3) if side >= 17 else nn.AdaptiveAvgPool2d(5),
            "conv0": unit(768, 128, 1),
            "conv1": unit(128, 768, 5, edge=False),
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(768, classes),
        }
    )


@architecture("inception_v3", help="Inception-v3, 299x299", year=2015, parameters=27_161_264, smallest=15, card=CARD)
def inception_v3(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", auxiliary: bool = True) -> nn.Module:
    """Build Inception-v3; `auxiliary` adds the head that runs in training."""
    stem = stem_for(shape, stem)
    fits("inception_v3", shape, {"imagenet": 75, "medium": 31}.get(stem, 15), f"stem {stem}")
    edge = stem != "imagenet"
    network = Network(
        {
            "Conv2d_1a_3x3": unit(shape[0], 32, 3) if stem == "small" else unit(shape[0], 32, 3, 2),
            "Conv2d_2a_3x3": unit(32, 32, 3, edge=edge),
            "Conv2d_2b_3x3": unit(32, 64, 3),
            "maxpool1": nn.MaxPool2d(3, 2) if stem == "imagenet" else None,
            "Conv2d_3b_1x1": unit(64, 80, 1),
            "Conv2d_4a_3x3": unit(80, 192, 3, edge=edge),
            "maxpool2": nn.MaxPool2d(3, 2),
            "Mixed_5b": _mixed_5(192, 32),
            "Mixed_5c": _mixed_5(256, 64),
            "Mixed_5d": _mixed_5(288, 64),
            "Mixed_6a": _mixed_6a(288),
            "Mixed_6b": _mixed_6(768, 128),
            "Mixed_6c": _mixed_6(768, 160),
            "Mixed_6d": _mixed_6(768, 160),
            "Mixed_6e": _mixed_6(768, 192),
            "AuxLogits": _auxiliary(classes, shape, stem) if auxiliary else None,
            "Mixed_7a": _mixed_7a(768),
            "Mixed_7b": _mixed_7(1280),
            "Mixed_7c": _mixed_7(2048),
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "dropout": nn.Dropout(0.5),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(2048, classes),
        }
    )
    he_normal(network, "fan_in")
    return network
