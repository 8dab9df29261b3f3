"""Canny's edges for whole batches: smoothed, thinned across the edge, linked by two thresholds. Canny 1986 (row C filter-banks)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from striate.core.errors import ArgumentError

Array = npt.NDArray[Any]


def canny_edges(pictures: Array, *, sigma: float = 1.0, low: float = 0.1, high: float = 0.2) -> npt.NDArray[np.bool_]:
    """Return where edges are, N H W bool: what `skimage.feature.canny` finds in each picture (N H W, floats in [0, 1]), many at once.

    `sigma`: pixels of smoothing; an edge begins where the gradient reaches `high` and goes on while it is above `low`. The outermost pixels are
    never edges. Raises `ArgumentError`.
    """
    if not sigma > 0 or not 0 <= low <= high:
        raise ArgumentError(f"canny: got sigma {sigma!r}, low {low!r}, high {high!r}; expected sigma above 0 and 0 <= low <= high")
    pictures = np.asarray(pictures)
    widths = (0, sigma, sigma)
    weight = ndimage.gaussian_filter(np.ones_like(pictures[:1]), widths, mode="constant")
    smooth = ndimage.gaussian_filter(pictures, widths, mode="constant") / (weight + np.finfo(pictures.dtype).eps)
    across, down = _sobel(smooth)
    strength = np.sqrt(across * across + down * down)
    thin = _thinned(strength, across, down, low)
    links = np.zeros((3, 3, 3), dtype=bool)
    links[1] = True
    labels, count = ndimage.label(thin > 0, links)
    strong = np.zeros(count + 1, dtype=bool)
    strong[np.unique(labels[(thin > 0) & (thin >= high)])] = True
    strong[0] = False
    edges: npt.NDArray[np.bool_] = strong[labels]
    return edges


def _sobel(pictures: Array) -> tuple[Array, Array]:
    """Return derivatives along columns and rows, 1 2 1 smoothed across, not normalised: scipy's, which would smooth over the batch as well."""
    smoothing, slope = [1.0, 2.0, 1.0], [-1.0, 0.0, 1.0]
    across = ndimage.correlate1d(ndimage.correlate1d(pictures, slope, axis=2), smoothing, axis=1)
    down = ndimage.correlate1d(ndimage.correlate1d(pictures, slope, axis=1), smoothing, axis=2)
    return across, down


def _thinned(strength: Array, across: Array, down: Array, low: float) -> Array:
    """Keep the strength where no neighbour along the gradient, interpolated between two pixels, is stronger; 0 elsewhere and at the border."""
    inner = strength[:, 1:-1, 1:-1]
    a, d = across[:, 1:-1, 1:-1], down[:, 1:-1, 1:-1]
    size_a, size_d = np.abs(a), np.abs(d)
    height, width = strength.shape[1:]

    def at(rows: int, columns: int) -> Array:
        return strength[:, 1 + rows : height - 1 + rows, 1 + columns : width - 1 + columns]

    same = ((d >= 0) & (a >= 0)) | ((d <= 0) & (a <= 0))  # towards the bottom right or the top left
    steep = size_d > size_a
    share = np.where(steep, size_a, size_d) / np.maximum(np.where(steep, size_d, size_a), np.finfo(strength.dtype).tiny)
    ahead_near = np.where(steep, at(1, 0), np.where(same, at(0, 1), at(0, -1)))
    ahead_far = np.where(same, at(1, 1), at(1, -1))
    behind_near = np.where(steep, at(-1, 0), np.where(same, at(0, -1), at(0, 1)))
    behind_far = np.where(same, at(-1, -1), at(-1, 1))
    ahead = ahead_far * share + ahead_near * (1 - share)
    behind = behind_far * share + behind_near * (1 - share)
    kept = (inner >= low) & (ahead <= inner) & (behind <= inner) & (inner > 0)
    thin = np.zeros_like(strength)
    thin[:, 1:-1, 1:-1] = np.where(kept, inner, 0)
    return thin
