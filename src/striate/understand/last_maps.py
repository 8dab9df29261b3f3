"""The last layer that still gives maps, before they are pooled: the one rule behind `default_layer` and every class activation map."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.probe import original, traceless
from striate.probe.watching import Watch, is_leaf

PASSED = re.compile(r"pool|dropout|identity|flatten|interpolate|upsample|pad", re.IGNORECASE)
"""Operations after the last layer that are not it: a map is looked at before it is pooled."""


class LastMaps:
    """Watches a network run: `name` is the last layer or function that gave maps (N C H W with H and W above 1), `maps` what it gave.

    `maps` is None where a later operation has written into them.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network, self.name = network, ""
        self._last: Tensor | None = None
        self._version = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch one run of the network, without gradients; raises `ArgumentError` at the end of one without any map."""
        self._last = None
        watch = Watch(self.network, gradients=False)
        watch.live = self._passing
        with torch.no_grad(), watch.watching():
            yield
        if self._last is None:
            raise ArgumentError("model: no layer of this network gives maps (N C H W with H and W above 1), so there is none to look at; give layer=")

    @property
    def maps(self) -> Tensor | None:
        """The last run's maps as the layer gave them."""
        whole = self._last is not None and self._last._version == self._version  # noqa: SLF001 - how to know that somebody wrote into it
        return self._last if whole else None

    def _passing(self, address: str, turn: int, output: Any) -> Any:
        if turn and self.name == address:
            self.name = f"{address}[0]"  # it is called again
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[-2:]) > 1 and self._is_one(address):
            self.name, self._last = f"{address}[{turn}]" if turn else address, output
            self._version = output._version  # noqa: SLF001
        return output

    def _is_one(self, address: str) -> bool:
        parent, mark, function = address.rpartition("/")
        if mark and "#" in function:
            inside = self.network.get_submodule(parent)
            return not PASSED.search(function) and not (parent and is_leaf(inside))
        module = self.network.get_submodule(address)
        return is_leaf(module) and not PASSED.search(type(module).__name__)


def default_layer(model: nn.Module, images: Tensor) -> str:
    """Return the last layer that still gives a map (N C H W with H, W > 1) before the pooling that ends it: what a CAM looks at by default.

    `images`: the network's input, one picture is enough. Raises `ArgumentError` for a network without any map.
    """
    inner, _ = original(model)
    seen = LastMaps(inner)
    with traceless(inner), torch.inference_mode(False), seen.watching():
        inner(images[:1].detach().clone())  # it may begin with an operation in place
    return seen.name
