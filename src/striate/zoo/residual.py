"""What the residual families share: blocks, stages, stems, and stochastic depth on any of them.

A family's file holds its paper's table and hands a block to `imagenet` or `cifar`; here stands what the blocks have in common.

Stem. The ImageNet stem shrinks a picture four times before the first stage. For small inputs that leaves the last stage nothing to see, and a
stem that never shrinks makes 64 pixels dearer than 224. So the stem is the one with the largest stride that leaves the last stage 4x4 places
(`stem_for` in boxes.py); no small input then costs as much as 224 pixels do:

    input, short side    stem                                            last stage
    from 97              7x7, stride 2, then 3x3 max pool, stride 2      1/32: 224 -> 7x7
    49 to 96             7x7, stride 2 (published weights still fit)     1/16:  64 -> 4x4
    up to 48             3x3, stride 1                                   1/8:   32 -> 4x4

Stochastic depth (Huang, Sun, Liu, Sedra, Weinberger: Deep networks with stochastic depth, 2016). Block l of L is kept in training with
probability 1 - (l / L)(1 - survival); `survival` is the last block's, 0.5 in the paper, 1 switches it off. A kept branch is divided by its
probability, so that at test time it stands as it is for its expectation. The paper multiplies at test time instead, and tosses one coin for the
whole batch where here each picture has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.layers import Add, DropPath, PadShortcut
from striate.zoo.boxes import Network, Stem, conv, he_normal, stem_for
from striate.zoo.registry import Shape

Shortcut = Literal["A", "B"]


class Block(Protocol):
    """What a family hands over: makes one block from `channels` maps to `width`, kept in training with probability `survival`."""

    def __call__(self, channels: int, width: int, stride: int, survival: float) -> nn.Module:
        """Return the block."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: relu2(bn2(conv2(relu1(bn1(conv1(x))))) + downsample(x)).

    `downsample` makes the shortcut fit where the shape changes, by `shortcut` A (zero channels) or B (1x1 convolution); None is the identity.
    """

    def __init__(self, channels: int, width: int, stride: int = 1, survival: float = 1.0, *, shortcut: Shortcut = "B") -> None:
        super().__init__()
        self.conv1 = conv(channels, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.drop = drop_path(survival)
        self.downsample = downsample(channels, width, stride, shortcut)
        self.add = Add()
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Turn N C H W into N width ⌈H/stride⌉ ⌈W/stride⌉."""
        change = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        change = change if self.drop is None else self.drop(change)
        shortcut = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu2(self.add(change, shortcut))
        return out


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 beside a shortcut: relu3(bn3(conv3(relu2(bn2(conv2(relu1(bn1(conv1(x)))))))) + downsample(x)).

    `inner` is the width of the first two as a share of `width`, `groups` parts the 3x3. The stride is in the 3x3, with `early` in the first 1x1.
    """

    def __init__(
        self, channels: int, width: int, stride: int = 1, survival: float = 1.0, *, inner: float = 1 / 4, groups: int = 1, early: bool = False
    ) -> None:
        super().__init__()
        narrow = round(width * inner)
        self.conv1 = conv(channels, narrow, 1, stride if early else 1)
        self.bn1 = nn.BatchNorm2d(narrow)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(narrow, narrow, 3, 1 if early else stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(narrow)
        self.relu2 = nn.ReLU()
        self.conv3 = conv(narrow, width, 1)
        self.bn3 = nn.BatchNorm2d(width)
        self.drop = drop_path(survival)
        self.downsample = downsample(channels, width, stride, "B")
        self.add = Add()
        self.relu3 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Turn N C H W into N width ⌈H/stride⌉ ⌈W/stride⌉."""
        change = self.relu1(self.bn1(self.conv1(x)))
        change = self.relu2(self.bn2(self.conv2(change)))
        change = self.bn3(self.conv3(change))
        change = change if self.drop is None else self.drop(change)
        shortcut = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu3(self.add(change, shortcut))
        return out


def plain_block(channels: int, width: int, stride: int, survival: float) -> nn.Module:
    """Return a basic block without its shortcut: the plain nets' two convolutions. There is no way around it, so `survival` must be 1."""
    if survival < 1:
        raise ArgumentError(f"survival: {survival:g} would cut a plain net in two; only blocks with a shortcut can be dropped")
    return Network(
        {
            "conv1": conv(channels, width, 3, stride),
            "bn1": nn.BatchNorm2d(width),
            "relu1": nn.ReLU(),
            "conv2": conv(width, width, 3),
            "bn2": nn.BatchNorm2d(width),
            "relu2": nn.ReLU(),
        }
    )


