"""k nearest neighbours, with the neighbours as pictures. Fix and Hodges 1951 (row C k-nn)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.neighbors import KNeighborsClassifier

from striate.classical.bases import Classifier
from striate.classical.checking import Rows, floats, pictures_of, rows_of, shape_of, whole
from striate.classical.registry import estimator
from striate.core.errors import ArgumentError, unknown_name

if TYPE_CHECKING:
    from striate.draw import Figure


@estimator("k-nearest", help="k nearest neighbours", row="C k-nn")
class KNearest(Classifier):
    """The class most of the `k` nearest training rows have, by `metric`, compared with all of them; ties go to the lower class.

    `weights`: `uniform`, or `distance` (each counts as the inverse of its distance). Rows are compared as they are: scale them first where columns
    differ. scikit-learn does the search. Raises `ArgumentError` for NaN, one class only, and fewer training rows than neighbours.
    """

    def __init__(
        self,
        k: int = 5,
        *,
        weights: Literal["uniform", "distance"] = "uniform",
        metric: Literal["euclidean", "manhattan", "cosine"] = "euclidean",
        image_shape: tuple[int, ...] | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.k = k
        self.weights = weights
        self.metric = metric
        self.image_shape = image_shape
        self.n_jobs = n_jobs

    def predict_proba(self, X: Any) -> npt.NDArray[Any]:
        """Return the share of the neighbours (by weight) that each class has, N K."""
        return self.scores(X)

    def _learn(self, X: Rows, codes: npt.NDArray[np.int64]) -> None:
        for name, allowed in (("weights", ("uniform", "distance")), ("metric", ("euclidean", "manhattan", "cosine"))):
            if getattr(self, name) not in allowed:
                raise unknown_name(name, str(getattr(self, name)), allowed)
        if whole("k", self.k) > len(X):
            raise ArgumentError(f"k: got {self.k}, but there are {len(X)} training rows; take at most so many neighbours")
        self.search_ = KNeighborsClassifier(self.k, weights=self.weights, metric=self.metric, algorithm="brute", n_jobs=self.n_jobs).fit(X, codes)

    def _scores(self, X: Rows) -> npt.NDArray[Any]:
        return np.asarray(self.search_.predict_proba(X))

    def neighbours(self, X: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Return the distances and training row numbers of each row's `k` nearest, N k each, the nearest first."""
        distances, found = self.search_.kneighbors(floats(rows_of(self, X, reset=False)[0]))
        return distances, found

    def figure(self, X: Any, names: Sequence[str] | None = None, *, title: str = "") -> Figure:
        """Draw each row's picture and its nearest neighbours, the nearest first, with their classes. Raises `ArgumentError` for floats off [0, 1]."""
        from striate import draw

        X, _ = rows_of(self, X, reset=False)
        shape = shape_of(X.shape[1], self.image_shape)
        _, found = self.neighbours(X)
        kept: Any = self.search_._fit_X  # noqa: SLF001 - scikit-learn keeps the rows here only
        known = [str(label) for label in (self.classes_ if names is None else names)]
        cells: list[Any] = []
        words: list[str] = []
        for picture, numbers in zip(pictures_of(X, shape), found, strict=True):
            cells += [picture, *pictures_of(kept[numbers] / (255 if kept.max() > 1.001 else 1), shape)]
            words += ["asked", *(known[self.search_._y[number]] for number in numbers)]  # noqa: SLF001
        shown = [cell if shape[0] in (1, 3) else cell.mean(axis=0) for cell in cells]
        return draw.grid(shown, words, title=title or "Each picture and those nearest to it", columns=found.shape[1] + 1, size=64)
