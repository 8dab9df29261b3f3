"""DenseNet for CIFAR. Huang, Liu, van der Maaten, Weinberger: Densely connected convolutional networks, 2017, sections 3 and 4.

A 3x3 convolution, then three dense blocks of equal length at 32, 16 and 8 pixels. In BC networks every layer has a bottleneck and transitions keep
half of the channels; the plain ones have neither:

    network     layers a block   k    first   parameters    error on CIFAR-10, augmented
    40-12       12               12   16      1,019,722     5.24 %
    100-12      32               12   16      6,979,642     4.10 %
    BC-100-12   16               12   24      769,162       4.51 %
    BC-250-24   41               24   48      15,324,406    3.62 %
    BC-190-40   31               40   80      25,624,430    3.46 %

Blocks, transitions, `dropout` (0.2 in the paper without augmentation) and `checkpoint` are those of densenet.py. Deviations: none known.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from striate.core.contracts import Card
from striate.zoo.boxes import conv
from striate.zoo.densenet import Table, card_of, densenet
from striate.zoo.papers import DENSENET_CIFAR
from striate.zoo.registry import Shape, architecture

TABLES = {
    "densenet_40_12": Table((12, 12, 12), 12, 16, bc=False),
    "densenet_100_12": Table((32, 32, 32), 12, 16, bc=False),
    "densenet_bc_100_12": Table((16, 16, 16), 12, 24),
    "densenet_bc_250_24": Table((41, 41, 41), 24, 48),
    "densenet_bc_190_40": Table((31, 31, 31), 40, 80),
}


def _card(name: str, parameters: int, error: str) -> Card:
    common = card_of(TABLES[name], parameters, f"CIFAR-10: {error}")
    return replace(common, input=(3, 32, 32), classes=10, recipe=DENSENET_CIFAR, deviations="None known.", weights="")


CARDS = {
    "densenet_40_12": _card("densenet_40_12", 1_019_722, "5.24 %"),
    "densenet_100_12": _card("densenet_100_12", 6_979_642, "4.10 %"),
    "densenet_bc_100_12": _card("densenet_bc_100_12", 769_162, "4.51 %"),
    "densenet_bc_250_24": _card("densenet_bc_250_24", 15_324_406, "3.62 %"),
    "densenet_bc_190_40": _card("densenet_bc_190_40", 25_624_430, "3.46 %"),
}


def _cifar(name: str, classes: int, shape: Shape, *, dropout: float, checkpoint: bool) -> nn.Module:
    table = TABLES[name]
    return densenet(table, {"conv0": conv(shape[0], table.first, 3)}, classes, dropout=dropout, checkpoint=checkpoint)


@architecture(
    "densenet_40_12", help="CIFAR DenseNet of 40 layers, growth 12", year=2017, parameters=1_019_722, smallest=4, card=CARDS["densenet_40_12"]
)
def densenet_40_12(classes: int, shape: Shape, *, dropout: float = 0.0, checkpoint: bool = False) -> nn.Module:
    """Build DenseNet-40-12."""
    return _cifar("densenet_40_12", classes, shape, dropout=dropout, checkpoint=checkpoint)


@architecture(
    "densenet_100_12", help="CIFAR DenseNet of 100 layers, growth 12", year=2017, parameters=6_979_642, smallest=4, card=CARDS["densenet_100_12"]
)
def densenet_100_12(classes: int, shape: Shape, *, dropout: float = 0.0, checkpoint: bool = False) -> nn.Module:
    """Build DenseNet-100-12."""
    return _cifar("densenet_100_12", classes, shape, dropout=dropout, checkpoint=checkpoint)


@architecture(
    "densenet_bc_100_12",
    help="CIFAR DenseNet-BC of 100 layers, growth 12",
    year=2017,
    parameters=769_162,
    smallest=4,
    card=CARDS["densenet_bc_100_12"],
)
def densenet_bc_100_12(classes: int, shape: Shape, *, dropout: float = 0.0, checkpoint: bool = False) -> nn.Module:
    """Build DenseNet-BC-100-12."""
    return _cifar("densenet_bc_100_12", classes, shape, dropout=dropout, checkpoint=checkpoint)


@architecture(
    "densenet_bc_250_24",
    help="CIFAR DenseNet-BC of 250 layers, growth 24",
    year=2017,
    parameters=15_324_406,
    smallest=4,
    card=CARDS["densenet_bc_250_24"],
)
def densenet_bc_250_24(classes: int, shape: Shape, *, dropout: float = 0.0, checkpoint: bool = False) -> nn.Module:
    """Build DenseNet-BC-250-24."""
    return _cifar("densenet_bc_250_24", classes, shape, dropout=dropout, checkpoint=checkpoint)


@architecture(
    "densenet_bc_190_40",
    help="CIFAR DenseNet-BC of 190 layers, growth 40",
    year=2017,
    parameters=25_624_430,
    smallest=4,
    card=CARDS["densenet_bc_190_40"],
)
def densenet_bc_190_40(classes: int, shape: Shape, *, dropout: float = 0.0, checkpoint: bool = False) -> nn.Module:
    """Build DenseNet-BC-190-40."""
    return _cifar("densenet_bc_190_40", classes, shape, dropout=dropout, checkpoint=checkpoint)
