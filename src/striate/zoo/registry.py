"""Where architectures register. A family's file decorates one function a network; names, help and facts are literals, read without torch.

    @architecture("resnet18", help="ResNet of 18 layers", year=2015, parameters=11_689_512, smallest=8, card=CARDS["resnet18"])
    def resnet18(classes: int, shape: Shape, *, stem: Literal["auto", "imagenet", "small"] = "auto") -> nn.Module: ...

The first two parameters are given by `build`; the keyword-only ones are the network's options.
`year` and `parameters` repeat the card's figures for listings; `smallest` is the least height and width that fits the strides.
A network whose card has an input of one number takes sentences: its `shape` is (L,), and `smallest` the least length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from striate.core.contracts import Card
from striate.core.registry import Registry

if TYPE_CHECKING:
    from torch import nn

Factory = TypeVar("Factory", bound="Callable[..., nn.Module]")
Shape = tuple[int, int, int]
"""One input: channels, height, width."""

architectures = Registry("architecture", package="striate.zoo")
cards: dict[str, Card] = {}
"""The cards of the families imported so far; `striate.zoo.card` imports what it is asked for."""


def architecture(
    name: str,
    *,
    help: str,  # noqa: A002 - the registry's word
    year: int,
    parameters: int,
    smallest: int,
    card: Card,
) -> Callable[[Factory], Factory]:
    """Decorate a factory as the architecture `name`; all arguments but `card` are literals."""
    register = architectures.register(name, help=help, year=year, parameters=parameters, smallest=smallest)

    def keep(factory: Factory) -> Factory:
        cards[name] = card
        return register(factory)

    return keep
