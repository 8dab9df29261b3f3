"""From whatever a network returns to class scores N K, and from them to shares: logits, softmax's logarithms, or one score a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from striate.core.errors import ArgumentError

Scorer = Callable[[Any, int], tuple[Tensor, tuple[str, ...]]]
"""How class scores are read from what a network made of so many pictures; see `scores_of`."""
SUM = 2e-3
"""How near the sums of rows come to 1 where a network ends in a softmax, half precision included."""
SEVERAL = "the network returns several outputs: the first is taken for the class scores"
SOFTMAX = "the network ends in a softmax: its logarithm is taken for the class scores, whose softmax is what the network says"
SIGMOID = "all scores lie between 0 and 1: a network that ends in a sigmoid is better explained without it"
ONE = "the network gives one score a picture: its sigmoid is taken for the probability"


def scores_of(output: Any, count: int, *, classes: int | None = None) -> tuple[Tensor, tuple[str, ...]]:
    """Return class scores N K for what a network made of `count` pictures, differentiable, and what a person should know of them.

    Taken: a tensor, an object's `.logits`, a mapping's `logits`, the first of several tensors; half precision is raised to float32. Shares, which
    are not negative and add up to 1, are turned into their logarithms. `classes`: how many of the outputs, the first, are class scores, plain
    logits, where others stand behind them (a box); None: all. Raises `ArgumentError` for anything else.
    """
    found, notes = output, list[str]()
    named = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(named, Tensor):
        found = named
    elif isinstance(output, (tuple, list)) and output and isinstance(output[0], Tensor):
        found = output[0]
        notes.append(SEVERAL)
    if not isinstance(found, Tensor) or found.ndim != 2:
        came = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ArgumentError(
            f"model: returns {came} for {count} picture{'s' * (count != 1)}, expected class scores N K; this method needs a classifier"
        )
    scores = found.float() if found.dtype in (torch.float16, torch.bfloat16) else found
    if classes is not None:
        return scores[:, :classes], tuple(notes)
    seen = scores.detach()
    if scores.shape[1] == 1:
        notes.append(ONE)
    elif bool((seen >= 0).all()) and bool((seen <= 1).all()):
        if bool(((seen.sum(1) - 1).abs() <= SUM).all()):
            return scores.clamp_min(torch.finfo(scores.dtype).tiny).log(), (*notes, SOFTMAX)
        notes.append(SIGMOID)
    return scores, tuple(notes)


def shares(scores: Tensor) -> Tensor:
    """Return probabilities N K for class scores N K: their softmax, or the sigmoid of one score a picture."""
    return scores.softmax(1) if scores.shape[1] > 1 else scores.sigmoid()


def several(scores: Tensor) -> None:
    """Raise `ArgumentError` where there is one score a picture, so that no class can be turned into another."""
    if scores.shape[1] == 1:
        raise ArgumentError(
            "model: gives one score a picture, and turning one class into another takes two; wrap it so that it returns both, "
            "such as torch.cat([-z, z], 1) / 2, whose softmax is the sigmoid of z"
        )