def downsample(channels: int, width: int, stride: int, shortcut: Shortcut) -> nn.Module | None:
    """Return what makes a shortcut fit: zero channels (A) or a 1x1 convolution with batch norm (B); None where the shape stays."""
    if stride == 1 and channels == width:
        return None
    if shortcut == "A":
        return PadShortcut(width - channels, stride)
    return nn.Sequential(conv(channels, width, 1, stride), nn.BatchNorm2d(width))


def drop_path(survival: float) -> nn.Module | None:
    """Return the box that drops a residual branch, None where it always survives."""
    return DropPath(survival) if survival < 1 else None


def decayed(survival: float, blocks: Sequence[int]) -> list[list[float]]:
    """Return each block's probability of survival, a list a stage: 1 before the first block, falling linearly to `survival` at the last."""
    if not 0 < survival <= 1:
        raise ArgumentError(f"survival: got {survival!r}, expected a probability above 0 and up to 1")
    total, numbers = sum(blocks), iter(range(1, sum(blocks) + 1))
    return [[1 - next(numbers) / total * (1 - survival) for _ in range(count)] for count in blocks]


def stages(block: Block, channels: int, widths: Sequence[int], blocks: Sequence[int], survival: float) -> dict[str, nn.Module]:
    """Return layer1, layer2, …: `blocks[i]` blocks of `widths[i]` maps; from the second stage on the first block has stride 2."""
    made: dict[str, nn.Module] = {}
    for number, (width, chances) in enumerate(zip(widths, decayed(survival, blocks), strict=True), 1):
        first = block(channels, width, 1 if number == 1 else 2, chances[0])
        made[f"layer{number}"] = nn.Sequential(first, *(block(width, width, 1, chance) for chance in chances[1:]))
        channels = width
    return made


def stem_boxes(shape: Shape, stem: Stem, *, active: bool = True) -> dict[str, nn.Module]:
    """Return conv1, bn1, relu and, where the stem pools, maxpool; without batch norm and ReLU where the blocks begin with them (`active` False)."""
    chosen = stem_for(shape, stem)
    boxes: dict[str, nn.Module] = {"conv1": conv(shape[0], 64, 3) if chosen == "small" else conv(shape[0], 64, 7, 2)}
    boxes |= {"bn1": nn.BatchNorm2d(64), "relu": nn.ReLU()} if active else {}
    boxes |= {"maxpool": nn.MaxPool2d(3, 2, 1)} if chosen == "imagenet" else {}
    return boxes


def classifier(width: int, classes: int) -> dict[str, nn.Module]:
    """Return the end of every residual net: global average pool and one linear layer."""
    return {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(width, classes)}


def imagenet(block: Block, width: int, blocks: tuple[int, int, int, int], classes: int, shape: Shape, stem: Stem, survival: float = 1.0) -> nn.Module:
    """Return stem, four stages of `width` (2, 4, 8 times as many) maps and classifier, initialised as the paper says."""
    widths = [width, 2 * width, 4 * width, 8 * width]
    network = Network({**stem_boxes(shape, stem), **stages(block, 64, widths, blocks, survival), **classifier(widths[-1], classes)})
    he_normal(network)
    return network


def cifar(block: Block, first: int, width: int, blocks: int, classes: int, shape: Shape, survival: float = 1.0) -> nn.Module:
    """Return a 3x3 convolution of `first` maps, three stages of `blocks` blocks of `width` (2, 4 times as many) maps, and classifier."""
    widths = [width, 2 * width, 4 * width]
    stem: dict[str, nn.Module] = {"conv1": conv(shape[0], first, 3), "bn1": nn.BatchNorm2d(first), "relu": nn.ReLU()}
    network = Network({**stem, **stages(block, first, widths, [blocks] * 3, survival), **classifier(widths[-1], classes)})
    he_normal(network)
    return network


def paper_names(blocks: Sequence[int]) -> dict[str, str]:
    """Return the papers' names -> module paths for ImageNet nets of so many blocks a stage: conv2_1 -> layer1.0 and so on."""
    named = {"conv1": "conv1"}
    for stage, count in enumerate(blocks, 1):
        named[f"conv{stage + 1}_x"] = f"layer{stage}"
        named |= {f"conv{stage + 1}_{block + 1}": f"layer{stage}.{block}" for block in range(count)}
    return named | {"fc": "fc"}
