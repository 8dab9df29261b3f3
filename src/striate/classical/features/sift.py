"""SIFT descriptors: dense, for whole batches, and at keypoints. Lowe 2004 (row C sift)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from striate.classical.bases import Feature
from striate.classical.checking import Rows, grey, whole
from striate.classical.registry import feature
from striate.core.errors import ArgumentError

BINS, PARTS = 8, 4
"""Orientations, and cells a side, of a descriptor: 4 x 4 x 8 = 128 numbers."""


@feature("sift", help="SIFT descriptors on a grid", row="C sift")
class SIFT(Feature):
    """SIFT descriptors of the grey picture on a grid, one after the other: points x 128 numbers.

    A descriptor has 4 x 4 cells of `cell` pixels, the gradient's strength in each shared out between the two nearest of 8 orientations and the two
    nearest cells each way, scaled to length 1, clipped at 0.2 and scaled again; flat patches stay 0. `step` pixels between centres (None: two
    cells). Upright: descriptors are not turned. For keypoints with scale and orientation see `keypoints`.
    """

    def __init__(self, *, cell: int = 4, step: int | None = None, image_shape: tuple[int, ...] | None = None) -> None:
        self.cell = cell
        self.step = step
        self.image_shape = image_shape

    def _learn(self, X: Rows, y: Any) -> None:  # noqa: ARG002
        if min(self.shape_[1:]) < PARTS * whole("cell", self.cell):
            raise ArgumentError(f"cell: pictures of {self.shape_[1]} x {self.shape_[2]} hold no descriptor of 4 cells of {self.cell} pixels a side")

    def _features(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        return self.descriptors(pictures).reshape(len(pictures), -1)

    def descriptors(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the descriptors of pictures N C H W, N P 128, points row by row; in each cells row by row, then orientations."""
        step = 2 * self.cell if self.step is None else whole("step", self.step)
        return dense_sift(grey(pictures), self.cell, step)

    def _chunk(self) -> int:
        return max(1, super()._chunk() // BINS)


def dense_sift(pictures: npt.NDArray[Any], cell: int, step: int) -> npt.NDArray[np.float32]:
    """Return upright SIFT descriptors of N H W on a grid, N P 128; windows of 4 cells lie wholly inside and are centred as a whole."""
    across, down = ndimage.correlate1d(pictures, [-0.5, 0, 0.5], axis=2), ndimage.correlate1d(pictures, [-0.5, 0, 0.5], axis=1)
    strength, turn = np.hypot(across, down), np.arctan2(down, across) * (BINS / (2 * np.pi)) % BINS
    low = np.floor(turn)
    share = turn - low
    n, height, width = pictures.shape
    layers = np.zeros((n, BINS, height, width), np.float32)
    place = low.astype(np.int64) % BINS
    np.put_along_axis(layers, place[:, None], (strength * (1 - share))[:, None].astype(np.float32), axis=1)
    upper = (place + 1) % BINS
    np.put_along_axis(layers, upper[:, None], (strength * share)[:, None].astype(np.float32), axis=1)
    rows, columns = (_cells(side, cell, step) for side in (height, width))
    summed = np.einsum("nohw,ph->nopw", layers, _shares(height, rows, cell), optimize=True)
    summed = np.einsum("nopw,qw->nopq", summed, _shares(width, columns, cell), optimize=True)
    down_points, across_points = len(rows) // PARTS, len(columns) // PARTS
    found = summed.reshape(n, BINS, down_points, PARTS, across_points, PARTS).transpose(0, 2, 4, 3, 5, 1).reshape(n, -1, PARTS * PARTS * BINS)
    for clip in (0.2, 1.0):
        found = np.minimum(found / np.maximum(np.sqrt(np.square(found).sum(axis=2, keepdims=True)), 1e-6 if clip == 1 else 1e-3), clip)
    return np.asarray(found, np.float32)


def _cells(side: int, cell: int, step: int) -> npt.NDArray[np.float64]:
    """Return the centres of all descriptors' cells along one side, four a descriptor."""
    free = side - PARTS * cell
    firsts = np.arange(0, free + 1, step) + (free % step) // 2
    return (firsts[:, None] + (np.arange(PARTS) + 0.5) * cell - 0.5).ravel()


def _shares(side: int, centres: npt.NDArray[np.float64], cell: int) -> npt.NDArray[np.float32]:
    """Return how much of each pixel every cell gets, cells x pixels: 1 at its centre, falling to 0 one cell away."""
    distance = np.abs(np.arange(side)[None] - centres[:, None]) / cell
    return np.clip(1 - distance, 0, None).astype(np.float32)


def keypoints(picture: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return SIFT keypoints of one picture (C H W or H W, in [0, 1]): row and column P 2, and descriptors P 128 of length 1; none may be found.

    scikit-image does the search over scales and turns. Raises `ArgumentError` for other shapes.
    """
    from skimage import feature as detection

    light = np.asarray(picture, np.float32)
    light = grey(light[None])[0] if light.ndim == 3 else light
    if light.ndim != 2 or min(light.shape) < 12:
        raise ArgumentError(f"picture: got shape {np.shape(picture)}, expected C H W or H W of 12 pixels a side or more")
    detector: Any = detection.SIFT()  # type: ignore[no-untyped-call]
    try:
        detector.detect_and_extract(light)
    except RuntimeError:  # scikit-image's way of saying that there are none
        return np.zeros((0, 2), np.int64), np.zeros((0, PARTS * PARTS * BINS), np.float32)
    found = detector.descriptors.astype(np.float32)
    return detector.keypoints.astype(np.int64), found / np.maximum(np.sqrt(np.square(found).sum(axis=1, keepdims=True)), 1e-6)
