"""Which layer is meant: a module path, a paper's name for it, or a function's address, each with a turn where it runs again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from striate.core.errors import ArgumentError, unknown_name

_TURN = re.compile(r"(?P<address>.+)\[(?P<turn>\d+)\]")


@dataclass(frozen=True)
class Place:
    """One resolved layer: the name it was asked by, its address, and its turn if one was named."""

    asked: str
    address: str
    turn: int | None

    @property
    def is_function(self) -> bool:
        """Whether this is a torch function between modules, such as `layer1/relu#1`."""
        return "#" in self.address


def places(model: nn.Module, at: str | Sequence[str], names: Mapping[str, str] | None = None) -> tuple[Place, ...]:
    """Resolve layer names.

    Module paths (`layer1.0.conv2`), functions' addresses (`layer1.0/relu#2`), and the paper's names when `names` maps them to paths (a card's
    `paper_names`); each may end in `[turn]`. Raises `UnknownNameError` with the nearest valid names, `ArgumentError` when none is given.
    """
    wanted = (at,) if isinstance(at, str) else tuple(at)
    if not wanted:
        raise ArgumentError("at: got no layer, expected at least one name")
    modules = {name for name, _ in model.named_modules() if name}
    return tuple(_place(name, modules, names or {}) for name in wanted)


def _place(asked: str, modules: set[str], names: Mapping[str, str]) -> Place:
    if not isinstance(asked, str):
        raise ArgumentError(f"at: got {type(asked).__name__}, expected layer names as strings")
    match = _TURN.fullmatch(asked)
    plain, turn = (match["address"], int(match["turn"])) if match else (asked, None)
    address = plain if plain in modules else names.get(plain, plain)
    parent, mark, _ = address.rpartition("/") if "#" in address else (address, "", "")
    if address not in modules and not (mark and (parent in modules or not parent)):
        raise unknown_name("layer", asked, modules | set(names))
    return Place(asked, address, turn)
