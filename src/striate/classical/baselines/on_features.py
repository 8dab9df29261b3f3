"""Rows of features under a linear support vector machine."""

from __future__ import annotations

from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from striate.classical.checking import Shape
from striate.classical.estimators.k_nearest import KNearest
from striate.classical.estimators.linear import LinearClassifier
from striate.classical.features.colour_histogram import ColourHistogram
from striate.classical.features.hog import HOG
from striate.classical.features.subspace import Subspace
from striate.classical.registry import baseline


def svm(*features: object, seed: int) -> Pipeline:
    """Return features, one after the other, standardised, under a linear support vector machine whose penalty is chosen."""
    return make_pipeline(*features, StandardScaler(copy=False), LinearClassifier("squared-hinge", random_state=seed))


@baseline("colour-histogram", help="colour histogram, linear SVM", group="features", quick=True)
def colour_histogram(shape: Shape, *, seed: int) -> Pipeline:
    """Return the raw colour histogram."""
    return svm(ColourHistogram(root=True, image_shape=shape), seed=seed)


@baseline("smoothed-histogram", help="smoothed colour histogram, linear SVM", group="features", quick=False)
def smoothed_histogram(shape: Shape, *, seed: int) -> Pipeline:
    """Return the colour histogram smoothed over one bin."""
    return svm(ColourHistogram(smoothing=1.0, root=True, image_shape=shape), seed=seed)


@baseline("hog-svm", help="HOG, linear SVM", group="features", quick=True)
def hog_svm(shape: Shape, *, seed: int) -> Pipeline:
    """Return histograms of oriented gradients, in cells of a seventh or eighth of the picture's side, 4 pixels at least."""
    return svm(HOG(cell=cell_of(shape), image_shape=shape), seed=seed)


@baseline("pca", help="PCA subspace (50), k nearest neighbours", group="features", quick=False)
def pca(shape: Shape, *, seed: int) -> Pipeline:
    """Return k nearest neighbours in the subspace of 50 components (as many as the smallest thing allows)."""
    return make_pipeline(Subspace(min(50, shape[0] * shape[1] * shape[2]), image_shape=shape, random_state=seed), KNearest(3, weights="distance"))


def cell_of(shape: Shape) -> int:
    """Return a cell's side in pixels: an eighth of the shorter side, 4 at least, 2 for pictures under 16 pixels."""
    side = min(shape[1:])
    return 2 if side < 16 else max(4, side // 8)
