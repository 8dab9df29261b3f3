"""Multi-layer perceptron. LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998, section III.C.

    layer     units    parameters
    input     28x28
    fc1       300      784 * 300 + 300 = 235,500
    fc2       100      300 * 100 + 100 = 30,100
    fc3       10       100 * 10 + 10   = 1,010        266,610 in all

Any picture is flattened first; `widths` are the hidden layers' units, none makes a linear classifier. Without activations the layers collapse: the
network is then the one linear layer W₃W₂W₁. Deviations: ReLU where the paper has tanh (`activation` chooses), He's initialisation for it.
"""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

from striate.core.contracts import Card
from striate.core.errors import ArgumentError
from striate.zoo.boxes import Network
from striate.zoo.registry import Shape, architecture

CARD = Card(
    paper="LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition",
    year=1998,
    parameters=266_610,
    input=(1, 28, 28),
    classes=10,
    cut_points=("act1", "act2"),
    groups=(("fc1",), ("fc2",), ("fc3",)),
    paper_names={"hidden 1": "fc1", "hidden 2": "fc2", "output": "fc3"},
    deviations="ReLU instead of tanh, and a softmax instead of squared error. Cut points, groups and names are those of two hidden layers.",
    error="MNIST: 3.05 % (2.50 % with distortions)",
)
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "none": None}


@architecture("mlp", help="Multi-layer perceptron: fully connected layers of any width", year=1998, parameters=266_610, smallest=1, card=CARD)
def mlp(
    classes: int, shape: Shape, *, widths: tuple[int, ...] = (300, 100), activation: Literal["relu", "tanh", "sigmoid", "none"] = "relu"
) -> nn.Module:
    """Build a perceptron of hidden layers `widths` units wide, each followed by `activation`."""
    if any(width < 1 for width in widths):
        raise ArgumentError(f"widths: got {widths}, expected the units of each hidden layer, 1 or more")
    boxes: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    units, kind = math.prod(shape), ACTIVATIONS[activation]
    for number, width in enumerate(widths, 1):
        boxes[f"fc{number}"] = nn.Linear(units, width)
        if kind is not None:
            boxes[f"act{number}"] = kind()
        units = width
    boxes[f"fc{len(widths) + 1}"] = nn.Linear(units, classes)
    network = Network(boxes)
    for box in network:
        if isinstance(box, nn.Linear):
            gain = math.sqrt(2) if activation == "relu" else 1.0
            nn.init.normal_(box.weight, std=gain / math.sqrt(box.in_features))
            nn.init.zeros_(box.bias)
    return network
