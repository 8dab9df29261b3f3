"""Before anything is computed: the pretrained network with its preprocessing, the data as that network sees it, and what is wrong with either."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from striate.core.errors import ArgumentError, DataError, StorageError
from striate.core.runtime import derived_seed, random_state_kept
from striate.transfer.fitting import checked

SIZE = 224
"""The side of ImageNet's pictures, taken where weights say nothing."""
LARGER, AROUND = 10 / 7, 1.1
"""Photographs with pixels to spare are read so much larger than in pretraining (320 for 224), the centre of a picture whose short side is so much
longer than that; heads on pooled codes gain by it: objects look larger in training crops than in test crops (Touvron, Vedaldi, Douze, Jegou 2019)."""
PHOTOGRAPHS = 128
"""Networks trained on smaller pictures than this see theirs at that size."""
OFFERED = (
    "weights=PATH for a .safetensors or .pth file with the architecture's names, weights='published' for torchvision's file "
    "(striate models NAME says which fit), or strategy='scratch'"
)


@dataclass(frozen=True)
class Opened:
    """A pretrained network and the data as it sees them; `licence` and `source` are the weights'.

    `base` is the side of the pictures in pretraining; `larger` says that these are read larger.
    """

    model: nn.Module
    name: str
    data: Any
    options: dict[str, Any]
    source: str
    licence: str
    notes: tuple[str, ...]
    base: int = SIZE
    larger: bool = False


def open_pretrained(
    model: str | nn.Module,
    data: Any,
    *,
    weights: str | Path | None,
    options: Mapping[str, Any] | None = None,
    size: int | None = None,
    seed: int = 0,
) -> Opened:
    """Build the network for the data's classes, load its weights and give the data the preprocessing it was trained with, at `size` pixels.

    `size` None takes the pretraining's own, or `LARGER` where the data are photographs that have the pixels. A network given as a module is taken as
    it is (copied), with its own weights. Raises `StorageError` where there are no weights, saying what there is.
    """
    from striate.pixels import Preprocess
    from striate.surgery.following import copied
    from striate.zoo import imagenet_preprocess, loaded_into

    notes: list[str] = []
    if not hasattr(data, "with_preprocess") or len(data.shape) != 3:
        raise ArgumentError(f"data: {data.name} is no set of pictures; transfer learning here is for pictures")
    given = getattr(data, "given", None)
    if isinstance(model, nn.Module):
        if weights is not None:
            raise ArgumentError("weights: the network is built already; load them into it (striate.zoo.load_weights), or give its name")
        inner = copied(model)
        loaded = loaded_into(inner)
        name = _name(inner)
        preprocess = given or (loaded.preprocess if loaded else None) or data.preprocess
        preprocess = preprocess if size is None else _resized(preprocess, size, larger=False)
        source, licence = (str(loaded.path), loaded.licence) if loaded else ("the network as it was given", "")
        return Opened(inner, name, data.with_preprocess(preprocess), dict(options or {}), source, licence, tuple(notes))
    if weights is None:
        raise StorageError(f"weights: {model} has no pretrained weights here, and none were named. Give {OFFERED}")
    from striate.zoo import build

    told = _told(weights)
    known = Preprocess.from_json(told["preprocess"]) if told.get("preprocess") and not told["preprocess"].get("whitening") else None
    base = max(known.size) if known is not None else SIZE
    side = size or _side(data, base)
    with random_state_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fresh head for these classes is what is wanted
        torch.manual_seed(derived_seed(seed, 0))
        try:
            inner = build(model, classes=max(2, len(data.classes)), input=(3, side, side), weights=weights, options=options)
        except StorageError as error:
            raise StorageError(f"{error}\nWhat there is: {OFFERED}") from None
    loaded = loaded_into(inner)
    known = loaded.preprocess if loaded and loaded.preprocess is not None else known
    if known is None:
        known = imagenet_preprocess(SIZE)
        notes.append(f"the weights say nothing of their preprocessing: ImageNet's is taken ({SIZE} pixels, standard mean and deviation)")
    larger = size is None and side > base
    preprocess = _resized(known, side, larger=larger)
    if larger:
        notes.append(f"pictures are read at {side} pixels, larger than in pretraining ({base}): they have them (size={base} takes its own)")
    source = str(loaded.path) if loaded else str(weights)
    return Opened(
        inner, model, data.with_preprocess(preprocess), dict(options or {}), source, loaded.licence if loaded else "", tuple(notes), base, larger
    )


