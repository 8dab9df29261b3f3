"""A network from a line of text, in the pattern that lectures give for plain convolutional networks.

    [(conv-relu)*N-pool?]*M-(fc-relu)*K-softmax          N usually up to 5, M large, K 0 to 2

    striate train cifar10 --model pattern --model-option "spec=[(conv-relu)*2-pool]*3-(fc-relu)*1-softmax"

    element      what it builds
    conv         3x3 convolution with as many filters as the stage has: `width`, doubled after every pool, at most 512; conv64 has 64, conv64x5 is 5x5
    pool         2x2 max pool with stride 2; pool3 is 3x3 with stride 2; meanpool is its average; a new stage begins
    fc           linear layer with `hidden` outputs; fc128 has 128
    bn, relu, tanh, sigmoid, dropout    what their names say; dropout leaves out half, dropout0.2 a fifth
    gap          the mean over all places
    softmax      the last linear layer, one output a class; the softmax itself is in the loss. It ends every line
    ( ) [ ] *n   a group, n times; `?` after an element says it may be left out and is read as: keep it

Boxes are numbered as VGG's: conv2_1 is the first convolution of the second stage.
"""

from __future__ import annotations

import re
from collections import Counter

from torch import nn

from striate.core.contracts import Card
from striate.core.errors import ArgumentError, unknown_name
from striate.zoo.boxes import Network, conv, he_normal
from striate.zoo.chains import map_size, share_left_out
from striate.zoo.registry import Shape, architecture

ELEMENTS = ("conv", "pool", "meanpool", "fc", "bn", "relu", "tanh", "sigmoid", "dropout", "gap", "softmax")
TOKEN = re.compile(r"\s*(?:([a-z]+)([\d.]+)?(?:x(\d+))?(\?)?|([\[(])|([\])])|\*\s*(\d+)|(-))\s*")
MOST = 2000
"""Boxes a line may describe; more is a slip of the pen."""

Element = tuple[str, str, str]
"""Name, number, kernel; the last two may be empty."""

CARD = Card(
    paper="Lecture notes on convolutional networks: the pattern [(conv-relu)*N-pool?]*M-(fc-relu)*K-softmax",
    year=2016,
    parameters=550_570,
    input=(3, 32, 32),
    classes=10,
    cut_points=("pool1", "pool2", "pool3", "relu_fc1"),
    groups=(("conv1_1", "conv1_2"), ("conv2_1", "conv2_2"), ("conv3_1", "conv3_2"), ("fc1",), ("fc2",)),
    paper_names={"softmax": "fc2"},
    deviations="Filters, kernels and hidden units are not in the pattern: 3x3, 32 filters doubled after every pool, 128 hidden units unless told. "
    "The card is that of the default line.",
)


@architecture(
    "pattern", help="A plain network from one line: [(conv-relu)*2-pool]*3-(fc-relu)*1-softmax", year=2016, parameters=550_570, smallest=1, card=CARD
)
def pattern(classes: int, shape: Shape, *, spec: str = "[(conv-relu)*2-pool]*3-(fc-relu)*1-softmax", width: int = 32, hidden: int = 128) -> nn.Module:
    """Build the network that the line `spec` describes; `width` is the first stage's filters, `hidden` the linear layers' outputs."""
    if width < 1 or hidden < 1:
        raise ArgumentError(f"width, hidden: got {width} and {hidden}, expected whole numbers from 1")
    elements = parse(spec)
    if not elements or elements[-1][0] != "softmax" or [name for name, _, _ in elements].count("softmax") > 1:
        raise ArgumentError(f"spec: {spec!r} must end with softmax, once: it stands for the last linear layer, one output a class")
    network = Network(_Line(classes, shape, width, hidden).built(elements))
    he_normal(network)
    return network


