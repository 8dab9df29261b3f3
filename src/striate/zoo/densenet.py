"""DenseNet. Huang, Liu, van der Maaten, Weinberger: Densely connected convolutional networks, 2017.

Table 1 of the paper. A dense layer sees all feature maps before it and adds `k` of its own; its bottleneck makes 4k by a 1x1 first; transitions keep
half of the channels:

    stage         output   121 (k=32)  169 (k=32)  201 (k=32)  161 (k=48)
    conv0         112      7x7, 2k, stride 2; then 3x3 max pool, stride 2
    denseblock1   56       x6          x6          x6          x6            [1x1, 4k; 3x3, k]
    transition1   28       1x1, half; 2x2 average pool
    denseblock2   28       x12         x12         x12         x12
    transition2   14
    denseblock3   14       x24         x32         x48         x36
    transition3   7
    denseblock4   7        x16         x32         x32         x24
                  1        global average pool, 1000-way linear
    parameters             7,978,856   14,149,480  20,013,928  28,681,000

Parameter names are torchvision's. Option `checkpoint` computes each layer's joined input again in the backward pass instead of keeping it, so that
memory grows with the layers, not with their square (Pleiss and others: Memory-efficient implementation of DenseNets, 2017); numbers and batch-norm
statistics stay the same. Deviations: none at 224 pixels. Smaller inputs get a stem of less stride (`stem_for` in boxes.py): up to 96 pixels no max
pool, up to 48 a 3x3 convolution with stride 1. `dropout` (0.2 in the paper for CIFAR without augmentation) is off by default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recomputed

from striate.core.contracts import Card
from striate.core.errors import ArgumentError
from striate.layers import Concat
from striate.zoo.boxes import Network, Stem, conv, fits, he_normal, stem_for
from striate.zoo.papers import DENSENET_IMAGENET
from striate.zoo.registry import Shape, architecture


@dataclass(frozen=True)
class Table:
    """One network: layers a block, growth k, channels of the first convolution, and whether it is BC (bottlenecks, halving transitions)."""

    blocks: tuple[int, ...]
    growth: int
    first: int
    bc: bool = True


TABLES = {
    "densenet121": Table((6, 12, 24, 16), 32, 64),
    "densenet169": Table((6, 12, 32, 32), 32, 64),
    "densenet201": Table((6, 12, 48, 32), 32, 64),
    "densenet161": Table((6, 12, 36, 24), 48, 96),
}


def card_of(table: Table, parameters: int, error: str) -> Card:
    """Return the card of one ImageNet or CIFAR (three blocks) network; a group is a dense block with the transition behind it."""
    count = len(table.blocks)
    blocks = [f"features.denseblock{number}" for number in range(1, count + 1)]
    parts = [[block, f"features.transition{number}"] for number, block in enumerate(blocks[:-1], 1)] + [[blocks[-1], f"features.norm{count + 1}"]]
    first = ["features.conv0", "features.norm0"] if count == 4 else ["features.conv0"]
    return Card(
        paper="Huang, Liu, van der Maaten, Weinberger: Densely connected convolutional networks",
        year=2017,
        parameters=parameters,
        input=(3, 224, 224),
        classes=1000,
        recipe=DENSENET_IMAGENET,
        cut_points=("features.relu0" if count == 4 else "features.conv0", *blocks, "relu", "avgpool"),
        groups=((*first, *parts[0]), *map(tuple, parts[1:]), ("classifier",)),
        paper_names={"convolution": "features.conv0", **{f"dense block ({number})": path for number, path in enumerate(blocks, 1)}},
        deviations="None at 224 pixels. Up to 96 pixels the stem has less stride.",
        weights="torchvision's file of the same name (BSD-3-Clause; trained on ImageNet, whose pictures are for research)",
        error=error,
    )


CARDS = {
    "densenet121": card_of(TABLES["densenet121"], 7_978_856, "ImageNet validation, top 1, one crop: 25.02 %"),
    "densenet169": card_of(TABLES["densenet169"], 14_149_480, "ImageNet validation, top 1, one crop: 23.80 %"),
    "densenet201": card_of(TABLES["densenet201"], 20_013_928, "ImageNet validation, top 1, one crop: 22.58 %"),
    "densenet161": card_of(TABLES["densenet161"], 28_681_000, "ImageNet validation, top 1, one crop: 22.33 %"),
}


class DenseLayer(nn.Module):
    """Joins all feature maps before it and makes `growth` more: norm-relu-conv 3x3, in BC networks behind a norm-relu-conv 1x1 to 4 growth."""

    def __init__(self, channels: int, growth: int, *, bc: bool, dropout: float, checkpoint: bool, first: bool) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.concat = None if first else Concat()
        self.norm1, self.relu1 = nn.BatchNorm2d(channels), nn.ReLU()
        self.conv1 = conv(channels, 4 * growth, 1) if bc else conv(channels, growth, 3)
        rest: dict[str, nn.Module] = {"dropout1": nn.Dropout(dropout)} if dropout else {}
        if bc:
            rest |= {"norm2": nn.BatchNorm2d(4 * growth), "relu2": nn.ReLU(), "conv2": conv(4 * growth, growth, 3)}
            rest |= {"dropout2": nn.Dropout(dropout)} if dropout else {}
        for name, box in rest.items():
            self.add_module(name, box)
        self.rest = tuple(rest)

    def forward(self, *features: Tensor) -> Tensor:
        """Turn N C_i H W ... into N growth H W."""
        if self.checkpoint and self.training and torch.is_grad_enabled():
            out: Tensor = recomputed(self._enter, *features, use_reentrant=False, context_fn=self._contexts)
        else:
            out = self._enter(*features)
        for name in self.rest:
            out = getattr(self, name)(out)
        return out

    def _enter(self, *features: Tensor) -> Tensor:
        joined = features[0] if self.concat is None else self.concat(*features)
        out: Tensor = self.conv1(self.relu1(self.norm1(joined)))
        return out

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), self._counted_already()

    @contextmanager
    def _counted_already(self) -> Iterator[None]:
        """Keep batch-norm statistics as they are while a pass is computed again (with the same tensors saved, as the checkpoint demands)."""
        momentum, counter = self.norm1.momentum, self.norm1.num_batches_tracked
        seen = None if counter is None else counter.clone()
        self.norm1.momentum = 0.0
        try:
            yield
        finally:
            self.norm1.momentum = momentum
            if counter is not None and seen is not None:
                counter.copy_(seen)


class DenseBlock(nn.Module):
    """Dense layers, each seeing the block's input and what all layers before it made; the block gives all of it."""

    def __init__(self, channels: int, table: Table, layers: int, dropout: float, *, checkpoint: bool) -> None:
        super().__init__()
        self.layers = tuple(f"denselayer{number}" for number in range(1, layers + 1))
        for number, name in enumerate(self.layers):
            inputs = channels + number * table.growth
            layer = DenseLayer(inputs, table.growth, bc=table.bc, dropout=dropout, checkpoint=checkpoint, first=number == 0)
            self.add_module(name, layer)
        self.concat = Concat()

    def forward(self, x: Tensor) -> Tensor:
        """Turn N C H W into N C+layers*growth H W."""
        features = [x]
        for name in self.layers:
            features.append(getattr(self, name)(*features))
        out: Tensor = self.concat(*features)
        return out


