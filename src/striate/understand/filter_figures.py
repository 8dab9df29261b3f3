"""What can be said of a layer's filters from their weights alone: norm, roughness, high frequencies, and which resemble each other."""

from __future__ import annotations

from typing import Any

import numpy as np

ALIKE = 0.95
"""Cosine from which two filters count as the same, or (negative) as each other's opposite."""
DEAD, FAINT = 0.01, 0.1
"""A filter whose norm is under this share of the layer's largest counts as near zero, or as faint."""

Array = np.ndarray[Any, Any]


def roughness(weights: Array) -> Array:
    """Return, for filters O C H W, the mean squared step between neighbours over twice the mean square.

    0 for a constant, about 1 for white noise, 2 for a checkerboard; NaN for 1 x 1 filters, and for filters that are zero.
    """
    squares = (weights.astype(np.float64) ** 2).mean(axis=(1, 2, 3))
    steps = [np.diff(weights.astype(np.float64), axis=axis) for axis in (2, 3)]
    total = sum((step**2).sum(axis=(1, 2, 3)) for step in steps)
    count = sum(step[0].size for step in steps)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = np.where((squares > 0) & (count > 0), total / count / (2 * squares), np.nan)
    return found


def noise(weights: Array) -> Array:
    """Return, for filters O C H W, the share of their energy at more than a quarter cycle a pixel (either way), the mean left out.

    White noise has the share of such frequencies on the filter's own grid (`noise_of_white`). NaN for filters under 4 x 4, whose grid has no lower
    frequency, and where there is no energy.
    """
    energy, high = _spectrum(weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = np.where(energy.sum(axis=(1, 2)) > 0, energy[:, high].sum(axis=1) / energy.sum(axis=(1, 2)), np.nan)
    return found if min(weights.shape[2:]) >= 4 else np.full(len(weights), np.nan)


def noise_of_white(height: int, width: int) -> float:
    """Return the share that white noise has of energy above a quarter cycle a pixel, the mean left out; NaN under 4 x 4."""
    _, high = _spectrum(np.zeros((1, 1, height, width)))
    return float(high.sum() / (high.size - 1)) if min(height, width) >= 4 else float("nan")


def _spectrum(weights: Array) -> tuple[Array, Array]:
    energy = (np.abs(np.fft.fft2(weights.astype(np.float64), axes=(2, 3))) ** 2).sum(axis=1)
    energy[:, 0, 0] = 0.0
    down, across = np.abs(np.fft.fftfreq(weights.shape[2])), np.abs(np.fft.fftfreq(weights.shape[3]))
    return energy, np.maximum(down[:, None], across[None]) > 0.25


def resemblance(weights: Array) -> tuple[Array, Array]:
    """Return, for each of O filters (any shape), the other filter it resembles most in size of cosine, and that cosine; 0 for zero filters."""
    flat = weights.reshape(len(weights), -1).astype(np.float64)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = np.divide(flat, norms, out=np.zeros_like(flat), where=norms > 0)
    nearest, cosine = np.zeros(len(flat), dtype=np.int64), np.zeros(len(flat))
    for start in range(0, len(flat), 512):
        part = unit[start : start + 512] @ unit.T
        rows = np.arange(len(part))
        part[rows, rows + start] = 0.0
        nearest[start : start + 512] = np.abs(part).argmax(axis=1)
        cosine[start : start + 512] = part[rows, nearest[start : start + 512]]
    return nearest, cosine


def under(weights: Array, share: float) -> Array:
    """Return which of O filters have a norm of at most `share` times the layer's largest (all, where all are zero)."""
    norms = np.linalg.norm(weights.reshape(len(weights), -1).astype(np.float64), axis=1)
    found: Array = norms <= share * norms.max(initial=0.0)
    return found
