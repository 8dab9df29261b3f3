"""Many pictures with their labels, for methods that look at a data set: from a Dataset, its name, a folder, or arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate.core.errors import ArgumentError, DataError
from striate.understand.inputs import chosen_preprocess
from striate.understand.pictures import pixels_of


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

    `data`: a Dataset, what `striate.data.load` takes, a pair (images, labels), or images alone as every method takes them. `split`: default `test`,
    else `val`, else `train`. Pictures of many sizes are brought to the size of `preprocess` (default: the data's own). Raises `ArgumentError`,
    `DataError`.
    """
    if count is not None and count < 1:
        raise ArgumentError(f"count: got {count}, expected 1 or more")
    preprocess, _ = chosen_preprocess(preprocess, None)
    if _is_images(data):
        pixels, names, _ = pixels_of(data, preprocess)
        return _taken(pixels, None, (), names, "the pictures given", count, seed)
    if isinstance(data, tuple) and len(data) == 2 and not isinstance(data[1], (str, Path)):
        pixels, names, _ = pixels_of(data[0], preprocess)
        labels = np.asarray(data[1])
        if labels.shape != (len(pixels),):
            raise ArgumentError(f"data: got labels of shape {labels.shape} for {len(pixels)} pictures, expected one each")
        return _taken(pixels, labels, (), names, "the pictures given", count, seed)
    from striate.data import load

    opened = load(data)
    part = split or next((name for name in ("test", "val", "train") if name in opened.splits), opened.splits[0])
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


def _drawn(whole: int, count: int | None, seed: int) -> np.ndarray[Any, Any]:
    if count is None or count >= whole:
        return np.arange(whole)
    return np.sort(np.random.default_rng(seed).permutation(whole)[:count])


def _taken(
    pixels: Tensor, labels: np.ndarray[Any, Any] | None, classes: tuple[str, ...], names: tuple[str, ...], title: str, count: int | None, seed: int
) -> Samples:
    index = _drawn(len(pixels), count, seed)
    some = tuple(names[row] for row in index) if names else ()
    return Samples(pixels.cpu()[torch.from_numpy(index)], None if labels is None else labels[index], classes, index, len(pixels), title, some)
