"""Perceptron: weights change only when a picture is read wrong. Rosenblatt 1958; convergence: Novikoff 1962 (row C perceptron)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from striate.classical.bases import Classifier
from striate.classical.checking import Rows, whole
from striate.classical.registry import estimator
from striate.classical.templates import Templates


@estimator("perceptron", help="Perceptron (Rosenblatt), one weight vector a class", row="C perceptron")
class Perceptron(Templates, Classifier):
    """One weight vector a class, from zero; a row read wrong is added to its own class's and taken from that of the class it was read as.

    With two classes this is Rosenblatt's rule: where they are separable with margin γ by rows no longer than R (with the bias's 1), it makes at most
    (R / γ)² mistakes and then none. `epochs`: passes at most, in an order drawn by `random_state`; it ends after one without a mistake.
    `averaged`: predict by the mean of all weights on the way (Freund and Schapire 1999), which helps where classes overlap.
    After `fit`: `weights_` K D, `bias_` K, `mistakes_` of each pass, `converged_`.
    """

    def __init__(self, *, epochs: int = 20, averaged: bool = False, image_shape: tuple[int, ...] | None = None, random_state: Any = 0) -> None:
        self.epochs = epochs
        self.averaged = averaged
        self.image_shape = image_shape
        self.random_state = random_state

    def _learn(self, X: Rows, codes: npt.NDArray[np.int64]) -> None:
        from sklearn.utils import check_random_state

        state = check_random_state(self.random_state)
        weights = np.zeros((len(self.classes_), X.shape[1] + 1), dtype=X.dtype)
        earlier = np.zeros(weights.shape)  # each change times the step it was made at: the mean is weights - earlier / steps
        rows = np.concatenate([X, np.ones((len(X), 1), X.dtype)], axis=1)
        self.mistakes_: list[int] = []
        step = 0
        for _ in range(whole("epochs", self.epochs)):
            wrong = 0
            for place in state.permutation(len(rows)):
                row, own = rows[place], int(codes[place])
                said = _read(weights @ row, own)
                if said != own:
                    weights[own] += row
                    weights[said] -= row
                    if self.averaged:
                        earlier[own] += step * row
                        earlier[said] -= step * row
                    wrong += 1
                step += 1
            self.mistakes_.append(wrong)
            if not wrong:
                break
        self.converged_ = not self.mistakes_[-1]
        found = weights - earlier / step if self.averaged else weights
        self.weights_, self.bias_ = found[:, :-1].astype(X.dtype), found[:, -1].astype(X.dtype)

    def _scores(self, X: Rows) -> npt.NDArray[Any]:
        scores: npt.NDArray[Any] = X @ self.weights_.T + self.bias_
        return scores


def _read(scores: npt.NDArray[Any], own: int) -> int:
    """Return the class of the largest score; a tie that the own class shares is a mistake, so that zero weights learn."""
    best = int(scores.argmax())
    if best != own:
        return best
    ties = np.flatnonzero(scores == scores[own])
    return best if len(ties) == 1 else int(ties[ties != own][0])
