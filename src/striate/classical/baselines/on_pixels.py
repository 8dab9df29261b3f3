"""Rows of classifiers that see the pixels themselves."""

from __future__ import annotations

from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from striate.classical.checking import Shape
from striate.classical.estimators.adaline import Adaline
from striate.classical.estimators.k_nearest import KNearest
from striate.classical.estimators.linear import LinearClassifier
from striate.classical.estimators.madaline import Madaline
from striate.classical.estimators.mlp import MLP
from striate.classical.estimators.neocognitron import Neocognitron
from striate.classical.estimators.perceptron import Perceptron
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
def mlp(shape: Shape, *, seed: int) -> Pipeline:
    """Return a multi-layer perceptron on pixels."""
    return make_pipeline(Pixels(image_shape=shape), MLP(image_shape=shape, random_state=seed))


@baseline("perceptron", help="perceptron (Rosenblatt), pixels", group="pixels", quick=False)
def perceptron(shape: Shape, *, seed: int) -> Pipeline:
    """Return Rosenblatt's perceptron, predicting by its averaged weights, on each picture's pixels less their mean."""
    return make_pipeline(Pixels(centre="picture", image_shape=shape), Perceptron(epochs=15, averaged=True, image_shape=shape, random_state=seed))


@baseline("adaline", help="Adaline (Widrow-Hoff), pixels", group="pixels", quick=False)
def adaline(shape: Shape, *, seed: int) -> Pipeline:
    """Return Adalines, one a class, on each picture's pixels less their mean."""
    return make_pipeline(Pixels(centre="picture", image_shape=shape), Adaline(image_shape=shape, random_state=seed))


@baseline("madaline", help="Madaline (15 votes a class), pixels", group="pixels", quick=False)
def madaline(shape: Shape, *, seed: int) -> Pipeline:
    """Return Madalines of fifteen units a class on each picture's pixels less their mean."""
    return make_pipeline(Pixels(centre="picture", image_shape=shape), Madaline(image_shape=shape, random_state=seed))


@baseline("neocognitron", help="Neocognitron, softmax", group="pixels", quick=False)
def neocognitron(shape: Shape, *, seed: int) -> Pipeline:
    """Return a Neocognitron whose last C-cells a linear classifier reads."""
    cells = Neocognitron(image_shape=shape, random_state=seed)
    return make_pipeline(cells, StandardScaler(copy=False), LinearClassifier("softmax", random_state=seed))
