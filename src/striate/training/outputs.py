"""What a network gives back, read as logits; a first step that says in words what is wrong with the network instead of a raw traceback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError, StriateError
from striate.training.trouble import FULL

ALONE = "more than 1 value per channel"
"""How torch says that a batch norm was given a single sample to learn from."""


def logits_in(output: Any) -> Tensor:
    """Return the logits N K of what a network gives: a tensor, the first of a tuple, or `logits` of a mapping; raises `ArgumentError`."""
    found = output.get("logits") if isinstance(output, Mapping) else output[0] if isinstance(output, tuple) and output else output
    if isinstance(output, Mapping) and found is None:
        raise ArgumentError(f"model: it returns a dict of {', '.join(map(repr, output)) or 'nothing'}, none of them 'logits'; name its logits so")
    if not isinstance(found, Tensor):
        raise ArgumentError(
            f"model: it returns a {type(output).__name__}{'' if found is output else f' that begins with a {type(found).__name__}'}, expected "
            f"logits N K, a tuple (logits, auxiliary logits ...) or a dict with 'logits'; return one of these"
        )
    if found.dim() != 2:
        flat = found.dim() > 2 and found[0, 0].numel() == 1
        mend = "end it with nn.Flatten()" if flat else "end it with nn.AdaptiveAvgPool2d(1) and nn.Flatten()" if found.dim() == 4 else "mind the axes"
        raise ArgumentError(f"model: its output is {spelled_shape(found)}, expected N K, a number for each sample and class; {mend}")
    return found


def heads_in(output: Any) -> tuple[Tensor, ...]:
    """Return the logits and those of auxiliary heads, which a tuple holds after them, each N K; raises `ArgumentError` where they are not as wide."""
    main = logits_in(output)
    others = [part for part in output[1:] if part is not None] if isinstance(output, tuple) else []
    for part in others:
        if not isinstance(part, Tensor) or part.shape != main.shape:
            came = spelled_shape(part) if isinstance(part, Tensor) else f"a {type(part).__name__}"
            raise ArgumentError(
                f"model: it returns logits of {spelled_shape(main)} and beside them {came}; what follows the logits in a tuple is "
                f"trained as auxiliary logits, as wide as they are. Return the logits alone, or a dict with 'logits' and whatever else"
            )
    return main, *others


def check_width(output: Any, classes: int, *, beside: int = 0, at_least: bool = False) -> None:
    """Raise `ArgumentError` unless there is an output for each class and `beside` more; `at_least`: further ones may be there."""
    width, wanted = logits_in(output).shape[1], classes + beside
    if width == wanted or (at_least and width > wanted):
        return
    more = f" and {beside} numbers beside them" if beside else ""
    alone = "; two classes too need an output each, which softmax weighs against each other" if width == 1 else ""
    raise ArgumentError(
        f"model: it has {width} output{'s' * (width != 1)} for the {classes} classes of the data{more}{alone}. "
        f"Give it {wanted} outputs, or let striate.fine_tune put a head for these classes on it"
    )


@contextmanager
def explained(network: nn.Module, x: Tensor, *, first: bool) -> Iterator[None]:
    """Turn what a network raises on input it does not take into an `ArgumentError`, at its `first` call; later errors are the network's own."""
    try:
        yield
    except StriateError:
        raise
    except Exception as error:
        text = (str(error).strip().splitlines() or [""])[0]
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(words in str(error).lower() for words in FULL):
            raise
        if ALONE in text:
            raise ArgumentError(
                f"batch: a step has {len(x)} sample{'s' * (len(x) != 1)}, too few for a batch norm of {type(network).__name__} to learn from "
                f"({text}). Steps of an epoch are nearly equal: choose a batch that leaves at least two in each, or nn.LayerNorm"
            ) from error
        if not first:
            raise
        raise ArgumentError(
            f"model: {type(network).__name__} raises {type(error).__name__} on a batch of {spelled_shape(x)}: {text}. It is called with this one "
            f"tensor of {str(x.dtype).removeprefix('torch.')}; its first layer has to take such channels and sizes, and forward no other argument"
        ) from error


def spelled_shape(tensor: Tensor) -> str:
    """Return a shape as people write it: 8 x 1 x 28 x 28."""
    return " x ".join(map(str, tensor.shape)) or "one number"
