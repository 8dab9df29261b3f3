"""Network in network. Lin, Chen, Yan: Network in network, 2013.

Every convolution is followed by two 1x1 convolutions, a small perceptron slid over the maps (cccp, cascaded cross-channel pooling, in the authors'
code); the last has one map a class, and its mean over all places is the logit: no linear layer at all.

    stage      CIFAR (32x32)              ImageNet (224x224)
    1          5x5 192, 160, 96           11x11 stride 4 96, 96, 96
               3x3 max pool, stride 2     3x3 max pool, stride 2
    2          5x5 192, 192, 192          5x5 256, 256, 256
               3x3 mean pool, stride 2    3x3 max pool, stride 2
    3          3x3 192, 192, classes      3x3 384, 384, 384
                                          3x3 max pool, stride 2
    4                                     3x3 1024, 1024, classes
    parameters 966,986                    7,595,176

The paper gives no sizes; these are the authors' published ones. Pools of the CIFAR form round up (32-16-8), as in their framework. The ImageNet form
rounds down, 54-26-12-5; `ceil` rounds up there too, 54-27-13-6. Dropout stands where theirs does. Weights start from He's normal distribution.
Inputs up to 64 pixels give the ImageNet form a small stem: a 3x3 convolution with stride 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import nn

from striate.core.contracts import Card
from striate.zoo.boxes import Network, conv, he_normal
from striate.zoo.chains import share_left_out, small_stem
from striate.zoo.papers import NIN_CIFAR
from striate.zoo.registry import Shape, architecture

CIFAR = Card(
    paper="Lin, Chen, Yan: Network in network",
    year=2013,
    parameters=966_986,
    input=(3, 32, 32),
    classes=10,
    recipe=NIN_CIFAR,
    cut_points=("pool1", "pool2", "relu3_3"),
    groups=(("conv1", "cccp1_1", "cccp1_2"), ("conv2", "cccp2_1", "cccp2_2"), ("conv3", "cccp3_1", "cccp3_2")),
    paper_names={f"mlpconv{stage}": f"relu{stage}_3" for stage in (1, 2, 3)},
    deviations="He's initial weights. No global contrast normalisation and whitening of the pictures unless asked for.",
    error="CIFAR-10, standard augmentation: 8.81 %",
)

IMAGENET = replace(
    CIFAR,
    parameters=7_595_176,
    input=(3, 224, 224),
    classes=1000,
    recipe=None,
    cut_points=("pool1", "pool2", "pool3", "relu4_3"),
    groups=tuple((f"conv{stage}", f"cccp{stage}_1", f"cccp{stage}_2") for stage in (1, 2, 3, 4)),
    paper_names={f"mlpconv{stage}": f"relu{stage}_3" for stage in (1, 2, 3, 4)},
    deviations="The authors' published net, not in the paper. Pools round down unless `ceil`. Up to 64 pixels a small stem: 3x3, stride 1.",
    error="ImageNet validation, top 1, the authors' weights: 40.64 %",
)


def mlpconv(
    stage: int, channels: int, widths: tuple[int, int, int], kernel: int, stride: int = 1, padding: int | None = None
) -> dict[str, nn.Module]:
    """Return a convolution and the two-layer perceptron behind it, six boxes; `widths` are the maps of the three."""
    return {
        f"conv{stage}": conv(channels, widths[0], kernel, stride, padding=padding, bias=True),
        f"relu{stage}_1": nn.ReLU(),
        f"cccp{stage}_1": conv(widths[0], widths[1], 1, bias=True),
        f"relu{stage}_2": nn.ReLU(),
        f"cccp{stage}_2": conv(widths[1], widths[2], 1, bias=True),
        f"relu{stage}_3": nn.ReLU(),
    }


@architecture("nin_cifar", help="Network in network for CIFAR", year=2013, parameters=966_986, smallest=4, card=CIFAR)
def nin_cifar(classes: int, shape: Shape, *, dropout: float = 0.5) -> nn.Module:
    """Build the CIFAR form; `dropout` is the share left out after each of the first two stages."""
    return _finished(
        {
            **mlpconv(1, shape[0], (192, 160, 96), 5),
            "pool1": nn.MaxPool2d(3, 2, ceil_mode=True),
            "dropout1": share_left_out(dropout),
            **mlpconv(2, 96, (192, 192, 192), 5),
            "pool2": nn.AvgPool2d(3, 2, ceil_mode=True),
            "dropout2": share_left_out(dropout),
            **mlpconv(3, 192, (192, 192, classes), 3),
        }
    )


@architecture("nin", help="Network in network for ImageNet", year=2013, parameters=7_595_176, smallest=15, card=IMAGENET)
def nin(
    classes: int,
    shape: Shape,
    *,
    stem: Literal["auto", "imagenet", "small"] = "auto",
    ceil: bool = False,
    dropout: float = 0.5,
) -> nn.Module:
    """Build the ImageNet form; `ceil` rounds the pools up, `stem` auto takes the small one up to 64 pixels."""
    small = small_stem("nin", stem, shape, smallest=51 if ceil else 67)
    return _finished(
        {
            **(mlpconv(1, shape[0], (96, 96, 96), 3) if small else mlpconv(1, shape[0], (96, 96, 96), 11, 4, 0)),
            "pool1": nn.MaxPool2d(3, 2, ceil_mode=ceil),
            **mlpconv(2, 96, (256, 256, 256), 5),
            "pool2": nn.MaxPool2d(3, 2, ceil_mode=ceil),
            **mlpconv(3, 256, (384, 384, 384), 3),
            "pool3": nn.MaxPool2d(3, 2, ceil_mode=ceil),
            "dropout": share_left_out(dropout),
            **mlpconv(4, 384, (1024, 1024, classes), 3),
        }
    )


def _finished(boxes: dict[str, nn.Module]) -> nn.Module:
    """Put the mean over all places behind the last maps and draw the weights."""
    network = Network({**boxes, "avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()})
    he_normal(network, "fan_in")
    return network
