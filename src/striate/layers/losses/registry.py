"""Where losses register, as layers do: one decorated class a file and an `example()` beside it."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from striate.core.registry import Registry

losses = Registry("loss", package="striate.layers.losses")
loss = losses.register

Reduction = Literal["mean", "sum", "none"]
REDUCTIONS = ("mean", "sum", "none")


def reduced(each: Tensor, reduction: str) -> Tensor:
    """Return the losses of all samples as they are, or their mean or sum."""
    if reduction == "none":
        return each
    return each.mean() if reduction == "mean" else each.sum()
