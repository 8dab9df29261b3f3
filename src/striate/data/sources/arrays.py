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

MANY = 1000
"""Numbered labels may make so many classes, or two a sample; more are not class numbers."""


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
    Raises `ArgumentError` for other ranks and types, NaN or infinite pixels, labels that are missing (None, NaN) or out of range, numbers that would
    make far more classes than there are samples, and lengths that differ.
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
    known = _given(classes) if classes is not None else _classes(labels["train"])
    tables = {part: Table(Fixed(pixels[part], array_fingerprint([pixels[part]])), _numbered(part, labels[part], known)) for part in pairs}
    return Dataset(name=name, classes=known, tables=tables)


def _array(part: str, value: Any) -> npt.NDArray[Any]:
    if hasattr(value, "detach"):  # a tensor, wherever it is
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ArgumentError(f"{part}: cannot be read as one array ({error}); all pictures must have one size, and each one label") from None


def _pixels(part: str, value: Any) -> npt.NDArray[Any]:
    array = _array(part, value)
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
    array = _array(part, value)
    _check_missing(part, value if isinstance(value, (list, tuple)) else array.ravel())  # NumPy turns a NaN between names into one
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or len(array) != count:
        raise ArgumentError(f"{part}: labels have shape {array.shape} for {count} pictures; expected one each")
    if np.issubdtype(array.dtype, np.floating) and np.array_equal(array, np.round(array)):
        array = array.astype(np.int64)
    if not (np.issubdtype(array.dtype, np.integer) or array.dtype.kind in "UO" or array.dtype == np.bool_):
        raise ArgumentError(f"{part}: labels are {array.dtype}; expected whole numbers from 0, or names")
    return array


def _check_missing(part: str, labels: Any) -> None:
    if isinstance(labels, np.ndarray) and labels.dtype.kind not in "Of":
        return
    lost = [row for row, label in enumerate(labels) if _missing(label)]
    if lost:
        raise ArgumentError(
            f"{part}: {len(lost)} of {len(labels)} labels are missing (None or NaN), the first of sample {lost[0]}; leave those samples out, or give "
            f"y=None where nothing is labelled"
        )


def _missing(label: Any) -> bool:
    return label is None or type(label).__name__ in ("NAType", "NaTType") or (isinstance(label, (float, np.floating)) and bool(np.isnan(label)))


def _named(labels: npt.NDArray[Any]) -> bool:
    return labels.dtype.kind in "UO"


def _classes(labels: npt.NDArray[Any] | None) -> tuple[str, ...]:
    if labels is None:
        return ()
    if _named(labels):
        return tuple(sorted({str(label) for label in labels}))
    count = int(labels.max()) + 1
    if count > max(MANY, 2 * len(labels)):
        raise ArgumentError(
            f"y: labels run up to {count - 1}, which would make {count:,} classes of {len(labels):,} samples; expected class numbers from 0. "
            f"Number the classes anew (np.unique(y, return_inverse=True)[1]), or name them all by classes=[...]"
        )
    return tuple(str(number) for number in range(count))


def _given(classes: Sequence[Any]) -> tuple[str, ...]:
    """Return the class names that were given, numbers as text."""
    if isinstance(classes, str):
        raise ArgumentError(f"classes: got {classes!r}, expected a list of names")
    wrong = [name for name in classes if not isinstance(name, (str, int, np.integer)) or isinstance(name, bool)]
    if wrong:
        raise ArgumentError(f"classes: got {wrong[0]!r} ({type(wrong[0]).__name__}) among them, expected names")
    known = tuple(str(name) for name in classes)
    twice = next((name for place, name in enumerate(known) if name in known[:place]), None) if len(set(known)) < len(known) else None
    if twice is not None:
        raise ArgumentError(f"classes: {twice!r} is there twice; each class needs a name of its own")
    return known


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
