"""Adaline: linear units that follow the error of their sum, not of their sign. Widrow and Hoff 1960 (row C adaline)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from striate.classical.bases import Classifier
from striate.classical.checking import Rows, whole
from striate.classical.registry import estimator
from striate.classical.templates import Templates
from striate.core.errors import ArgumentError


@estimator("adaline", help="Adaline (Widrow and Hoff): the delta rule", row="C adaline")
class Adaline(Templates, Classifier):
    """One linear unit a class, its sum w·x + b drawn to +1 for the own class and to -1 for the others by the delta rule, a row at a time.

    Each step removes the share `rate` of the row's error: w += rate (t - w·x) x / |x|² (Widrow and Hoff's alpha-LMS). A constant rate keeps hovering
    about the least squares solution; `decay` divides it by 1 + decay · epoch, so that it settles there. After `fit`: `weights_` K D, `bias_` K,
    `errors_`, the mean squared error of each pass, measured on the way.
    """

    def __init__(
        self, *, epochs: int = 15, rate: float = 0.05, decay: float = 1.0, image_shape: tuple[int, ...] | None = None, random_state: Any = 0
    ) -> None:
        self.epochs = epochs
        self.rate = rate
        self.decay = decay
        self.image_shape = image_shape
        self.random_state = random_state

    def _learn(self, X: Rows, codes: npt.NDArray[np.int64]) -> None:
        from sklearn.utils import check_random_state

        if not 0 < self.rate < 2 or not self.decay >= 0:
            raise ArgumentError(f"rate: got {self.rate!r} with decay {self.decay!r}; expected 0 < rate < 2 (else it diverges) and decay >= 0")
        state = check_random_state(self.random_state)
        rows = np.concatenate([X, np.ones((len(X), 1), X.dtype)], axis=1)
        lengths = np.einsum("nd,nd->n", rows, rows)
        targets = np.full((len(X), len(self.classes_)), -1, dtype=X.dtype)
        targets[np.arange(len(X)), codes] = 1
        weights = np.zeros((len(self.classes_), rows.shape[1]), dtype=X.dtype)
        self.errors_: list[float] = []
        for epoch in range(whole("epochs", self.epochs)):
            rate, total = self.rate / (1 + self.decay * epoch), 0.0
            for place in state.permutation(len(rows)):
                row = rows[place]
                error = targets[place] - weights @ row
                total += float(error @ error)
                weights += np.outer(error * (rate / lengths[place]), row)
            self.errors_.append(total / targets.size)
        self.weights_, self.bias_ = weights[:, :-1], weights[:, -1]

    def _scores(self, X: Rows) -> npt.NDArray[Any]:
        scores: npt.NDArray[Any] = X @ self.weights_.T + self.bias_
        return scores
