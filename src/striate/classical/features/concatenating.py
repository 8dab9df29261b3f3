"""Several features side by side, by name or as they are (row C concatenated)."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler

from striate.classical.registry import features
from striate.core.errors import ArgumentError


class EvenWeight(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Divide rows by the root of their width."""

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002
        """Take the width."""
        self.n_features_in_ = np.shape(X)[1]
        return self

    def transform(self, X: Any) -> Any:
        """Return the rows, divided."""
        return X / np.sqrt(np.float32(self.n_features_in_))


def concatenated(*parts: Any, image_shape: tuple[int, ...] | None = None, random_state: int = 0, scale: bool = True) -> FeatureUnion:
    """Return features side by side as scikit-learn's `FeatureUnion`: names of the registry (`"hog"`, `"colour-histogram"`) or transformers.

    Named ones get `image_shape` and `random_state`, and a name each in the union. `scale`: every column is standardised on the training rows and
    every part divided by the root of its width, so that a part of many numbers does not drown one of few. Raises `UnknownNameError`, `ArgumentError`.
    """
    if not parts:
        raise ArgumentError(f"parts: got none, expected features such as {', '.join(list(features.names())[:3])}")
    made: list[tuple[str, Any]] = []
    for part in parts:
        if isinstance(part, str):
            takes = features.entry(part).signature.names
            given: dict[str, Any] = {"image_shape": image_shape} | ({"random_state": random_state} if "random_state" in takes else {})
            name, transformer = part, features.get(part)(**given)
        elif hasattr(part, "transform"):
            name, transformer = type(part).__name__.lower(), part
        else:
            raise ArgumentError(f"parts: got {type(part).__name__}, expected a feature's name or a transformer")
        taken = {known for known, _ in made}
        while name in taken:
            name += "-2"
        made.append((name, make_pipeline(transformer, StandardScaler(copy=False), EvenWeight()) if scale else transformer))
    return FeatureUnion(made)
