"""Layers' outputs as they come, graph and all: to put an objective on (activation maximisation, inversion), or to change on their way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.probe.addresses import Place, places
from striate.probe.untouched import traceless
from striate.probe.unwrapping import original
from striate.probe.watching import Watch


class Taps(Mapping[str, Tensor]):
    """The outputs of the last forward pass, by the names they were asked by; differentiable down to the input."""

    def __init__(self, model: nn.Module, wanted: tuple[Place, ...]) -> None:
        self.model, self._wanted = model, {place.asked: place for place in wanted}
        self._found: dict[str, dict[int, Any]] = {}

    def __getitem__(self, name: str) -> Tensor:
        place = self._wanted[name]
        turns = self._found.get(place.address, {})
        if not turns:
            raise ArgumentError(f"{name}: not called yet; run the model inside the block first")
        if place.turn is None and len(turns) > 1:
            raise ArgumentError(f"{name} is called {len(turns)} times; say which: {name}[0] to {name}[{len(turns) - 1}]")
        turn = place.turn or 0
        if turn not in turns:
            raise ArgumentError(f"{name}: it is called {len(turns)} times, so the last turn is [{len(turns) - 1}]")
        found = turns[turn]
        if isinstance(found, Tensor):
            return found
        raise ArgumentError(f"{name}: returns {type(found).__name__}, expected a layer that returns one tensor")

    def __iter__(self) -> Iterator[str]:
        return iter(self._wanted)

    def __len__(self) -> int:
        return len(self._wanted)

    def take(self, address: str, turn: int, output: Any) -> Any:
        """Keep one output; a copy with its graph, so that in-place operations after the layer do not reach it."""
        kept = output.clone() if isinstance(output, Tensor) else output
        if turn == 0:
            self._found[address] = {}
        self._found[address][turn] = kept
        return output


@contextmanager
def tapped(model: nn.Module, at: str | Sequence[str], *, names: Mapping[str, str] | None = None) -> Iterator[Taps]:
    """Inside the block, after each `taps.model(x)`, hold the outputs of the layers `at` with their graphs, ready for an objective.

    Layer names as in `activations`. The model is left as it was at the end of the block (see `traceless`). A gradient *at* a layer is `gradients`'
    affair: a tap is a side branch. Raises `UnknownNameError`, `ArgumentError`.
    """
    inner, _ = original(model)
    wanted = places(inner, at, names)
    taps = Taps(inner, wanted)
    watch = Watch(inner, gradients=False, only={place.address for place in wanted})
    watch.live = taps.take
    with traceless(inner), watch.watching():
        yield taps


@contextmanager
def edited(
    model: nn.Module, changes: Mapping[str, Callable[[Any], Any]], *, names: Mapping[str, str] | None = None, held: bool = False
) -> Iterator[nn.Module]:
    """Inside the block the outputs of layers pass through functions before the model goes on: `{layer: function}`; yields the model to run.

    A name without `[turn]` means every turn. For switching off units, and for initialisation that looks at what a layer gives. The model is left
    as it was at the end of the block (see `traceless`); `held` says that a block around this one sees to that.
    Raises `UnknownNameError`, `ArgumentError`.
    """
    inner, _ = original(model)
    wanted = {place: changes[place.asked] for place in places(inner, tuple(changes), names)}

    def change(address: str, turn: int, output: Any) -> Any:
        for place, function in wanted.items():
            if place.address == address and place.turn in {None, turn}:
                output = function(output)
        return output

    watch = Watch(inner, gradients=False, only={place.address for place in wanted})
    watch.live = change
    with nullcontext() if held else traceless(inner), watch.watching():
        yield inner
