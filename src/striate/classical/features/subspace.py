"""PCA subspace: the directions in which pictures differ most, as pictures. Turk and Pentland 1991 (row C pca)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.classical.bases import Feature
from striate.classical.checking import Rows, pictures_of, whole
from striate.classical.registry import feature
from striate.core.errors import ArgumentError

if TYPE_CHECKING:
    from striate.draw import Figure


@feature("pca", help="PCA subspace", row="C pca")
class Subspace(Feature):
    """Coordinates in the subspace of the `components` directions of largest variance, found by scikit-learn's PCA.

    `whiten` gives every coordinate variance 1. After `fit`: `components_` (k D, orthonormal), `mean_` D, `variance_` k, `variance_share_` k.
    `inverse_transform` leads back to pixels. Raises `ArgumentError` for more components than pixels, or than pictures less one (the mean is taken
    away).
    """

    def __init__(self, components: int = 50, *, whiten: bool = False, image_shape: tuple[int, ...] | None = None, random_state: Any = 0) -> None:
        self.components = components
        self.whiten = whiten
        self.image_shape = image_shape
        self.random_state = random_state

    def _learn(self, X: Rows, y: Any) -> None:  # noqa: ARG002
        from sklearn.decomposition import PCA

        most = min(len(X) - 1, X.shape[1])
        if whole("components", self.components) > most:
            raise ArgumentError(
                f"components: got {self.components}, but {len(X)} pictures of {X.shape[1]} values, less their mean, span at most {most}"
            )
        found = PCA(self.components, svd_solver="auto", random_state=self.random_state).fit(pictures_of(X, self.shape_).reshape(len(X), -1))
        self.components_, self.mean_ = found.components_.astype(np.float32), found.mean_.astype(np.float32)
        self.variance_, self.variance_share_ = found.explained_variance_, found.explained_variance_ratio_

    def _features(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        rows: npt.NDArray[Any] = (pictures.reshape(len(pictures), -1) - self.mean_) @ self.components_.T
        return rows / self._scale() if self.whiten else rows

    def inverse_transform(self, codes: Any) -> npt.NDArray[np.float32]:
        """Return the pixels N D that have these coordinates N k: the nearest point of the subspace."""
        values = np.asarray(codes, np.float32)
        values = values * self._scale() if self.whiten else values
        rows: npt.NDArray[np.float32] = values @ self.components_ + self.mean_
        return rows

    def _scale(self) -> npt.NDArray[np.float32]:
        return np.asarray(np.sqrt(np.maximum(self.variance_, 1e-12)), np.float32)

    def figure(self, count: int = 20, *, title: str = "") -> Figure:
        """Draw the mean picture's first `count` directions of change, the strongest first, with their share of the variance."""
        from striate.classical.templates import template_figure

        shown = self.components_[:count].reshape(-1, *self.shape_)
        words = [f"{100 * share:.1f} %" for share in self.variance_share_[:count]]
        title = title or f"{len(shown)} directions hold {100 * self.variance_share_[:count].sum():.0f} % of the variance"
        return template_figure(shown, words, title=title)
