"""What a network makes of many pictures at one layer: a code each, and where the last code before the class scores is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.autoencode.building import Autoencoder
from striate.core.errors import ArgumentError
from striate.probe import activations, edited, record
from striate.understand.inputs import Prepared
from striate.understand.last_maps import default_layer
from striate.understand.samples import Samples
from striate.understand.scoring import Scorer, scores_of

Array = np.ndarray[Any, Any]
VOTERS = 10
_CARRY = ("flatten", "Flatten", "dropout", "Dropout", "Identity", "view", "reshape", "squeeze")


def code_layer(network: nn.Module, x: Tensor, *, scorer: Scorer = scores_of) -> str:
    """Return the layer whose output goes into the last dense layer: the code; itself where it is the only layer; without one, the last with maps.

    Of an `Autoencoder` it is the last box of its encoder. `scorer`: how class scores are read from the network's output; a dense layer that they do
    not depend on, of a box's head, does not count.
    """
    if isinstance(network, Autoencoder):
        return f"encoder.{list(network.encoder.named_children())[-1][0]}"
    recording = record(network, x[:1])
    dense = [number for number, call in enumerate(recording.calls) if isinstance(call.module, nn.Linear) or call.operation == "linear"]
    if scorer is not scores_of:
        dense = [number for number in dense if _counts(network, x[:1], recording.name_of(recording.calls[number]), scorer)]
    if dense:
        for call in reversed(recording.calls[: dense[-1]]):
            plain = call.outputs[0] if len(call.outputs) == 1 else None
            if plain is not None and plain.ndim in (2, 4) and len(plain) == 1 and not call.operation.startswith(_CARRY):
                return recording.name_of(call)
        return recording.name_of(recording.calls[dense[-1]])
    return default_layer(network, x, scorer=scorer)


def _counts(network: nn.Module, x: Tensor, layer: str, scorer: Scorer) -> bool:
    """Tell whether the class scores depend on a layer: whether another output of it changes them. Without class scores every layer counts."""
    with torch.no_grad():
        output = network(x.clone())
        with edited(network, {layer: lambda found: found + 1}):
            changed = network(x.clone())
        try:
            return not torch.equal(scorer(output, len(x))[0], scorer(changed, len(x))[0])
        except ArgumentError:
            return True


def codes_of(p: Prepared, samples: Samples, layer: str | None) -> tuple[Array, str, tuple[str, ...]]:
    """Return codes N D float32 of all samples, the layer they are from, and notes. Maps N C H W are averaged over positions, which the notes say.

    The code of an `Autoencoder` is all its numbers, maps too.
    """
    place = code_layer(p.network, p.inputs, scorer=p.scorer) if layer is None else layer
    whole = layer is None and isinstance(p.network, Autoencoder)
    parts: list[Tensor] = []
    averaged = False
    with torch.no_grad():
        for start in range(0, len(samples), p.batch):
            found = activations(p.network, p.preprocess(p.ready(samples.pixels[start : start + p.batch])), at=place, names=p.paper_names)[place]
            if found.ndim not in (2, 4):
                raise ArgumentError(f"layer: the output of {place} has shape {tuple(found.shape)}, expected N F or N C H W")
            averaged = found.ndim == 4 and not whole and min(found.shape[-2:]) > 1
            parts.append((found.flatten(1) if whole else found.mean((2, 3)) if found.ndim == 4 else found).float().cpu())
    codes = torch.cat(parts).numpy()
    if not np.isfinite(codes).all():
        raise ArgumentError(f"model: the codes at {place} are NaN or infinite for some pictures")
    return codes, place, (f"the maps of {place} were averaged over their positions",) if averaged else ()


def pixel_codes(samples: Samples) -> Array:
    """Return the pictures themselves as codes, N D float32, values in [0, 1]."""
    flat = samples.pixels.flatten(1)
    found: Array = (flat.float() / 255 if flat.dtype == torch.uint8 else flat.float()).numpy()
    return found


def nearest(codes: Array, count: int, rows: Array | None = None) -> tuple[Array, Array]:
    """Return for the samples `rows` (all by default) the `count` nearest others by Euclidean distance, nearest first: numbers and distances."""
    values = torch.from_numpy(np.ascontiguousarray(codes, dtype=np.float32))
    values = values - values.mean(0)
    squares = (values * values).sum(1)
    asked = torch.arange(len(values)) if rows is None else torch.from_numpy(np.asarray(rows, dtype=np.int64))
    numbers, distances = [], []
    for part in torch.split(asked, 512):
        square = squares[part, None] + squares[None] - 2 * values[part] @ values.T
        square[torch.arange(len(part)), part] = torch.inf
        best = square.topk(count, largest=False)
        exact = (values[part, None] - values[best.indices]).square().sum(-1).sqrt()  # the difference of large squares is not
        numbers.append(best.indices)
        distances.append(exact)
    return torch.cat(numbers).numpy(), torch.cat(distances).numpy()


def voters(labels: Array) -> int:
    """Return how many neighbours are asked for their class: 10, or as many as a class of middling size can give."""
    return max(1, min(VOTERS, int(np.median(np.unique(labels, return_counts=True)[1])) - 1))


def vote(labels: Array, neighbours: Array) -> float:
    """Return the share of samples whose neighbours (N k numbers) name their class by majority; ties go to the lower class."""
    found = labels[neighbours]
    counts = np.stack([(found == label).sum(1) for label in np.unique(labels)], axis=1)
    return float((np.unique(labels)[counts.argmax(1)] == labels).mean())


def trustworthiness(codes: Array, points: Array, count: int = 10) -> float:
    """Return how far neighbours on the map are neighbours in truth (Venna and Kaski 2001): 1 when all are, about .5 for a random map."""
    samples = len(codes)
    if count >= samples / 2:
        raise ArgumentError(f"count: got {count} neighbours of {samples} samples, expected less than half as many")
    near, _ = nearest(points, count)
    values = torch.from_numpy(np.ascontiguousarray(codes, dtype=np.float64))  # ranks hang on small differences
    values = values - values.mean(0)
    squares = (values * values).sum(1)
    penalty = 0
    for part in torch.split(torch.arange(samples), 256):
        square = squares[part, None] + squares[None] - 2 * values[part] @ values.T
        square[torch.arange(len(part)), part] = -torch.inf
        order = square.sort(1).values
        found = square.gather(1, torch.from_numpy(near)[part])
        ranks = torch.searchsorted(order, found)  # how many others are nearer, itself counted once: the rank from 1
        penalty += int((ranks - count).clamp(min=0).sum())
    return 1 - penalty * 2 / (samples * count * (2 * samples - 3 * count - 1))
