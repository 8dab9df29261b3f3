"""Which layer is meant: a module path, a paper's name for it, or a function's address, each with a turn where it runs again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from striate.core.errors import ArgumentError, unknown_name

_TURN = re.compile(r"(?P<address>.+)\[(?P<turn>\d+)\]")


@dataclass(frozen=True)
class Place:
    """One resolved layer: the name it was asked by, its address, its turn if one was named, and whether it is a function (`layer1/relu#1`)."""

    asked: str
    address: str
    turn: int | None
    is_function: bool = False


def places(model: nn.Module, at: str | Sequence[str], names: Mapping[str, str] | None = None) -> tuple[Place, ...]:
    """Resolve layer names.

    Module paths (`layer1.0.conv2`), functions' addresses (`layer1.0/relu#2`), and the paper's names when `names` maps them to paths (a card's
    `paper_names`); each may end in `[turn]`. A module whose own name has such marks in it goes before what they would mean. Raises `UnknownNameError`
    with the nearest valid names, `ArgumentError` when none is given, or something else than names.
    """
    if isinstance(at, str):
        wanted: tuple[Any, ...] = (at,)
    elif isinstance(at, nn.Module) or not isinstance(at, Iterable):
        raise ArgumentError(f"layer: {_came(model, at)}")
    else:
        wanted = tuple(at)
    if not wanted:
        raise ArgumentError("layer: got no layer, expected at least one name")
    modules = {name for name, _ in model.named_modules() if name}
    return tuple(_place(one_name(model, name), modules, names or {}) for name in wanted)


def one_name(model: nn.Module, layer: Any, what: str = "layer") -> str:
    """Return `layer` where it is one layer's name; raises `ArgumentError`, which names the module that was given instead, for anything else."""
    if not isinstance(layer, str) or not layer:
        raise ArgumentError(f"{what}: {_came(model, layer)}")
    return layer


def _came(model: nn.Module, layer: Any) -> str:
    own = next((name for name, module in model.named_modules() if module is layer and name), None)
    if own is not None:
        return f"got the module itself, expected its name, {own!r}"
    came = "an empty name" if layer == "" and isinstance(layer, str) else type(layer).__name__
    return f"got {came}, expected a layer's name as text, such as 'layer1.0.conv2' or '/relu#1'"


def _place(asked: str, modules: set[str], names: Mapping[str, str]) -> Place:
    match = _TURN.fullmatch(asked) if asked not in modules else None
    plain, turn = (match["address"], int(match["turn"])) if match else (asked, None)
    address = plain if plain in modules else names.get(plain, plain)
    if address in modules:
        return Place(asked, address, turn)
    parent, mark, _ = address.rpartition("/") if "#" in address else (address, "", "")
    if not mark or not (parent in modules or not parent):
        raise unknown_name("layer", asked, modules | set(names))
    return Place(asked, address, turn, is_function=True)