def parse(spec: str) -> list[Element]:
    """Return the elements of a line in order, groups written out. Raises `ArgumentError` that points at the place."""
    groups: list[tuple[str, list[Element]]] = [("", [])]
    place, repeatable = 0, 0
    while place < len(spec):
        found = TOKEN.match(spec, place)
        if not found:
            raise ArgumentError(_pointed(spec, place, "expected an element, a bracket, *number or -"))
        name, number, kernel, _optional, opened, closed, times, _dash = found.groups()
        at = place + len(found[0]) - len(found[0].lstrip())
        items = groups[-1][1]
        if name:
            if name not in ELEMENTS:
                raise ArgumentError(_pointed(spec, at, str(unknown_name("element", name, ELEMENTS))))
            items.append((name, number or "", kernel or ""))
            repeatable = 1
        elif opened:
            groups.append((opened, []))
        elif closed:
            if {"(": ")", "[": "]"}.get(groups[-1][0]) != closed:
                raise ArgumentError(_pointed(spec, at, f"{closed} closes nothing that is open"))
            inner = groups.pop()[1]
            groups[-1][1].extend(inner)
            repeatable = len(inner)
        elif times:
            if not repeatable:
                raise ArgumentError(_pointed(spec, at, "expected an element or a closed group before *"))
            last = items[len(items) - repeatable :]
            if len(items) + len(last) * int(times) > MOST:
                raise ArgumentError(_pointed(spec, at, f"that is more than {MOST} boxes"))
            items[len(items) - repeatable :] = last * int(times)
            repeatable = 0
        else:
            repeatable = 0
        place = found.end()
    if len(groups) > 1:
        raise ArgumentError(f"spec: {spec!r}: {groups[-1][0]} is never closed")
    return groups[0][1]


def _pointed(spec: str, place: int, words: str) -> str:
    return f"spec: {words}\n  {spec}\n  {' ' * place}^"


class _Line:
    """Turns elements into numbered boxes, keeping count of stages, channels and sizes."""

    def __init__(self, classes: int, shape: Shape, width: int, hidden: int) -> None:
        self.classes, self.shape, self.hidden = classes, shape, hidden
        self.channels, self.width = shape[0], width
        self.boxes: dict[str, nn.Module] = {}
        self.stage, self.seen, self.flat = 1, Counter[str](), False

    def built(self, elements: list[Element]) -> dict[str, nn.Module]:
        for element in elements:
            name, number, kernel = element
            try:
                if name in ("fc", "softmax"):
                    self._linear(name, _whole(number, self.hidden))
                else:
                    self._spatial(name, number, kernel)
            except ValueError as error:
                raise ArgumentError(f"spec: {name}{number}{f'x{kernel}' if kernel else ''}: {error}") from None
        return self.boxes

    def _linear(self, name: str, outputs: int) -> None:
        if not self.flat:
            height, width = map_size(Network(self.boxes), *self.shape[1:])
            if "gap" in self.boxes:
                height = width = 1
            self.boxes["flatten"] = nn.Flatten()
            self.channels, self.flat = self.channels * height * width, True
        outputs = self.classes if name == "softmax" else outputs
        self.boxes[self._called("fc")] = nn.Linear(self.channels, outputs)
        self.channels = outputs

    def _spatial(self, name: str, number: str, kernel: str) -> None:
        if self.flat and name in ("conv", "pool", "meanpool", "gap"):
            raise ArgumentError(f"spec: {name} stands behind a linear layer, where there is no height and width left; put it before the first fc")
        if name == "conv":
            width, size = _whole(number, self.width), _whole(kernel, 3)
            self.boxes[self._called("conv")] = conv(self.channels, width, size, bias=True)
            self.channels = width
        elif name in ("pool", "meanpool"):
            kind = nn.MaxPool2d if name == "pool" else nn.AvgPool2d
            self.boxes[f"pool{self.stage}"] = kind(_whole(number, 2), 2)
            map_size(Network(self.boxes), *self.shape[1:])
            self.stage, self.width = self.stage + 1, min(2 * self.width, max(512, self.width))
            self.seen.clear()
        elif name == "gap":
            self.boxes["gap"] = nn.AdaptiveAvgPool2d(1)
        elif name == "dropout":
            self.boxes[self._called(name)] = share_left_out(float(number or 0.5))
        elif name == "bn":
            self.boxes[self._called(name)] = nn.BatchNorm1d(self.channels) if self.flat else nn.BatchNorm2d(self.channels)
        else:
            self.boxes[self._called(name)] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[name]()

    def _called(self, name: str) -> str:
        """Count alike boxes: conv1_2, relu2_1 before the linear layers; fc1, relu_fc1 among them."""
        if name == "fc":
            self.seen = Counter({"fc": self.seen["fc"] + 1 if "fc1" in self.boxes else 1})
            return f"fc{self.seen['fc']}"
        self.seen[name] += 1
        if not self.flat:
            return f"{name}{self.stage}_{self.seen[name]}"
        again = f"_{self.seen[name]}" if self.seen[name] > 1 else ""
        return f"{name}_fc{self.seen['fc']}{again}"


def _whole(number: str, otherwise: int) -> int:
    if not number:
        return otherwise
    if not number.isdigit() or int(number) < 1:
        raise ValueError(f"got {number}, expected a whole number from 1")
    return int(number)
