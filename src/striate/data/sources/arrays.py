"""arrays: pictures and labels that are already in memory, as NumPy arrays or tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError, nearest
from striate.data.dataset import Dataset, Table
from striate.data.registry import source
from striate.data.stores import Fixed, array_fingerprint


@source("arrays", help="pictures and labels in memory: NumPy arrays or tensors")
def arrays(
    x: Any,
    y: Any = None,
    *,
    classes: Sequence[str] | None = None,
    val: tuple[Any, Any] | None = None,
    test: tuple[Any, Any] | None = None,
    name: str = "arrays",
) -> Dataset:
    """Return a data set of pictures `x` and class numbers or names `y` (None: unlabelled).

    `x` is N C H W or N H W (one channel), uint8 (0 to 255), bool, or any float (kept as float32); `y` has N whole numbers from 0, or names out of
    `classes` (found and sorted when not given). `val` and `test` are further pairs (x, y) of the same picture size and kind.
    Raises `ArgumentError` for other ranks and types, NaN or infinite pixels, labels out of range, and lengths that differ.
    """
    pairs = {"train": (x, y)} | {part: pair for part, pair in (("val", val), ("test", test)) if pair is not None}
    for part, pair in pairs.items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ArgumentError(f"{part}: got {type(pair).__name__}, expected a pair (x, y)")
    pixels = {part: _pixels(part, pair[0]) for part, pair in pairs.items()}
    first = pixels["train"]
    for part, other in pixels.items():
        if other.shape[1:] != first.shape[1:] or other.dtype != first.dtype:
            raise ArgumentError(
                f"{part}: pictures {other.shape[1:]} {other.dtype} beside {first.shape[1:]} {first.dtype} in train; they must be alike"
            )
    labels = {part: _labels(part, pair[1], len(pixels[part])) for part, pair in pairs.items()}
    known = tuple(classes) if classes is not None else _classes(labels["train"])
    tables = {part: Table(Fixed(pixels[part], array_fingerprint([pixels[part]])), _numbered(part, labels[part], known)) for part in pairs}
    return Dataset(name=name, classes=known, tables=tables)


def _array(value: Any) -> npt.NDArray[Any]:
    if hasattr(value, "detach"):  # a tensor, wherever it is
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    return np.asarray(value)


def _pixels(part: str, value: Any) -> npt.NDArray[Any]:
    array = _array(value)
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or 0 in array.shape:
        hint = " (one picture: add a first axis)" if array.ndim == 2 else ""
        raise ArgumentError(f"{part}: pictures have shape {array.shape}, expected N C H W or N H W{hint}")
    if array.shape[3] in (1, 3, 4) and array.shape[1] > 4 and array.shape[2] > 4:
        raise ArgumentError(f"{part}: pictures have shape {array.shape}, which looks like N H W C; move the channels: x.transpose(0, 3, 1, 2)")
    if array.dtype == np.bool_:
        return np.ascontiguousarray(array.astype(np.uint8) * 255)
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise ArgumentError(
            f"{part}: pixels are {array.dtype}; expected uint8 (0 to 255) or floats. Scale them yourself, such as (x / x.max()).astype('float32')"
        )
    array = np.ascontiguousarray(array, dtype=np.float32)
    bad = ~np.isfinite(array)
    if bad.any():
        where = int(np.flatnonzero(bad.any(axis=(1, 2, 3)))[0])
        raise ArgumentError(f"{part}: {int(bad.sum())} pixels are NaN or infinite, the first in picture {where}; remove or replace them")
    if array.max() > 16:
        raise ArgumentError(f"{part}: float pixels up to {array.max():g}, expected about 0 to 1; divide by 255, or give uint8")
    return array


def _labels(part: str, value: Any, count: int) -> npt.NDArray[Any] | None:
    if value is None:
        return None
    array = _array(value)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or len(array) != count:
        raise ArgumentError(f"{part}: labels have shape {array.shape} for {count} pictures; expected one each")
    if np.issubdtype(array.dtype, np.floating) and np.array_equal(array, np.round(array)):
        array = array.astype(np.int64)
    if not (np.issubdtype(array.dtype, np.integer) or array.dtype.kind in "UO" or array.dtype == np.bool_):
        raise ArgumentError(f"{part}: labels are {array.dtype}; expected whole numbers from 0, or names")
    return array


def _named(labels: npt.NDArray[Any]) -> bool:
    return labels.dtype.kind in "UO"


def _classes(labels: npt.NDArray[Any] | None) -> tuple[str, ...]:
    if labels is None:
        return ()
    if _named(labels):
        return tuple(sorted({str(label) for label in labels}))
    return tuple(str(number) for number in range(int(labels.max()) + 1))


def _numbered(part: str, labels: npt.NDArray[Any] | None, classes: tuple[str, ...]) -> npt.NDArray[np.int64] | None:
    if labels is None:
        return None
    if _named(labels):
        numbers = {name: number for number, name in enumerate(classes)}
        for label in labels:
            if str(label) not in numbers:
                close = nearest(str(label), classes)
                raise ArgumentError(f"{part}: label {str(label)!r} is not among the classes{f'; did you mean {close[0]}?' if close else ''}")
        return np.array([numbers[str(label)] for label in labels], dtype=np.int64)
    labels = labels.astype(np.int64)
    outside = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if len(outside):
        row = int(outside[0])
        raise ArgumentError(f"{part}: label {labels[row]} of sample {row} is outside 0 to {len(classes) - 1} ({len(classes)} classes)")
    return labels
