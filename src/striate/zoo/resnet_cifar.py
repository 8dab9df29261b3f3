"""Residual networks for CIFAR. He, Zhang, Ren, Sun: Deep residual learning for image recognition, 2015, section 4.2.

    output       32x32     16x16     8x8       1x1
    filters      16        32        64        global average pool, linear
    layers       1 + 2n    2n        2n        1              6n + 2 in all

    network      n         parameters     error on CIFAR-10
    ResNet-20    3         269,722        8.75 %
    ResNet-32    5         464,154        7.51 %
    ResNet-44    7         658,586        7.17 %
    ResNet-56    9         853,018        6.97 %
    ResNet-110   18        1,727,962      6.43 % (best of five; mean 6.61)    stochastic depth 5.25 %
    ResNet-1202  200       19,421,274     7.93 %                              stochastic depth 4.91 %

Every shortcut is free of parameters (option A): where the shape changes it takes every second pixel and fills the new channels with zeros. `shortcut`
B puts a 1x1 convolution there, 2,752 parameters more. The plain nets beside them have no shortcuts and the parameters of option A.
Deviations: none known. The paper does not say on which side the zero channels stand; here they come last.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

from torch import nn

from striate.core.contracts import Card
from striate.zoo.papers import RESNET_CIFAR
from striate.zoo.registry import Shape, architecture
from striate.zoo.residual import BasicBlock, cifar, plain_block

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
WARM = replace(
    CARD,
    recipe=RESNET_CIFAR.edited(name="resnet-cifar-110", warmup=400 / 64_000),
    deviations=CARD.deviations + " The paper starts ResNet-110 at a rate of 0.01 for about 400 steps; the recipe's rate rises over as many.",
)
PLAIN = replace(CARD, deviations="None known. 164 epochs are the paper's 64,000 steps of 128 pictures.")
STOCHASTIC = "with survival=0.5 in the 500 epochs of papers.STOCHASTIC_DEPTH"
CARDS = {
    "resnet20": CARD,
    "resnet32": replace(CARD, parameters=464_154, error="CIFAR-10: 7.51 %"),
    "resnet44": replace(CARD, parameters=658_586, error="CIFAR-10: 7.17 %"),
    "resnet56": replace(CARD, parameters=853_018, error="CIFAR-10: 6.97 %"),
    "resnet110": replace(WARM, parameters=1_727_962, error=f"CIFAR-10: 6.43 % (best of five; mean 6.61); {STOCHASTIC}: 5.25 %"),
    "resnet1202": replace(WARM, parameters=19_421_274, error=f"CIFAR-10: 7.93 %; {STOCHASTIC}: 4.91 %"),
    "plain20": replace(PLAIN, error="CIFAR-10: drawn in figure 6, not printed"),
    "plain32": replace(PLAIN, parameters=464_154, error="CIFAR-10: drawn in figure 6, not printed; worse than plain20"),
    "plain44": replace(PLAIN, parameters=658_586, error="CIFAR-10: drawn in figure 6, not printed; worse than plain32"),
    "plain56": replace(PLAIN, parameters=853_018, error="CIFAR-10: drawn in figure 6, not printed; worse than plain44"),
    "plain110": replace(PLAIN, parameters=1_727_962, recipe=WARM.recipe, error="CIFAR-10: above 60 %"),
}


def _resnet(n: int, classes: int, shape: Shape, shortcut: Literal["A", "B"], survival: float) -> nn.Module:
    return cifar(partial(BasicBlock, shortcut=shortcut), 16, 16, n, classes, shape, survival)


def _plain(n: int, classes: int, shape: Shape) -> nn.Module:
    return cifar(plain_block, 16, 16, n, classes, shape)


@architecture("resnet20", help="CIFAR ResNet of 20 layers", year=2015, parameters=269_722, smallest=4, card=CARDS["resnet20"])
def resnet20(classes: int, shape: Shape, *, shortcut: Literal["A", "B"] = "A", survival: float = 1.0) -> nn.Module:
    """Build ResNet-20; `shortcut`: zero channels (A) or 1x1 convolutions (B); `survival`: see zoo/residual.py."""
    return _resnet(3, classes, shape, shortcut, survival)


@architecture("resnet32", help="CIFAR ResNet of 32 layers", year=2015, parameters=464_154, smallest=4, card=CARDS["resnet32"])
def resnet32(classes: int, shape: Shape, *, shortcut: Literal["A", "B"] = "A", survival: float = 1.0) -> nn.Module:
    """Build ResNet-32."""
    return _resnet(5, classes, shape, shortcut, survival)


@architecture("resnet44", help="CIFAR ResNet of 44 layers", year=2015, parameters=658_586, smallest=4, card=CARDS["resnet44"])
def resnet44(classes: int, shape: Shape, *, shortcut: Literal["A", "B"] = "A", survival: float = 1.0) -> nn.Module:
    """Build ResNet-44."""
    return _resnet(7, classes, shape, shortcut, survival)


@architecture("resnet56", help="CIFAR ResNet of 56 layers", year=2015, parameters=853_018, smallest=4, card=CARDS["resnet56"])
def resnet56(classes: int, shape: Shape, *, shortcut: Literal["A", "B"] = "A", survival: float = 1.0) -> nn.Module:
    """Build ResNet-56."""
    return _resnet(9, classes, shape, shortcut, survival)


@architecture("resnet110", help="CIFAR ResNet of 110 layers", year=2015, parameters=1_727_962, smallest=4, card=CARDS["resnet110"])
def resnet110(classes: int, shape: Shape, *, shortcut: Literal["A", "B"] = "A", survival: float = 1.0) -> nn.Module:
    """Build ResNet-110."""
    return _resnet(18, classes, shape, shortcut, survival)


@architecture("resnet1202", help="CIFAR ResNet of 1,202 layers", year=2015, parameters=19_421_274, smallest=4, card=CARDS["resnet1202"])
def resnet1202(classes: int, shape: Shape, *, shortcut: Literal["A", "B"] = "A", survival: float = 1.0) -> nn.Module:
    """Build ResNet-1202."""
    return _resnet(200, classes, shape, shortcut, survival)


@architecture("plain20", help="CIFAR ResNet-20 without its shortcuts", year=2015, parameters=269_722, smallest=4, card=CARDS["plain20"])
def plain20(classes: int, shape: Shape) -> nn.Module:
    """Build the plain net of 20 layers."""
    return _plain(3, classes, shape)


@architecture("plain32", help="CIFAR ResNet-32 without its shortcuts", year=2015, parameters=464_154, smallest=4, card=CARDS["plain32"])
def plain32(classes: int, shape: Shape) -> nn.Module:
    """Build the plain net of 32 layers."""
    return _plain(5, classes, shape)


@architecture("plain44", help="CIFAR ResNet-44 without its shortcuts", year=2015, parameters=658_586, smallest=4, card=CARDS["plain44"])
def plain44(classes: int, shape: Shape) -> nn.Module:
    """Build the plain net of 44 layers."""
    return _plain(7, classes, shape)


@architecture("plain56", help="CIFAR ResNet-56 without its shortcuts", year=2015, parameters=853_018, smallest=4, card=CARDS["plain56"])
def plain56(classes: int, shape: Shape) -> nn.Module:
    """Build the plain net of 56 layers."""
    return _plain(9, classes, shape)


@architecture("plain110", help="CIFAR ResNet-110 without its shortcuts", year=2015, parameters=1_727_962, smallest=4, card=CARDS["plain110"])
def plain110(classes: int, shape: Shape) -> nn.Module:
    """Build the plain net of 110 layers."""
    return _plain(18, classes, shape)
