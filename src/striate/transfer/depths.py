"""Where a trunk's codes are taken: its card's cut points, or the ends of its blocks where there is no card."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from striate.core.contracts import Card
from striate.core.errors import ArgumentError, StriateError, unknown_name
from striate.training.groups import head_of

MOST = 4
"""Depths that are compared unless others are asked for."""


def depths(model: nn.Module, at: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the module paths whose outputs are taken as codes, shallow to deep, the input of the head last.

    `at` names others (dotted paths, or the paper's names of a zoo network); without it the deepest `MOST` cut points of the card. Raises
    `UnknownNameError` with the nearest layer's name, `ArgumentError` where a model has no layers to cut at.
    """
    paths = {path for path, _ in model.named_modules() if path}
    known = _card_of(model)
    if at is not None:
        if isinstance(at, str) or not at:
            raise ArgumentError(f"at: got {at!r}, expected a list of layer names")
        names = known.paper_names if known is not None else {}
        for name in at:
            if name not in paths and name not in names:
                raise unknown_name("layer", name, paths | set(names))
        order = [path for path, _ in model.named_modules()]
        return tuple(sorted({name if name in paths else names[name] for name in at}, key=order.index))
    if known is not None and known.cut_points:
        order = [path for path, _ in model.named_modules()]
        fitting = [path for path in known.cut_points if path in paths and order.index(path) < order.index(head_of(model))]
        if fitting:
            return tuple(without_repeats(model, fitting)[-MOST:])
    blocks = _blocks(model)
    if not blocks:
        raise ArgumentError(f"model: {type(model).__name__} has no layers before its head to take codes from; name some by at=[...]")
    return tuple(blocks[-MOST:])


def without_repeats(model: nn.Module, paths: Sequence[str]) -> list[str]:
    """Leave out a place whose successor only pools it: the pooled codes would be the same twice."""
    kept: list[str] = []
    for path in paths:
        module = model.get_submodule(path)
        if kept and isinstance(module, (nn.AdaptiveAvgPool2d, nn.Flatten, nn.Dropout, nn.Identity)):
            continue
        kept.append(path)
    return kept


def _card_of(model: nn.Module) -> Card | None:
    from striate.zoo import card, spec_of

    spec = spec_of(model)
    try:
        return None if spec is None else card(spec.name)
    except StriateError:  # networks from outside the zoo have no card
        return None


def _blocks(model: nn.Module) -> list[str]:
    """Return the outermost blocks with weights, in order, without the head: deep enough to give two or more."""
    head = head_of(model)
    weighted = [path for path, module in model.named_modules() if list(module.parameters(recurse=False)) and path != head]
    for depth in range(1, 7):
        blocks = list(dict.fromkeys(".".join(path.split(".")[:depth]) for path in weighted))
        blocks = [block for block in blocks if not head.startswith(f"{block}.")]
        if len(blocks) > 1:
            return blocks
    return weighted
