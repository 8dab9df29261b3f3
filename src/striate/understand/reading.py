"""Layers' outputs, graph and all, without running what comes after the last of them; and which layers stand at which size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.probe import edited, tapped
from striate.understand.inputs import Prepared
from striate.understand.last_maps import map_layers

_RECTIFIERS = ("relu", "gelu", "silu", "elu", "hardswish", "leaky", "prelu")


class _Seen(BaseException):
    """All layers have answered. No Exception: models that catch those let it pass."""


@contextmanager
def reading(p: Prepared, layers: Sequence[str]) -> Iterator[Callable[[Tensor], Mapping[str, Tensor]]]:
    """Yield a function from pixels N C H W to the outputs of `layers` by name, differentiable; it runs the network no further than it must.

    So pictures of any size will do as long as the layers take them. The network itself may be run inside the block too. Raises `UnknownNameError`,
    `ArgumentError` for a layer that is not there, gives no tensor, or is called several times and no turn is named.
    """
    with torch.no_grad(), tapped(p.network, list(layers)) as taps:
        failure: Exception | None = None
        try:
            p.output(p.pixels[:1])
        except (ArgumentError, RuntimeError) as error:  # what comes after the layers need not take pictures of this size
            failure = error
        for name in layers:
            try:
                output = taps[name]
            except ArgumentError as unseen:
                raise failure or unseen from None
            if not output.is_floating_point():
                raise ArgumentError(f"layer: {name} gives {output.dtype}, expected floating-point values")
    found: dict[str, Tensor] = {}
    asked = False

    def keep(name: str, output: Tensor) -> Tensor:
        half = output.dtype in (torch.float16, torch.bfloat16)  # sums of squares leave their range
        found[name] = output.float() if half else output.clone()  # a layer after it may write into it
        if asked and len(found) == len(set(layers)):
            raise _Seen
        return output

    def read(pixels: Tensor) -> Mapping[str, Tensor]:
        nonlocal asked
        found.clear()
        asked = True
        try:
            with suppress(_Seen):
                p.output(pixels)
        finally:
            asked = False
        return dict(found)

    with edited(p.network, {name: partial(keep, name) for name in layers}):
        yield read


def stages(p: Prepared) -> list[list[str]]:
    """Return the layers that give maps (see `map_layers`), in the order of the run, grouped by the maps' size; pooling and its like left out.

    Of a convolution, its norm and its ReLU only the last is named. Raises `ArgumentError` for a network without maps.
    """
    found: list[list[str]] = []
    size: tuple[int, ...] = ()
    for layer in map_layers(p.network, p.preprocess(p.pixels[:1]), scorer=p.scorer).layers:
        name = layer.operation.lower()
        if tuple(layer.maps.shape[2:]) != size:
            found.append([])
            size = tuple(layer.maps.shape[2:])
        if found[-1] and ("norm" in name or name.startswith(_RECTIFIERS)):
            found[-1].pop()
        found[-1].append(layer.name)
    return found
