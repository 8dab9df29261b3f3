"""What every estimator asks of X and y, with one clear error each: shape, range, NaN, classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import validate_data

from striate.core.errors import ArgumentError

Rows = npt.NDArray[Any]
Shape = tuple[int, int, int]


def rows_of(estimator: Any, X: Any, y: Any = None, *, reset: bool, least: int = 1) -> tuple[Rows, Any]:
    """Return X as N D (float32 stays float32, uint8 stays uint8, anything else becomes float64) and y, as scikit-learn checks them.

    `reset`: fitting, which sets `n_features_in_`; else X must have as many columns. Raises `ArgumentError` for NaN and infinite values,
    `ValueError` (scikit-learn's) for other ranks and lengths.
    """
    kinds: Any = [np.float64, np.float32, np.uint8]
    options = {"reset": reset, "dtype": kinds, "ensure_all_finite": False, "ensure_min_samples": least if reset else 1}
    if y is None:
        X = validate_data(estimator, X, **options)
    else:
        X, y = validate_data(estimator, X, y, multi_output=False, **options)
    if X.dtype != np.uint8 and not math.isfinite(float(X.sum(dtype=np.float64))):
        refuse_strange(X)
    return X, y


def refuse_strange(X: Rows, what: str = "X") -> None:
    """Raise `ArgumentError` when rows hold NaN or infinite values: how many, and where the first is."""
    bad = ~np.isfinite(X)
    if bad.any():
        kind = "NaN" if np.isnan(X).any() else "infinity (inf)"
        row = int(np.flatnonzero(bad.any(axis=1))[0])
        raise ArgumentError(f"{what}: contains NaN or infinity: {int(bad.sum())} values, the first ({kind}) in row {row}; remove or replace them")


def floats(X: Rows) -> Rows:
    """Return rows as float32 or float64; uint8 becomes float32."""
    return X.astype(np.float32) if X.dtype == np.uint8 else X


def shape_of(columns: int, image_shape: Sequence[int] | None) -> Shape:
    """Return C H W of the pictures in rows of so many columns; None: square ones, grey where `columns` is a square, colour where it is 3 times one.

    Raises `ArgumentError` when the shape does not hold so many values.
    """
    if image_shape is None:
        for channels in (1, 3):
            side = math.isqrt(columns // channels)
            if channels * side * side == columns:
                return channels, side, side
        raise ArgumentError(f"image_shape: {columns} columns are no square picture, grey or colour; give (C, H, W)")
    shape = tuple(int(side) for side in image_shape)
    if len(shape) == 2:
        shape = (1, *shape)
    if len(shape) != 3 or min(shape) < 1 or math.prod(shape) != columns:
        raise ArgumentError(f"image_shape: got {tuple(image_shape)}, expected (C, H, W) with C x H x W = {columns}, the columns of X")
    return shape[0], shape[1], shape[2]


def pictures_of(X: Rows, shape: Shape) -> npt.NDArray[np.float32]:
    """Return rows as pictures N C H W, float32 in [0, 1]: uint8 is divided by 255, floats stand for shares of 1 already.

    Raises `ArgumentError` for floats outside [0, 1] by more than rounding.
    """
    if X.dtype == np.uint8:
        return (X.astype(np.float32) / np.float32(255)).reshape(-1, *shape)
    low, high = (float(X.min()), float(X.max())) if X.size else (0.0, 1.0)
    if low < -1e-3 or high > 1 + 1e-3:
        raise ArgumentError(f"X: pixels run from {low:g} to {high:g}, expected floats from 0 to 1, or uint8; scale them first")
    return X.astype(np.float32, copy=False).reshape(-1, *shape)


def grey(pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return N C H W as N H W: the luma of Rec. 601 for three channels, else the mean."""
    if pictures.shape[1] == 1:
        return pictures[:, 0]
    if pictures.shape[1] == 3:
        luma: npt.NDArray[np.float32] = 0.299 * pictures[:, 0] + 0.587 * pictures[:, 1] + 0.114 * pictures[:, 2]
        return luma
    mean: npt.NDArray[np.float32] = pictures.mean(axis=1, dtype=np.float32)
    return mean


def numbered(y: Any) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Return the classes, sorted, and each label's number among them. Raises `ArgumentError` where there is one class only."""
    from sklearn.utils.multiclass import check_classification_targets

    check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ArgumentError(f"y: one class only ({classes[0]!r}); a classifier needs pictures of at least two classes")
    return classes, codes.astype(np.int64)


def whole(name: str, value: Any, *, least: int = 1) -> int:
    """Return `value` as a whole number of at least `least`, or raise `ArgumentError`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < least:
        raise ArgumentError(f"{name}: got {value!r}, expected a whole number, {least} or more")
    return int(value)