def at_size(data: Any, size: int | None) -> Any:
    """Return the data with squares of `size` pixels, or as they are where no size is asked for."""
    return data if size is None else data.with_preprocess(_resized(data.preprocess, size, larger=False))


def check(data: Any) -> None:
    """Raise `DataError` for data that no classifier can be fitted to, each with its reason; classes missing from another split are said."""
    check_labels(data)
    table = data.training_table
    checked(np.zeros((len(table), 1)), table.targets, data.classes)


def check_labels(data: Any) -> None:
    """Raise `DataError` where the training pictures have no labels, or not one class each."""
    targets = data.training_table.targets
    if targets is None:
        raise DataError(f"{data.name}: the training pictures have no labels, and transfer learning needs them")
    if targets.ndim != 1:
        raise DataError(f"{data.name}: labels of shape {targets.shape}; expected one class a picture")


def missing_from(data: Any) -> list[str]:
    """Return a sentence for every split that lacks classes: its figures say nothing about them."""
    found = []
    for name, table in data.tables.items():
        if name == "train" or table.targets is None or not len(table):
            continue
        counts = np.bincount(table.targets, minlength=len(data.classes))
        lacking = [data.classes[k] for k in np.flatnonzero(counts == 0).tolist()]
        if lacking:
            more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
            found.append(
                f"{name} has no picture of {', '.join(lacking[:5])}{more}: its figures say nothing about {'it' if len(lacking) == 1 else 'them'}"
            )
    return found


def _side(data: Any, base: int) -> int:
    """Return the pretraining's side, or `LARGER` times it where half the pictures have that many pixels on their short side."""
    larger = round(base * LARGER / 32) * 32
    return larger if base >= PHOTOGRAPHS and short_side(data) >= larger else base


def short_side(data: Any) -> float:
    """Return the training pictures' median short side in pixels, as they lie on disk."""
    store = data.training_table.store
    shapes: Sequence[Any] | None = getattr(store, "shapes", None)
    return float(min(store.shape[1:])) if shapes is None else float(np.median(np.asarray(shapes)[:, :2].min(axis=1)))


def _told(weights: str | Path) -> dict[str, Any]:
    """Return what a file of ours says beside its tensors, without reading them; empty for any other."""
    path = Path(weights).expanduser()
    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    try:
        with safe_open(str(path), framework="pt") as file:
            found: dict[str, Any] = json.loads((file.metadata() or {}).get("striate", "{}")).get("facts", {})
    except (SafetensorError, OSError, ValueError):  # whoever loads it says what is wrong with it
        return {}
    return found


def _resized(preprocess: Any, side: int, *, larger: bool) -> Any:
    """Return the preprocessing for squares of `side` pixels: the same share of the picture cut out, or, `larger`, a little more of it."""
    before = max(preprocess.size)
    if before == side and tuple(preprocess.size) == (side, side):
        return preprocess
    short = preprocess.short_side
    scaled = None if short is None else round(AROUND * side) if larger else max(side, round(short * side / before))
    how = "crop" if preprocess.resize == "none" else preprocess.resize  # pictures that came as arrays are resized where another size is asked for
    return replace(preprocess, size=(side, side), short_side=scaled, resize=how)


def _name(model: nn.Module) -> str:
    from striate.zoo import spec_of

    spec = spec_of(model)
    return type(model).__name__ if spec is None else spec.name
