"""Freezing by hand, respected by `striate.train`; a recipe's `freeze`, `head_first` and `thaw` do it by schedule."""

from __future__ import annotations

from torch import nn

from striate.training.groups import keep_statistics, up_to


def freeze(model: nn.Module, until: str) -> int:
    """Freeze everything up to and with the module `until`: no gradients, and batch norms there keep their statistics. Returns how many tensors.

    `striate.train` keeps those statistics in every epoch; in a loop of your own call `keep_statistics(model)` after each `model.train()`. Raises
    `UnknownNameError` with the nearest layer's name.
    """
    names = up_to(model, until)
    for name in names:
        model.get_parameter(name).requires_grad_(False)
    keep_statistics(model)
    return len(names)


def unfreeze(model: nn.Module, after: str | None = None) -> int:
    """Let everything learn again, or only what stands behind the module `after`; returns how many tensors. Raises `UnknownNameError`."""
    before = set(up_to(model, after)) if after is not None else set()
    names = [name for name, _ in model.named_parameters() if name not in before]
    for name in names:
        model.get_parameter(name).requires_grad_()
    return len(names)
