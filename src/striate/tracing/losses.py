"""The number a trace goes back from: a loss by name, or a function of one's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from striate.core.errors import ArgumentError, StriateError, unknown_name
from striate.tracing.checking import plain

LOSSES = ("cross_entropy", "log_loss", "hinge", "squared_error", "sum")
"""cross_entropy: of logits and class numbers, mean over the samples. log_loss: -log of the target's share, for a network that ends in softmax.
hinge: Σ over wrong classes of max(0, s_j − s_y + 1), mean over the samples. squared_error: Σ (y − t)², mean over the samples. sum: Σ y."""


@dataclass(frozen=True)
class Loss:
    """A loss ready to be called on the network's output; `name` is one of `LOSSES` or a function's own."""

    name: str
    function: Callable[[Any], Tensor]
    target: Tensor | None = None
    note: str = ""


def chosen_loss(loss: str | Callable[[Any], Tensor] | None, target: int | npt.ArrayLike | Tensor | None, *, shares: bool) -> Loss:
    """Make the loss that is asked for. Without one: cross-entropy for class numbers, squared error for other targets, else the sum of the output.

    `shares` says that the network ends in softmax, where the logarithm is taken of the share itself. Raises `ArgumentError`.
    """
    if callable(loss):
        if target is not None:
            raise ArgumentError("target: is not used where loss is a function of the output; build it into the function")
        return Loss(getattr(loss, "__name__", type(loss).__name__), loss)
    if loss is not None and not isinstance(loss, str):
        raise ArgumentError(f"loss: got {type(loss).__name__}, expected {', '.join(LOSSES)}, or a function of the network's output")
    goal = None if target is None else _as_target(target)
    name, note = loss, ""
    if name is None:
        if goal is None:
            name, note = "sum", "no target was given: the loss is the sum of the output, so that every message begins with 1"
        elif goal.is_floating_point():
            name = "squared_error"
        else:
            name = "log_loss" if shares else "cross_entropy"
    name = name.replace("-", "_")
    if name not in LOSSES:
        raise unknown_name("loss", name, LOSSES)
    if goal is None and name != "sum":
        raise ArgumentError(f"loss {name!r} needs a target: {'a class number' if name != 'squared_error' else 'numbers of the shape of the output'}")
    if goal is not None and name == "sum":
        raise ArgumentError("target: the loss 'sum' takes none; leave it out or choose cross_entropy, hinge or squared_error")
    return Loss(name, _Named(name, goal), goal, note)


class LossFailed(Exception):  # noqa: N818 - said as it is read
    """The loss raised an error of its own on the network's output."""

    def __init__(self, error: Exception, output: Any) -> None:
        super().__init__(next(iter(str(error).splitlines()), type(error).__name__))
        self.output = output


def failing_as_such(loss: Loss) -> Callable[[Any], Tensor]:
    """Return the loss's function, whose own errors are `LossFailed`, so that the network is not blamed for them."""

    def function(output: Any) -> Tensor:
        try:
            return loss.function(output)
        except StriateError:
            raise
        except Exception as error:
            raise LossFailed(error, output) from error

    return function


@dataclass(frozen=True)
class _Named:
    """A loss of `LOSSES` with its target."""

    name: str
    target: Tensor | None

    def __call__(self, output: Any) -> Tensor:
        if not isinstance(output, Tensor):
            raise ArgumentError(
                f"loss: the network gives {type(output).__name__}, not one array; give loss=, a function of it that returns one number"
            )
        if self.target is None:
            return output.sum()
        if self.name == "squared_error":
            goal = self.target.to(output.dtype)
            if goal.numel() != output.numel():
                raise ArgumentError(f"target: got shape {tuple(goal.shape)}, expected the output's, {tuple(output.shape)}")
            return (output - goal.reshape(output.shape)).square().sum() / len(output)
        classes = self.target.reshape(-1)
        if output.ndim != 2:
            raise ArgumentError(
                f"target: class numbers need an output of samples x classes, and this network's is {tuple(output.shape)}; end it with flatten"
            )
        if len(classes) == 1:
            classes = classes.expand(len(output))
        if len(classes) != len(output):
            raise ArgumentError(f"target: got {len(classes)} class numbers for {len(output)} samples")
        if not bool(((classes >= 0) & (classes < output.shape[1])).all()):
            raise ArgumentError(f"target: got {classes.tolist()}, expected class numbers from 0 to {output.shape[1] - 1}")
        if self.name == "cross_entropy":
            return F.cross_entropy(output, classes)
        if self.name == "log_loss":
            return F.nll_loss(output.log(), classes)
        right = output.gather(1, classes[:, None])
        margins = (output - right + 1).clamp(min=0).scatter(1, classes[:, None], 0.0)
        return margins.sum() / len(output)


def _as_target(target: int | npt.ArrayLike | Tensor) -> Tensor:
    if isinstance(target, str):
        raise ArgumentError(f"target: got {target!r}, expected class numbers (the first class is 0) or an array of numbers of the output's shape")
    found = target if isinstance(target, Tensor) else torch.from_numpy(np.atleast_1d(plain("target", target)))
    if found.dtype == torch.bool:
        raise ArgumentError("target: got true or false, expected class numbers or an array of numbers")
    if found.is_complex() or not bool(found.isfinite().all()):
        raise ArgumentError("target: holds NaN, infinity or complex numbers, expected class numbers or an array of numbers")
    return found.to("cpu", torch.float64 if found.is_floating_point() else torch.int64)
