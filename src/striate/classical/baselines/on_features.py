"""Rows of features under a linear support vector machine whose penalty is chosen on the training part."""

from __future__ import annotations

from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from striate.classical.checking import Shape
from striate.classical.estimators.k_nearest import KNearest
from striate.classical.estimators.linear import LinearClassifier
from striate.classical.features.colour_histogram import ColourHistogram
from striate.classical.features.corners import Corners
from striate.classical.features.filter_bank import FilterBank
from striate.classical.features.fourier import Fourier
from striate.classical.features.gabor import Gabor
from striate.classical.features.hog import HOG
from striate.classical.features.sift import SIFT
from striate.classical.features.subspace import Subspace
from striate.classical.features.textons import Textons
from striate.classical.features.visual_words import VisualWords
from striate.classical.features.wavelets import Wavelets
from striate.classical.registry import baseline


def svm(features: object, *, seed: int) -> Pipeline:
    """Return a feature, standardised, under a linear support vector machine."""
    return make_pipeline(features, StandardScaler(copy=False), LinearClassifier("squared-hinge", random_state=seed))


def cell_of(shape: Shape) -> int:
    """Return a cell's side in pixels: an eighth of the shorter side, 4 at least, 2 for pictures under 16 pixels."""
    side = min(shape[1:])
    return 2 if side < 16 else max(4, side // 8)


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
    """Return histograms of oriented gradients, about eight cells a side."""
    return svm(HOG(cell=cell_of(shape), image_shape=shape), seed=seed)


@baseline("sift-svm", help="SIFT on a grid, linear SVM", group="features", quick=False)
def sift_svm(shape: Shape, *, seed: int) -> Pipeline:
    """Return dense SIFT descriptors side by side."""
    return svm(SIFT(cell=cell_of(shape), image_shape=shape), seed=seed)


@baseline("corners", help="corner strength, linear SVM", group="features", quick=False)
def corners(shape: Shape, *, seed: int) -> Pipeline:
    """Return Shi and Tomasi's corner strength over eight by eight regions."""
    return svm(Corners(cells=8, image_shape=shape), seed=seed)


@baseline("filter-bank", help="filter bank (Sobel, LoG, Canny …), linear SVM", group="features", quick=False)
def filter_bank(shape: Shape, *, seed: int) -> Pipeline:
    """Return the filters' mean answers, with and without sign, over eight by eight regions."""
    return svm(FilterBank(cells=8, sign=True, image_shape=shape), seed=seed)


@baseline("gabor", help="Gabor energy, linear SVM", group="features", quick=False)
def gabor(shape: Shape, *, seed: int) -> Pipeline:
    """Return Gabor energy over four by four regions."""
    return svm(Gabor(cells=4, image_shape=shape), seed=seed)


@baseline("fourier", help="low Fourier frequencies, linear SVM", group="features", quick=False)
def fourier(shape: Shape, *, seed: int) -> Pipeline:
    """Return the lowest frequencies of every channel."""
    return svm(Fourier("low", keep=6, colour="keep", image_shape=shape), seed=seed)


@baseline("wavelets", help="wavelet energy, linear SVM", group="features", quick=False)
def wavelets(shape: Shape, *, seed: int) -> Pipeline:
    """Return Haar energies of every channel over eight by eight regions."""
    return svm(Wavelets(cells=8, colour="keep", image_shape=shape), seed=seed)


@baseline("visual-words", help="visual words (SIFT), linear SVM", group="features", quick=False)
def visual_words(shape: Shape, *, seed: int) -> Pipeline:
    """Return counts of 200 words of SIFT, whole picture and quarters."""
    size = 1 if min(shape[1:]) < 16 else max(2, cell_of(shape) // 2)
    return svm(VisualWords(size=size, image_shape=shape, random_state=seed), seed=seed)


@baseline("patch-words", help="visual words (whitened patches), linear SVM", group="features", quick=False)
def patch_words(shape: Shape, *, seed: int) -> Pipeline:
    """Return 200 words of whitened patches of six pixels, over quarters."""
    return svm(VisualWords(of="patches", size=min(6, *shape[1:]), image_shape=shape, random_state=seed), seed=seed)


@baseline("textons", help="textons, linear SVM", group="features", quick=False)
def textons(shape: Shape, *, seed: int) -> Pipeline:
    """Return counts of 64 textons over four by four regions."""
    return svm(Textons(cells=4, image_shape=shape, random_state=seed), seed=seed)


@baseline("pca", help="PCA subspace (50), k nearest neighbours", group="features", quick=False)
def pca(shape: Shape, *, seed: int) -> Pipeline:
    """Return k nearest neighbours in the subspace of 50 components (as many as there are pixels, where these are fewer)."""
    return make_pipeline(Subspace(min(50, shape[0] * shape[1] * shape[2]), image_shape=shape, random_state=seed), KNearest(3, weights="distance"))
