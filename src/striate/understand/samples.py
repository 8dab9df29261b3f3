"""Many pictures with their labels, for methods that look at a data set: from a Dataset, its name, a folder, or arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate.core.arguments import whole_number
from striate.core.errors import ArgumentError, DataError
from striate.core.runtime import derived_seed
from striate.understand.opening import chosen_preprocess
from striate.understand.pictures import pixels_of

GIVEN = "the pictures given"
"""The title of pictures that come without a data set."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Pictures N C H W (uint8, or float in [0, 1] where they came so), labels N or None, and where they come from.

    `index` N: positions in the split; `whole`: how many the split has; `title` names data and split.
    """

    pixels: Tensor
    labels: np.ndarray[Any, Any] | None
    classes: tuple[str, ...]
    index: np.ndarray[Any, Any]
    whole: int
    title: str
    names: tuple[str, ...] = ()
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.pixels)

    def notes(self) -> tuple[str, ...]:
        """What was left out, in words."""
        return () if len(self) == self.whole else (f"{len(self):,} of {self.whole:,} pictures of {self.title}, drawn at random by the seed",)


def samples_of(data: Any, *, split: str | None = None, count: int | None = None, preprocess: Any = None, seed: int = 0) -> Samples:
    """Return at most `count` pictures of `data`, drawn by `seed`, in the order they have there.

    `data`: a Dataset, what `striate.data.load` takes, a pair (images, labels), or images alone as every method takes them; labels are class
    numbers or names. `split`: default `test`, else `val`, else `train`; pictures given as such have none. Pictures of many sizes are brought to the
    size of `preprocess` (default: the data's own). Raises `ArgumentError`, `DataError`.
    """
    count = None if count is None else whole_number("count", count, least=1)
    if split is not None and not isinstance(split, str):
        raise ArgumentError(f"split: got {split!r}, expected a split's name, such as test")
    preprocess, _ = chosen_preprocess(preprocess, None)
    pair = isinstance(data, tuple) and len(data) == 2 and not isinstance(data[1], (str, Path))
    if split is not None and (pair or _is_images(data)):
        raise ArgumentError(f"split: got {split!r}, but the pictures given have no splits; leave it out, or give a data set")
    if _is_images(data):
        pixels, names, _ = pixels_of(data, preprocess)
        return _taken(pixels, None, (), names, GIVEN, count, seed)
    if pair:
        pixels, names, _ = pixels_of(data[0], preprocess)
        return _taken(pixels, _labels(data[1], len(pixels)), (), names, GIVEN, count, seed)
    from striate.data import load

    opened = load(data)
    part = split if split is not None else next((name for name in ("test", "val", "train") if name in opened.splits), opened.splits[0])
    whole = _length(opened, part)
    index = _drawn(whole, count, seed)
    found = opened.pictures(part, index)
    fit = preprocess if hasattr(preprocess, "fit") else opened.preprocess
    pictures = [fit.fit(picture) for picture in found]
    table = opened.tables[part]
    return Samples(
        torch.stack(pictures),
        None if table.targets is None or table.targets.ndim != 1 else table.targets[index],
        tuple(opened.classes),
        index,
        whole,
        f"{opened.name}, {part}",
        tuple(table.names[row] for row in index) if table.names is not None else (),
        table.fingerprint,
    )


def _length(opened: Any, part: str) -> int:
    from striate.core.errors import unknown_name

    if part not in opened.splits:
        raise unknown_name("split", part, opened.splits)
    whole = opened.split(part).length
    if not whole:
        raise DataError(f"{opened.name}: {part} is empty, or a stream without an end; there are no samples to look at")
    return int(whole)


def _is_images(data: Any) -> bool:
    if isinstance(data, (Tensor, np.ndarray)) or hasattr(data, "convert"):
        return True
    return isinstance(data, list) and bool(data) and not isinstance(data[0], (tuple, dict))


def _labels(given: Any, count: int) -> np.ndarray[Any, Any]:
    try:
        labels = np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given)
    except (TypeError, ValueError, RuntimeError):
        labels = np.empty(0, object)
    if labels.dtype.kind == "f" and bool((labels == np.rint(labels)).all()):
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "uiU":
        raise ArgumentError(f"data: got labels of type {labels.dtype}, expected class numbers from 0, or names, one for each picture")
    if labels.shape != (count,):
        raise ArgumentError(f"data: got labels of shape {labels.shape} for {count} pictures, expected one each")
    if labels.dtype.kind == "U":
        return labels
    if labels.min(initial=0) < 0:
        raise ArgumentError(f"data: got the label {labels.min()}, expected class numbers from 0; leave pictures without a class out")
    return labels.astype(np.int64)


def numbered(samples: Samples, classes: Sequence[str]) -> Samples:
    """Return samples whose labels are class numbers: names become those of `classes` where all are among them, else their own places by alphabet."""
    if samples.labels is None or samples.labels.dtype.kind != "U":
        return samples
    found = samples.labels.tolist()
    names = tuple(classes) if set(found) <= {*classes} else tuple(sorted(set(found)))
    return dataclasses.replace(samples, labels=np.array([names.index(name) for name in found]), classes=names)


def random_of(seed: int, *more: int) -> np.random.Generator:
    """Return NumPy's generator for a seed, below 0 too, and further numbers of 0 or more. Raises `ArgumentError`."""
    number = whole_number("seed", seed)
    number = number if number >= 0 else derived_seed(number)
    return np.random.default_rng([number, *more] if more else number)


def _drawn(whole: int, count: int | None, seed: int) -> np.ndarray[Any, Any]:
    random = random_of(seed)
    if count is None or count >= whole:
        return np.arange(whole)
    return np.sort(random.permutation(whole)[:count])


def _taken(
    pixels: Tensor, labels: np.ndarray[Any, Any] | None, classes: tuple[str, ...], names: tuple[str, ...], title: str, count: int | None, seed: int
) -> Samples:
    index = _drawn(len(pixels), count, seed)
    some = tuple(names[row] for row in index) if names else ()
    return Samples(pixels.cpu()[torch.from_numpy(index)], None if labels is None else labels[index], classes, index, len(pixels), title, some)
