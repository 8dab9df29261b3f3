"""Rows of classifiers that see the pixels themselves."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline, make_pipeline

from striate.classical.checking import Shape
from striate.classical.estimators.k_nearest import KNearest
from striate.classical.estimators.linear import LinearClassifier
from striate.classical.estimators.mlp import MLP
from striate.classical.features.pixels import Pixels
from striate.classical.registry import baseline


@baseline("k-nn", help="k nearest neighbours (3), pixels", group="pixels", quick=True)
def k_nn(shape: Shape, *, seed: int) -> Pipeline:  # noqa: ARG001
    """Return k nearest neighbours on pixels."""
    return make_pipeline(Pixels(image_shape=shape), KNearest(3, weights="distance", image_shape=shape))


@baseline("linear-softmax", help="linear classifier, softmax, pixels", group="pixels", quick=True)
def linear_softmax(shape: Shape, *, seed: int) -> Pipeline:
    """Return a linear classifier with cross-entropy on pixels."""
    return make_pipeline(Pixels(image_shape=shape), LinearClassifier("softmax", image_shape=shape, random_state=seed))


@baseline("linear-hinge", help="linear classifier, hinge, pixels", group="pixels", quick=False)
def linear_hinge(shape: Shape, *, seed: int) -> Pipeline:
    """Return a linear classifier with the multi-class hinge on pixels."""
    return make_pipeline(Pixels(image_shape=shape), LinearClassifier("hinge", image_shape=shape, random_state=seed))


@baseline("mlp", help="multi-layer perceptron (512), pixels", group="pixels", quick=False)
def mlp(shape: Shape, *, seed: int) -> Any:
    """Return a multi-layer perceptron on pixels."""
    return make_pipeline(Pixels(image_shape=shape), MLP(image_shape=shape, random_state=seed))
