"""Dual path networks. Chen, Li, Xiao, Jin, Yan, Feng: Dual path networks, 2017.

Table 1 of the paper (and DPN-68 and 131 from its authors' code). A block is a bottleneck 1x1, RxR grouped 3x3, 1x1; of what it makes, the first
channels are added to the residual path and the next `+k` are laid beside the dense path:

    stage    output   DPN-68             DPN-92             DPN-98              DPN-131
    conv1    112      3x3, 10            7x7, 64            7x7, 96             7x7, 128          stride 2; then 3x3 max pool, stride 2
    conv2    56       128, 64+16   x3    96, 256+16   x3    160, 256+16   x3    160, 256+16   x4
    conv3    28       256, 128+32  x4    192, 512+32  x4    320, 512+32   x6    320, 512+32   x8
    conv4    14       512, 256+32  x12   384, 1024+24 x20   640, 1024+32  x20   640, 1024+32  x28
    conv5    7        1024, 512+64 x3    768, 2048+128 x3   1280, 2048+128 x3   1280, 2048+128 x3
    groups            32                 32                 40                  40
    parameters        12,611,602         37,668,392         61,570,728          79,254,504

The state between blocks is one tensor, residual channels first, dense ones behind: what is drawn as two paths is a `split`, an `add` and a `concat`.
Parameter names are timm's, so its files fit. Deviations: none at 224 pixels. Smaller inputs get a stem of less stride (`stem_for` in boxes.py):
up to 96 pixels no max pool, up to 48 a 3x3 convolution with stride 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor, nn

from striate.core.contracts import Card
from striate.layers import Add, Concat
from striate.zoo.boxes import Network, Stem, conv, he_normal, stem_for
from striate.zoo.papers import DPN_IMAGENET
from striate.zoo.registry import Shape, architecture


@dataclass(frozen=True)
class Table:
    """One column of table 1: first convolution, width of the 3x3, residual width (both double from stage to stage), groups, growth, blocks."""

    kernel: int
    first: int
    middle: int
    residual: int
    groups: int
    growth: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]


TABLES = {
    "dpn68": Table(3, 10, 128, 64, 32, (16, 32, 32, 64), (3, 4, 12, 3)),
    "dpn92": Table(7, 64, 96, 256, 32, (16, 32, 24, 128), (3, 4, 20, 3)),
    "dpn98": Table(7, 96, 160, 256, 40, (16, 32, 32, 128), (3, 6, 20, 3)),
    "dpn131": Table(7, 128, 160, 256, 40, (16, 32, 32, 128), (4, 8, 28, 3)),
}

DPN98 = Card(
    paper="Chen, Li, Xiao, Jin, Yan, Feng: Dual path networks",
    year=2017,
    parameters=61_570_728,
    input=(3, 224, 224),
    classes=1000,
    recipe=DPN_IMAGENET,
    cut_points=(),
    deviations="None at 224 pixels. Up to 96 pixels the stem has less stride. The recipe's length and steps are not in the paper; "
    "the authors' shift of hue, saturation and lightness is left out.",
    weights="timm's dpn98.mx_in1k, whose names these are (Apache-2.0; trained on ImageNet, whose pictures are for research): "
    "for inputs (pixel - (124, 117, 104)) * 0.0167",
    error="ImageNet validation, top 1, one crop: 20.15 %",
)


def _card(name: str, parameters: int, error: str) -> Card:
    """Return the card of one depth: its blocks are the cut points, the last block of each stage the paper's stage."""
    last = {f"conv{stage}": f"features.conv{stage}_{blocks}" for stage, blocks in enumerate(TABLES[name].blocks, 2)}
    stages = [[f"features.conv{stage}_{block}" for block in range(1, blocks + 1)] for stage, blocks in enumerate(TABLES[name].blocks, 2)]
    return replace(
        DPN98,
        parameters=parameters,
        cut_points=("features.conv1_1", *last.values(), "features.conv5_bn_ac", "avgpool"),
        groups=(("features.conv1_1", *stages[0]), *map(tuple, stages[1:3]), (*stages[3], "features.conv5_bn_ac"), ("classifier",)),
        paper_names={"conv1": "features.conv1_1", **last, "fc": "classifier"},
        weights=DPN98.weights.replace("dpn98", name),
        error=error,
    )


CARDS = {
    "dpn68": _card("dpn68", 12_611_602, "ImageNet validation, top 1, one crop: 23.57 %"),
    "dpn92": _card("dpn92", 37_668_392, "ImageNet validation, top 1, one crop: 20.73 %"),
    "dpn98": _card("dpn98", 61_570_728, DPN98.error),
    "dpn131": _card("dpn131", 79_254_504, "ImageNet validation, top 1, one crop: 19.93 %"),
}


