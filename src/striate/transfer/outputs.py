"""A network that was given may be for other classes: it gets a head for these, and says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.core.runtime import derived_seed, random_state_kept
from striate.probe import traceless
from striate.surgery import notes, replace_head

HEAD_SEED = 12
"""Keeps the random numbers of a fresh head apart from others drawn of the same seed."""


def outputs(network: nn.Module, shape: Sequence[int]) -> int | None:
    """Return how many outputs a network has for an input C H W; None where it does not run on one, or gives no logits (training says why)."""
    weight = next((p for p in network.parameters() if p.is_floating_point()), torch.empty(0))
    with traceless(network) as inner, torch.no_grad():
        try:
            made = inner.eval()(torch.zeros(2, *shape, dtype=weight.dtype, device=weight.device))
        except Exception:  # noqa: BLE001 - whatever a foreign network raises; the training that follows tells it in words
            return None
    found = first_tensor(made)
    return None if found is None or found.dim() < 2 else found.shape[1]


def first_tensor(output: Any) -> Tensor | None:
    """Return the logits in what a network gives: a tensor, the first of several, or `logits` of a mapping; None where there are none."""
    found = output.get("logits") if isinstance(output, Mapping) else output[0] if isinstance(output, (tuple, list)) and output else output
    return found if isinstance(found, Tensor) else None


def with_outputs(network: nn.Module, classes: Sequence[str], shape: Sequence[int], *, name: str | None = None, seed: int = 0) -> nn.Module:
    """Return the network where it has an output for each of `classes`, else a copy with a fresh head (`surgery.notes` says which layers).

    `name` is that of a network built for these classes, whose run is built again by it: a head put on by hand would be lost. Raises `ArgumentError`
    for such a one, and where the head cannot be replaced.
    """
    width = outputs(network, shape)
    if width is None or width == len(classes):
        return network
    if name is not None:
        raise ArgumentError(
            f"model: {name} has {width} outputs for the {len(classes)} classes of the data; let its factory take `classes` (or num_classes) "
            f"and build as many"
        )
    with random_state_kept():
        torch.manual_seed(derived_seed(seed, HEAD_SEED))
        try:
            changed = replace_head(network, classes, input=shape)
        except ArgumentError as error:
            raise ArgumentError(
                f"model: {type(network).__name__} has {width} outputs for the {len(classes)} classes of the data, and its head cannot be exchanged "
                f"({str(error).removeprefix('model: ')}). Give it {len(classes)} outputs, or choose strategy='linear'"
            ) from error
    if outputs(changed, shape) != len(classes):
        raise ArgumentError(
            f"model: {type(network).__name__} has {width} outputs for the {len(classes)} classes of the data, and a fresh head does not change that "
            f"({'; '.join(notes(changed))}). Give it {len(classes)} outputs, or choose strategy='linear'"
        )
    return changed


def told(network: nn.Module, before: nn.Module) -> tuple[str, ...]:
    """Return what surgery did to a network since it was `before`, in words."""
    known: tuple[Any, ...] = notes(before)
    return tuple(note for note in notes(network) if note not in known)
