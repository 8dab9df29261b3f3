"""What all features and all classifiers share: scikit-learn's manners, pictures from rows, work in chunks, classes and errors."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from striate.classical.checking import Rows, Shape, floats, numbered, pictures_of, rows_of, shape_of

CHUNK = 1 << 21
"""Pixels (all channels) that are worked on at once."""


class Feature(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A feature of pictures: rows N (C H W) of uint8 or floats in [0, 1] become rows N D of float32.

    A feature of yours gives `_features`, and `_learn` where it learns from the pictures. Every constructor takes `image_shape` (C, H, W);
    None means square pictures. After `fit`: `shape_` (C H W) and `n_features_in_`.
    """

    image_shape: tuple[int, ...] | None

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the options, take the pictures' shape, learn what is to be learned. Raises `ArgumentError`."""
        X, _ = rows_of(self, X, reset=True)
        self.shape_: Shape = shape_of(X.shape[1], self.image_shape)
        self._learn(X, y)
        self._n_features_out = self._features(pictures_of(X[:1], self.shape_)).shape[1]
        return self

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """Return the features, N D float32. Raises `ArgumentError` for NaN, pixels out of range and other widths than were fitted."""
        check_is_fitted(self, "shape_")
        X, _ = rows_of(self, X, reset=False)
        out = np.empty((len(X), self._n_features_out), dtype=np.float32)
        step = self._chunk()
        for first in range(0, len(X), step):
            out[first : first + step] = self._features(pictures_of(X[first : first + step], self.shape_))
        return out

    def _learn(self, X: Rows, y: Any) -> None:
        """Learn from the rows; most features have nothing to learn, and check their options here."""

    def _features(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Return the features N D of pictures N C H W, float32 in [0, 1]."""
        raise NotImplementedError

    def _chunk(self) -> int:
        return max(1, CHUNK // int(np.prod(self.shape_)))

    def _some(self, X: Rows, count: int, seed: Any) -> npt.NDArray[np.float32]:
        """Return at most `count` of the pictures, drawn without repetition, N C H W."""
        from sklearn.utils import check_random_state

        rows = np.arange(len(X)) if len(X) <= count else np.sort(check_random_state(seed).permutation(len(X))[:count])
        return pictures_of(X[rows], self.shape_)


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of rows; after `fit`: `classes_`. A classifier of yours gives `_learn` and `decision_function`."""

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from rows N D and labels N. Raises `ArgumentError` for NaN and where there is one class only."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        X, y = rows_of(self, X, y, reset=True)
        self.classes_, codes = numbered(y)
        self._learn(floats(X), codes)
        return self

    def decision_function(self, X: Any) -> npt.NDArray[Any]:
        """Return one score a class, N K; with two classes N scores for the second."""
        scores = self.scores(X)
        return np.asarray(scores[:, 1] - scores[:, 0]) if scores.shape[1] == 2 else scores

    def scores(self, X: Any) -> npt.NDArray[Any]:
        """Return one score a class, N K, also where there are two classes."""
        check_is_fitted(self, "classes_")
        return self._scores(floats(rows_of(self, X, reset=False)[0]))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the class of the largest score, N."""
        numbers = self.scores(X).argmax(axis=1)
        return np.asarray(np.asarray(self.classes_)[numbers])

    def _learn(self, X: Rows, codes: npt.NDArray[np.int64]) -> None:
        """Learn from float rows N D and class numbers N."""
        raise NotImplementedError

    def _scores(self, X: Rows) -> npt.NDArray[Any]:
        """Return scores N K of float rows."""
        raise NotImplementedError


def softmax(scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return shares N K that sum to 1."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: npt.NDArray[Any] = shifted / shifted.sum(axis=1, keepdims=True)
    return shares