def densenet(table: Table, stem: Mapping[str, nn.Module | None], classes: int, *, dropout: float, checkpoint: bool) -> nn.Module:
    """Put dense blocks and transitions between a stem of `table.first` channels and the classifier. Raises `ArgumentError` for a bad `dropout`."""
    if not 0 <= dropout < 1:
        raise ArgumentError(f"dropout: got {dropout}, expected a share from 0 up to 1")
    boxes: dict[str, nn.Module | None] = dict(stem)
    channels = table.first
    for number, layers in enumerate(table.blocks, 1):
        boxes[f"denseblock{number}"] = DenseBlock(channels, table, layers, dropout, checkpoint=checkpoint)
        channels += layers * table.growth
        if number < len(table.blocks):
            half = channels // 2 if table.bc else channels
            boxes[f"transition{number}"] = Network(
                {
                    "norm": nn.BatchNorm2d(channels),
                    "relu": nn.ReLU(),
                    "conv": conv(channels, half, 1),
                    "dropout": nn.Dropout(dropout) if dropout else None,
                    "pool": nn.AvgPool2d(2),
                }
            )
            channels = half
    boxes[f"norm{len(table.blocks) + 1}"] = nn.BatchNorm2d(channels)
    classifier = nn.Linear(channels, classes)
    nn.init.zeros_(classifier.bias)
    tail = {"relu": nn.ReLU(), "avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "classifier": classifier}
    network = Network({"features": Network(boxes), **tail})
    he_normal(network, "fan_in")
    return network


def _imagenet(name: str, classes: int, shape: Shape, stem: Stem, *, dropout: float, checkpoint: bool) -> nn.Module:
    stem, table = stem_for(shape, stem), TABLES[name]
    fits(name, shape, {"imagenet": 29, "medium": 15}.get(stem, 8), f"stem {stem}")
    first = {
        "conv0": conv(shape[0], table.first, 3) if stem == "small" else conv(shape[0], table.first, 7, 2),
        "norm0": nn.BatchNorm2d(table.first),
        "relu0": nn.ReLU(),
        "pool0": nn.MaxPool2d(3, 2, 1) if stem == "imagenet" else None,
    }
    return densenet(table, first, classes, dropout=dropout, checkpoint=checkpoint)


@architecture("densenet121", help="DenseNet of 121 layers", year=2017, parameters=7_978_856, smallest=8, card=CARDS["densenet121"])
def densenet121(
    classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", dropout: float = 0.0, checkpoint: bool = False
) -> nn.Module:
    """Build DenseNet-121."""
    return _imagenet("densenet121", classes, shape, stem, dropout=dropout, checkpoint=checkpoint)


@architecture("densenet169", help="DenseNet of 169 layers", year=2017, parameters=14_149_480, smallest=8, card=CARDS["densenet169"])
def densenet169(
    classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", dropout: float = 0.0, checkpoint: bool = False
) -> nn.Module:
    """Build DenseNet-169."""
    return _imagenet("densenet169", classes, shape, stem, dropout=dropout, checkpoint=checkpoint)


@architecture("densenet201", help="DenseNet of 201 layers", year=2017, parameters=20_013_928, smallest=8, card=CARDS["densenet201"])
def densenet201(
    classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", dropout: float = 0.0, checkpoint: bool = False
) -> nn.Module:
    """Build DenseNet-201."""
    return _imagenet("densenet201", classes, shape, stem, dropout=dropout, checkpoint=checkpoint)


@architecture("densenet161", help="DenseNet of 161 layers", year=2017, parameters=28_681_000, smallest=8, card=CARDS["densenet161"])
def densenet161(
    classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto", dropout: float = 0.0, checkpoint: bool = False
) -> nn.Module:
    """Build DenseNet-161."""
    return _imagenet("densenet161", classes, shape, stem, dropout=dropout, checkpoint=checkpoint)
