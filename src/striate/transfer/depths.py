"""Where a trunk's codes are taken: its card's cut points, or the ends of its blocks where there is no card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from striate.core.contracts import Card
from striate.core.errors import ArgumentError, StriateError, unknown_name
from striate.probe import traceless
from striate.surgery.following import unwrapped
from striate.surgery.heads import heads_of
from striate.surgery.order import runs
from striate.training.groups import head_of

MOST = 4
"""Depths that are compared unless others are asked for."""


def depths(model: nn.Module, at: Sequence[str] | None = None, *, shape: Sequence[int] | None = None) -> tuple[str, ...]:
    """Return the module paths whose outputs are taken as codes, shallow to deep, the input of the head last.

    `at` names others (dotted paths, or the paper's names of a zoo network); without it the deepest `MOST` cut points of the card, or blocks
    that are called once and give one tensor (seen in a run on zeros of `shape` C H W, or of a usual size).
    Raises `UnknownNameError` with the nearest layer's name, `ArgumentError` where a model has no layers to cut at.
    """
    model = unwrapped(model)
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
    blocks = _blocks(model, shape)
    if not blocks:
        raise ArgumentError(
            f"model: {type(model).__name__} has no layers before its head that are called once and give one tensor to take codes from; "
            f"name some by at=[...]"
        )
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


def _blocks(model: nn.Module, shape: Sequence[int] | None) -> list[str]:
    """Return the outermost blocks with weights, in the order of their calls, without the head: deep enough to give two or more."""
    called = called_once(model, shape)
    if called is None:  # it does not run here: as its modules are registered
        head = head_of(model)
        called = [path for path, _ in model.named_modules() if path and path != head and not head.startswith(f"{path}.")]
    weighted = [path for path in called if any(True for _ in model.get_submodule(path).parameters())]
    for depth in range(1, 7):
        blocks = [path for path in weighted if path.count(".") == depth - 1 or (path.count(".") < depth - 1 and not _holds(path, weighted))]
        if len(blocks) > 1:
            return blocks
    return [path for path in weighted if not _holds(path, weighted)]


def _holds(path: str, others: Sequence[str]) -> bool:
    return any(other.startswith(f"{path}.") for other in others)


def called_once(model: nn.Module, shape: Sequence[int] | None) -> list[str] | None:
    """Return the modules that are called once before the head and give one tensor, a row or maps a picture, in the order in which they end.

    None where the model does not run on an input of that shape.
    """
    known = runs(model, shape)
    if known is None:
        return None
    heads, _ = heads_of(model, known)
    made: list[tuple[str, Any]] = []
    with traceless(model) as inner, torch.no_grad():
        inner.eval()
        weight = next((p for p in inner.parameters() if p.is_floating_point()), torch.empty(0))
        handles = [m.register_forward_hook(lambda _m, _x, out, path=path: made.append((path, out))) for path, m in inner.named_modules() if path]
        try:
            inner(torch.zeros(2, *known, dtype=weight.dtype, device=weight.device))
        finally:
            for handle in handles:
                handle.remove()
    turns = Counter(path for path, _ in made)
    ends = [place for place, (path, _) in enumerate(made) if path in heads or any(head.startswith(f"{path}.") for head in heads)]
    before = made[: ends[0]] if ends else made
    return [path for path, out in before if turns[path] == 1 and isinstance(out, Tensor) and out.dim() > 1 and len(out) == 2]
