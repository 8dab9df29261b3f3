"""Rows of several features side by side."""

from __future__ import annotations

from sklearn.pipeline import Pipeline, make_pipeline

from striate.classical.baselines.on_features import cell_of
from striate.classical.checking import Shape
from striate.classical.estimators.linear import LinearClassifier
from striate.classical.features.colour_histogram import ColourHistogram
from striate.classical.features.concatenating import concatenated
from striate.classical.features.hog import HOG
from striate.classical.features.visual_words import VisualWords
from striate.classical.registry import baseline


@baseline("hog-colour", help="HOG and colour histogram, linear SVM", group="several", quick=True)
def hog_colour(shape: Shape, *, seed: int) -> Pipeline:
    """Return form and colour side by side."""
    parts = HOG(cell=cell_of(shape), image_shape=shape), ColourHistogram(root=True, image_shape=shape)
    return make_pipeline(concatenated(*parts), LinearClassifier("squared-hinge", random_state=seed))


@baseline("hog-colour-words", help="HOG, colour and patch words, linear SVM", group="several", quick=False)
def hog_colour_words(shape: Shape, *, seed: int) -> Pipeline:
    """Return form, colour and visual words of patches side by side."""
    words = VisualWords(of="patches", size=min(6, *shape[1:]), image_shape=shape, random_state=seed)
    parts = HOG(cell=cell_of(shape), image_shape=shape), ColourHistogram(root=True, image_shape=shape), words
    return make_pipeline(concatenated(*parts), LinearClassifier("squared-hinge", random_state=seed))
