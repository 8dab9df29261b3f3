"""LeNet-5. LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998.

    layer          maps @ size    1998               modern
    input          1 @ 32x32      28x28 edged by 2   28x28, conv1 pads by 2
    C1  conv 5x5   6 @ 28x28      156                156
    S2  pool 2x2   6 @ 14x14      12 trainable       max (or average)
    C3  conv 5x5   16 @ 10x10     1,516 by table I   2,416 full
    S4  pool 2x2   16 @ 5x5       32 trainable       max (or average)
    C5  conv 5x5   120            48,120             48,120, as a linear layer
    F6  linear     84             10,164             10,164
    output         10             850                850
    parameters                    60,850             61,706

Deviations. lenet5_1998: the output is linear where the paper measures distances to drawn bitmaps (radial basis functions); pictures of 28 pixels are
edged by repeating their border, where the paper's are laid on a larger background. lenet5: every map of C3 sees all of S2, ReLU for tanh, pooling
without parameters. A maximum is taken before the ReLU: the values are the same and there is a quarter of the work.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

from striate.core.contracts import Card
from striate.core.errors import ArgumentError
from striate.layers import MaxPool2d, PartialConv2d, ScaledTanh, Subsampling
from striate.zoo.boxes import Network
from striate.zoo.registry import Shape, architecture

TABLE_I = (  # the maps of S2 that each map of C3 sees
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),  # three neighbours
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),  # four neighbours
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),  # four, with gaps
    (0, 1, 2, 3, 4, 5),
)

MODERN = Card(
    paper="LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition",
    year=1998,
    parameters=61_706,
    input=(1, 28, 28),
    classes=10,
    cut_points=("relu1", "relu2", "relu3", "relu4"),
    groups=(("conv1",), ("conv2",), ("fc1", "fc2"), ("fc3",)),
    paper_names={"C1": "conv1", "S2": "pool1", "C3": "conv2", "S4": "pool2", "C5": "fc1", "F6": "fc2", "output": "fc3"},
    deviations="Full connections in C3, ReLU instead of tanh, pooling without parameters, a linear output. "
    "Inputs of 32 pixels and more are not padded.",
    error="MNIST: 0.95 % (0.8 % with distortions), for the 1998 form",
)

HISTORIC = Card(
    paper=MODERN.paper,
    year=1998,
    parameters=60_850,
    input=(1, 32, 32),
    classes=10,
    cut_points=("s2_tanh", "s4_tanh", "c5_tanh", "f6_tanh"),
    groups=(("c1", "s2"), ("c3", "s4"), ("c5", "f6"), ("output",)),
    paper_names={"C1": "c1", "S2": "s2", "C3": "c3", "S4": "s4", "C5": "c5", "F6": "f6", "output": "output"},
    deviations="A linear output instead of radial basis functions over drawn bitmaps; 28 pixel inputs are edged by 2 repeated pixels. "
    "Weights start with the spread 1/√fan-in of the same authors' Efficient BackProp, where this paper draws them within ±2.4/fan-in. "
    "The paper trains single samples for 20 epochs with a rate for each weight from the diagonal of the Hessian; no recipe here repeats that.",
    error="MNIST: 0.95 %, 0.8 % with distortions",
)


@architecture("lenet5", help="LeNet-5 as it is written today: full C3, max pooling, ReLU", year=1998, parameters=61_706, smallest=12, card=MODERN)
def lenet5(classes: int, shape: Shape, *, pool: Literal["max", "average"] = "max") -> nn.Module:
    """Build LeNet-5 in its modern form; `pool` chooses how patches of 2x2 are joined."""
    channels, height, width = shape
    padding = 2 if min(height, width) < 32 else 0
    height, width = (((side + 2 * padding - 4) // 2 - 4) // 2 for side in (height, width))
    return Network(
        {
            "conv1": nn.Conv2d(channels, 6, 5, padding=padding),
            **_pool_and_relu(1, pool),
            "conv2": nn.Conv2d(6, 16, 5),
            **_pool_and_relu(2, pool),
            "flatten": nn.Flatten(),
            "fc1": nn.Linear(16 * height * width, 120),
            "relu3": nn.ReLU(),
            "fc2": nn.Linear(120, 84),
            "relu4": nn.ReLU(),
            "fc3": nn.Linear(84, classes),
        }
    )


def _pool_and_relu(number: int, pool: str) -> dict[str, nn.Module]:
    """A maximum commutes with ReLU and so comes first; an average does not."""
    if pool == "max":
        return {f"pool{number}": MaxPool2d(2), f"relu{number}": nn.ReLU()}
    return {f"relu{number}": nn.ReLU(), f"pool{number}": nn.AvgPool2d(2)}


@architecture(
    "lenet5_1998",
    help="LeNet-5 as published: subsampling, table I, tanh",
    year=1998,
    parameters=60_850,
    smallest=28,
    card=HISTORIC,
)
def lenet5_1998(classes: int, shape: Shape) -> nn.Module:
    """Build LeNet-5 as the paper has it, for pictures of 32 pixels, or of 28 that are edged by 2."""
    channels, height, width = shape
    if (height, width) not in ((28, 28), (32, 32)):
        raise ArgumentError(
            f"input: {height}x{width} does not suit lenet5_1998, which takes 32x32, or 28x28 edged by 2; lenet5 takes any size from 12x12"
        )
    network = Network(
        {
            "pad": nn.ReplicationPad2d(2) if height == 28 else None,
            "c1": nn.Conv2d(channels, 6, 5),
            "c1_tanh": ScaledTanh(),
            "s2": Subsampling(6),
            "s2_tanh": ScaledTanh(),
            "c3": PartialConv2d(6, TABLE_I, 5),
            "c3_tanh": ScaledTanh(),
            "s4": Subsampling(16),
            "s4_tanh": ScaledTanh(),
            "c5": nn.Conv2d(16, 120, 5),
            "c5_tanh": ScaledTanh(),
            "flatten": nn.Flatten(),
            "f6": nn.Linear(120, 84),
            "f6_tanh": ScaledTanh(),
            "output": nn.Linear(84, classes),
        }
    )
    _lecun_uniform(network)
    return network


def _lecun_uniform(network: nn.Module) -> None:
    """Draw each unit's weights uniformly with the spread 1/√fan-in; biases start at zero."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            bound = math.sqrt(3 / module.weight[0].numel())
            nn.init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, PartialConv2d):
            module.reset_parameters(spread=1.0)
            nn.init.zeros_(module.bias)
