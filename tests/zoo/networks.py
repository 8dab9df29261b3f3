"""What the zoo's contract suites share: which architectures the fast suite runs, quick inputs, networks on the meta device."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from striate import zoo
from striate.core.contracts import Card
from striate.zoo.registry import architectures

NAMES = zoo.names()
QUICK = ("lenet5", "lenet5_1998", "mlp", "sprint28", "sprint32", "pattern", "nin_cifar", "squeezenet1_1", "resnet18", "resnet20")
"""Run through the whole contract in the fast suite."""
FORMS = (
    *("alexnet", "alexnet_2012", "alexnet_227", "zfnet", "nin", "vgg11", "vgg11_bn", "squeezenet1_0", "googlenet", "googlenet_2014", "inception_v3"),
    *("densenet121", "densenet_40_12", "densenet_bc_100_12", "dpn68", "fractalnet20", "resnet50", "resnet50_v1", "plain18", "plain20"),
    *("preact_resnet50", "preact_resnet164", "wide_resnet50_2", "wide_resnet16_8", "resnext50_32x4d", "resnext29_8x64d", "text_cnn"),
)
"""One of each form of block: with the quick ones, run through the whole contract in the slow suite. The others are more of the same blocks, deeper
or wider: what takes seconds runs them by hand (marker soak), the rest in the slow suite too."""
FAMILIES = ("alexnet_2012", "densenet_40_12", "dpn68", "fractalnet20", "googlenet", "preact_resnet50", "text_cnn")
"""Other kinds of blocks in the fast suite, where a test computes nothing."""
ENDLESS = ("resnet1202", "preact_resnet1001")
"""So many of the same blocks that even what computes nothing takes seconds."""
SENTENCES = ("text_cnn",)
"""Their input is the numbers of words, so what changes a picture's digits or layout is not for them (test_text_cnn.py has what is)."""


def each(*quick: str, forms: bool = False) -> list[Any]:
    """Return every architecture for a parametrised test; all but the named ones are slow, with `forms` all but FORMS run by hand."""
    marks = {name: pytest.mark.soak if forms and name not in (*QUICK, *FORMS) else pytest.mark.slow for name in NAMES}
    return [name if name in quick else pytest.param(name, marks=marks[name]) for name in NAMES]


def small(name: str) -> tuple[int, ...]:
    """Return a quick input: 16 pixels where the network takes them, 9 words."""
    if name in SENTENCES:
        return (9,)
    channels, height, width = zoo.card(name).input
    if name == "lenet5_1998":
        return (channels, 28, 28)
    side = max(16, architectures.entry(name).facts["smallest"])
    return (channels, min(height, side), min(width, side))


def build(name: str, classes: Any = 7, shape: tuple[int, ...] | None = None, **options: Any) -> nn.Module:
    """Build with seed 0, small unless told."""
    torch.manual_seed(0)
    return zoo.build(name, classes=classes, input=shape or small(name), options=options)


@cache
def published_form(name: str, **options: Any) -> tuple[Card, nn.Module]:
    """Return the card and the network for the paper's input and classes on the meta device, in eval mode; built once, so leave it as it is."""
    card = zoo.card(name)
    with torch.device("meta"):
        return card, zoo.build(name, classes=card.classes, input=card.input, options=options).eval()


def pictures(shape: tuple[int, ...], count: int = 4) -> Tensor:
    """Return random pictures C H W, or sentences L, the same every time."""
    draw = torch.Generator().manual_seed(1)
    return torch.randint(1, 99, (count, *shape), generator=draw) if len(shape) == 1 else torch.randn(count, *shape, generator=draw)


def blank(shape: tuple[int, ...], count: int = 4) -> Tensor:
    """Return an empty input of that shape on the device in charge."""
    return torch.empty(count, *shape, dtype=torch.long if len(shape) == 1 else torch.float)


def leaves(model: nn.Module) -> dict[str, nn.Module]:
    """Return the boxes: modules without children, by path."""
    return {name: module for name, module in model.named_modules() if not list(module.children())}


def calibrated(model: nn.Module, x: Tensor) -> nn.Module:
    """Set batch-norm statistics to those of `x`, so that a random net in eval mode gives sane numbers."""
    norms = [m for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 1.0
    with torch.no_grad():
        model.train()(x)
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum
    return model.eval()
