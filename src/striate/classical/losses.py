"""Losses of linear scores with their gradients: softmax, hinge, squared hinge. Each returns the mean over the samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[Any]
Loss = Callable[[Scores, npt.NDArray[np.int64]], tuple[float, Scores]]


def softmax_loss(scores: Scores, codes: npt.NDArray[np.int64]) -> tuple[float, Scores]:
    """Return the mean of -log softmax(scores)[code] and its gradient, N K."""
    rows = np.arange(len(scores))
    shifted = scores - scores.max(axis=1, keepdims=True)
    gradient = np.exp(shifted)
    total = gradient.sum(axis=1, keepdims=True)
    loss = float((np.log(total[:, 0]) - shifted[rows, codes]).mean(dtype=np.float64))
    gradient /= total
    gradient[rows, codes] -= 1
    return loss, gradient / len(scores)


def hinge_loss(corner: float) -> Loss:
    """Return the multi-class hinge (Weston and Watkins 1999), Σ over the other classes of max(0, s_j - s_y + 1), its corner rounded over `corner`.

    Rounded, the loss is at most `corner` / 2 lower for each other class, and has a gradient everywhere.
    """

    def loss(scores: Scores, codes: npt.NDArray[np.int64]) -> tuple[float, Scores]:
        rows = np.arange(len(scores))
        excess = scores - scores[rows, codes][:, None] + 1
        excess[rows, codes] = 0
        slope = np.clip(excess / corner, 0, 1)
        value = float((slope * (excess - slope * corner / 2)).sum(dtype=np.float64)) / len(scores)
        slope[rows, codes] = -slope.sum(axis=1)
        return value, slope / len(scores)

    return loss


def squared_hinge_loss(scores: Scores, codes: npt.NDArray[np.int64]) -> tuple[float, Scores]:
    """Return Σ over the classes of max(0, 1 - t s)², t = +1 for the own class and -1 for the others: the usual linear SVM, one against the rest."""
    rows = np.arange(len(scores))
    excess = 1 + scores
    excess[rows, codes] = 1 - scores[rows, codes]
    np.maximum(excess, 0, out=excess)
    loss = float(np.square(excess).sum(dtype=np.float64)) / len(scores)
    excess[rows, codes] *= -1
    return loss, excess * (2 / len(scores))
