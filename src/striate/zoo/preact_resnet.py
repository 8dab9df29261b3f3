"""Pre-activation residual networks. He, Zhang, Ren, Sun: Identity mappings in deep residual networks, 2016.

A block first normalises and activates, then convolves, so the shortcut is never touched from the first block to the last:

    bn1, relu1, conv1 1x1, bn2, relu2, conv2 3x3, bn3, relu3, conv3 1x1, + x

    network          blocks a stage   first, widths a stage       parameters    error
    164    CIFAR     18, 18, 18       16; 64, 128, 256            1,703,258     5.46 %
    1001   CIFAR     111, 111, 111    16; 64, 128, 256            10,327,706    4.92 % (batch of 64: 4.62)
    50     ImageNet  3, 4, 6, 3       64; 256, 512, 1024, 2048    25,549,352
    101    ImageNet  3, 4, 23, 3      64; 256, 512, 1024, 2048    44,541,480
    152    ImageNet  3, 8, 36, 3      64; 256, 512, 1024, 2048    60,185,128    21.1 % (top 1, 320 pixels)

Where the shape changes the shortcut is a bare 1x1 convolution of the activated input, as in the authors' code; a last batch norm and ReLU stand
after the last block. The stem of ImageNet's is the convolution alone, for the first block brings batch norm and ReLU (so in timm's resnetv2_50; the
paper activates once more). The stride is in the first 1x1 on CIFAR as in the authors' code, in the 3x3 on ImageNet as in all published weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from torch import Tensor, nn

from striate.core.contracts import Card
from striate.layers import Add
from striate.zoo.boxes import Network, Stem, conv, he_normal
from striate.zoo.papers import PREACT_CIFAR, RESNET_IMAGENET
from striate.zoo.registry import Shape, architecture
from striate.zoo.residual import Block, classifier, drop_path, paper_names, stages, stem_boxes
from striate.zoo.resnet import BLOCKS

CIFAR_WIDTHS, IMAGENET_WIDTHS = (64, 128, 256), (256, 512, 1024, 2048)

CARD = Card(
    paper="He, Zhang, Ren, Sun: Identity mappings in deep residual networks",
    year=2016,
    parameters=1_703_258,
    input=(3, 32, 32),
    classes=10,
    recipe=PREACT_CIFAR,
    cut_points=("conv1", "layer1", "layer2", "layer3", "relu", "avgpool"),
    groups=(("conv1",), ("layer1",), ("layer2",), ("layer3", "bn"), ("fc",)),
    paper_names={"conv1": "conv1", "32x32": "layer1", "16x16": "layer2", "8x8": "layer3", "fc": "fc"},
    deviations="None known. 164 epochs are the paper's 64,000 steps of 128 pictures; its first 400 have a rate of 0.01, the recipe's rate rises.",
    error="CIFAR-10: 5.46 %",
)
IMAGENET = replace(
    CARD,
    input=(3, 224, 224),
    classes=1000,
    recipe=RESNET_IMAGENET,
    cut_points=("conv1", "layer1", "layer2", "layer3", "layer4", "relu", "avgpool"),
    groups=(("conv1", "layer1"), ("layer2",), ("layer3",), ("layer4", "bn"), ("fc",)),
    deviations="The stride is in the 3x3, and batch norm and ReLU follow the stem once. "
    "From 49 to 96 pixels the stem does not pool, up to 48 it is a 3x3 convolution of stride 1.",
    weights="none under these names; timm's resnetv2_50.a1h_in1k and resnetv2_101.a1h_in1k (Apache-2.0) are the same nets under other names",
    error="none in the paper",
)
CARDS = {
    "preact_resnet164": CARD,
    "preact_resnet1001": replace(CARD, parameters=10_327_706, error="CIFAR-10: 4.92 % (4.62 % with batches of 64)"),
    "preact_resnet50": replace(IMAGENET, parameters=25_549_352, paper_names=paper_names(BLOCKS[50])),
    "preact_resnet101": replace(IMAGENET, parameters=44_541_480, paper_names=paper_names(BLOCKS[101])),
    "preact_resnet152": replace(
        IMAGENET, parameters=60_185_128, paper_names=paper_names(BLOCKS[152]), error="ImageNet validation, top 1, one crop of 320 pixels: 21.1 %"
    ),
}


class PreBottleneck(nn.Module):
    """A bottleneck that normalises and activates before each convolution; the projection, where the shape changes, sees the activated input."""

    def __init__(self, channels: int, width: int, stride: int = 1, survival: float = 1.0, *, early: bool = False) -> None:
        super().__init__()
        narrow = width // 4
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.downsample = conv(channels, width, 1, stride) if stride > 1 or channels != width else None
        self.conv1 = conv(channels, narrow, 1, stride if early else 1)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.relu2 = nn.ReLU()
        self.conv2 = conv(narrow, narrow, 3, 1 if early else stride)
        self.bn3 = nn.BatchNorm2d(narrow)
        self.relu3 = nn.ReLU()
        self.conv3 = conv(narrow, width, 1)
        self.drop = drop_path(survival)
        self.add = Add()

    def forward(self, x: Tensor) -> Tensor:
        """Turn N C H W into N width ⌈H/stride⌉ ⌈W/stride⌉."""
        active = self.relu1(self.bn1(x))
        shortcut = x if self.downsample is None else self.downsample(active)
        change = self.conv2(self.relu2(self.bn2(self.conv1(active))))
        change = self.conv3(self.relu3(self.bn3(change)))
        out: Tensor = self.add(change if self.drop is None else self.drop(change), shortcut)
        return out


def preactivated(
    stem: dict[str, nn.Module], block: Block, first: int, widths: Sequence[int], blocks: Sequence[int], classes: int, survival: float
) -> nn.Module:
    """Return stem, stages of pre-activation blocks, their last batch norm and ReLU, and the classifier."""
    end = {"bn": nn.BatchNorm2d(widths[-1]), "relu": nn.ReLU()}
    network = Network({**stem, **stages(block, first, widths, blocks, survival), **end, **classifier(widths[-1], classes)})
    he_normal(network)
    return network


def _cifar(blocks: int, classes: int, shape: Shape, survival: float) -> nn.Module:
    stem: dict[str, nn.Module] = {"conv1": conv(shape[0], 16, 3)}
    return preactivated(stem, partial(PreBottleneck, early=True), 16, CIFAR_WIDTHS, [blocks] * 3, classes, survival)


def _imagenet(depth: int, classes: int, shape: Shape, stem: Stem, survival: float) -> nn.Module:
    return preactivated(stem_boxes(shape, stem, active=False), PreBottleneck, 64, IMAGENET_WIDTHS, BLOCKS[depth], classes, survival)


@architecture(
    "preact_resnet164", help="CIFAR pre-activation ResNet of 164 layers", year=2016, parameters=1_703_258, smallest=4, card=CARDS["preact_resnet164"]
)
def preact_resnet164(classes: int, shape: Shape, *, survival: float = 1.0) -> nn.Module:
    """Build pre-activation ResNet-164; `survival`: see zoo/residual.py."""
    return _cifar(18, classes, shape, survival)


@architecture(
    "preact_resnet1001",
    help="CIFAR pre-activation ResNet of 1,001 layers",
    year=2016,
    parameters=10_327_706,
    smallest=4,
    card=CARDS["preact_resnet1001"],
)
def preact_resnet1001(classes: int, shape: Shape, *, survival: float = 1.0) -> nn.Module:
    """Build pre-activation ResNet-1001."""
    return _cifar(111, classes, shape, survival)


@architecture(
    "preact_resnet50", help="Pre-activation ResNet of 50 layers", year=2016, parameters=25_549_352, smallest=8, card=CARDS["preact_resnet50"]
)
def preact_resnet50(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", survival: float = 1.0) -> nn.Module:
    """Build pre-activation ResNet-50; `stem`, `survival`: see zoo/residual.py."""
    return _imagenet(50, classes, shape, stem, survival)


@architecture(
    "preact_resnet101", help="Pre-activation ResNet of 101 layers", year=2016, parameters=44_541_480, smallest=8, card=CARDS["preact_resnet101"]
)
def preact_resnet101(
    classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", survival: float = 1.0
) -> nn.Module:
    """Build pre-activation ResNet-101."""
    return _imagenet(101, classes, shape, stem, survival)


@architecture(
    "preact_resnet152", help="Pre-activation ResNet of 152 layers", year=2016, parameters=60_185_128, smallest=8, card=CARDS["preact_resnet152"]
)
def preact_resnet152(
    classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", survival: float = 1.0
) -> nn.Module:
    """Build pre-activation ResNet-152."""
    return _imagenet(152, classes, shape, stem, survival)