class Split(nn.Module):
    """Cut the channels in two: the first `width`, and the rest."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Turn N C H W into N width H W and N C-width H W (views of it)."""
        return x[:, : self.width], x[:, self.width :]

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"width={self.width}"


class DualPathBlock(nn.Module):
    """A bottleneck whose first `residual` channels are added to the residual path and whose `growth` others join the dense path.

    The first block of a stage makes both paths anew, by a 1x1 convolution beside it; timm calls that c1x1_w_s1 or c1x1_w_s2, after its stride.
    """

    def __init__(self, channels: int, middle: int, residual: int, growth: int, groups: int, *, first: bool = False, stride: int = 1) -> None:
        super().__init__()
        self.path_in = f"c1x1_w_s{stride}" if first else ""
        if first:
            self.add_module(self.path_in, unit(channels, residual + 2 * growth, 1, stride))
        self.c1x1_a = unit(channels, middle, 1)
        self.c3x3_b = unit(middle, middle, 3, stride, groups)
        self.c1x1_c = unit(middle, residual + growth, 1)
        self.split_paths, self.split_change = Split(residual), Split(residual)
        self.add, self.concat = Add(), Concat()

    def forward(self, x: Tensor) -> Tensor:
        """Turn N residual+dense H W into N residual+dense+growth H/stride W/stride."""
        residual, dense = self.split_paths(getattr(self, self.path_in)(x) if self.path_in else x)
        change, new = self.split_change(self.c1x1_c(self.c3x3_b(self.c1x1_a(x))))
        out: Tensor = self.concat(self.add(residual, change), dense, new)
        return out


def unit(channels: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> Network:
    """Return batch norm, ReLU and convolution, in this order."""
    filters = nn.Conv2d(channels, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    return Network({"bn": nn.BatchNorm2d(channels, eps=0.001), "relu": nn.ReLU(), "conv": filters})


def _dpn(table: Table, classes: int, shape: Shape, stem: Stem) -> nn.Module:
    stem = stem_for(shape, stem)
    first = conv(shape[0], table.first, 3) if stem == "small" else conv(shape[0], table.first, table.kernel, 2)
    boxes: dict[str, nn.Module | None] = {
        "conv1_1": Network({"conv": first, "bn": nn.BatchNorm2d(table.first, eps=0.001), "relu": nn.ReLU()}),
        "conv1_pool": nn.MaxPool2d(3, 2, 1) if stem == "imagenet" else None,
    }
    channels, middle, residual = table.first, table.middle, table.residual
    for stage, (growth, blocks) in enumerate(zip(table.growth, table.blocks, strict=True), 2):
        for number in range(1, blocks + 1):
            start, stride = number == 1, 2 if number == 1 and stage > 2 else 1
            boxes[f"conv{stage}_{number}"] = DualPathBlock(channels, middle, residual, growth, table.groups, first=start, stride=stride)
            channels = residual + 3 * growth if start else channels + growth
        middle, residual = 2 * middle, 2 * residual
    boxes["conv5_bn_ac"] = Network({"bn": nn.BatchNorm2d(channels, eps=0.001), "relu": nn.ReLU()})
    network = Network(
        {
            "features": Network(boxes),
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "classifier": nn.Conv2d(channels, classes, 1),
            "flatten": nn.Flatten(),
        }
    )
    he_normal(network)
    return network


@architecture("dpn68", help="Dual path network of 68 layers", year=2017, parameters=12_611_602, smallest=8, card=CARDS["dpn68"])
def dpn68(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto") -> nn.Module:
    """Build DPN-68."""
    return _dpn(TABLES["dpn68"], classes, shape, stem)


@architecture("dpn92", help="Dual path network of 92 layers", year=2017, parameters=37_668_392, smallest=8, card=CARDS["dpn92"])
def dpn92(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto") -> nn.Module:
    """Build DPN-92."""
    return _dpn(TABLES["dpn92"], classes, shape, stem)


@architecture("dpn98", help="Dual path network of 98 layers", year=2017, parameters=61_570_728, smallest=8, card=CARDS["dpn98"])
def dpn98(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto") -> nn.Module:
    """Build DPN-98."""
    return _dpn(TABLES["dpn98"], classes, shape, stem)


@architecture("dpn131", help="Dual path network of 131 layers", year=2017, parameters=79_254_504, smallest=8, card=CARDS["dpn131"])
def dpn131(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "medium", "small"] = "auto") -> nn.Module:
    """Build DPN-131."""
    return _dpn(TABLES["dpn131"], classes, shape, stem)
