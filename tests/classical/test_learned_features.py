"""Colour histograms, subspace, words, textons, concatenations and the Neocognitron against plain sums, SVD and loops."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from scipy import ndimage

from striate.classical import ColourHistogram, Neocognitron, Pixels, Subspace, Textons, VisualWords, concatenated
from striate.classical.estimators import neocognitron as cells
from striate.classical.features.codebook import counted, learn_words, nearest_word
from striate.classical.features.colour_histogram import hsv
from striate.classical.features.visual_words import whitening
from striate.core.errors import ArgumentError, UnknownNameError


def some(shape=(3, 12, 12), n=30, seed=0):
    return np.random.default_rng(seed).random((n, *shape)).astype(np.float32)


def rows(pictures):
    return pictures.reshape(len(pictures), -1)


def test_colour_histograms_count_what_numpy_counts():
    pictures = some(n=3)
    found = ColourHistogram(bins=4, image_shape=(3, 12, 12)).fit_transform(rows(pictures))
    for picture, shares in zip(pictures, found, strict=True):
        counts = np.histogramdd(picture.reshape(3, -1).T, bins=[np.linspace(0, 1, 5)] * 3)[0]
        np.testing.assert_allclose(shares, counts.ravel() / 144, atol=1e-7)
    root = ColourHistogram(bins=4, root=True, image_shape=(3, 12, 12)).fit_transform(rows(pictures))
    np.testing.assert_allclose(np.square(root).sum(axis=1), 1, rtol=1e-5)
    shuffled = np.random.default_rng(0).permuted(pictures.reshape(3, 3, -1), axis=2).reshape(pictures.shape)  # channels apart: colours change
    assert np.abs(ColourHistogram(bins=4).fit_transform(rows(shuffled)) - found).max() > 0.01


def test_white_is_in_the_last_bin_and_bytes_count_as_floats():
    x = np.full((1, 12), 255, np.uint8)
    assert ColourHistogram(bins=3, image_shape=(3, 2, 2)).fit_transform(x)[0, -1] == 1
    bytes_ = (rows(some()) * 255).astype(np.uint8)
    feature = ColourHistogram(image_shape=(3, 12, 12)).fit(bytes_)
    np.testing.assert_array_equal(feature.transform(bytes_), feature.transform(bytes_ / np.float32(255)))


def test_smoothing_is_a_gaussian_over_the_bins_and_hue_goes_round():
    pictures = some(n=2)
    raw, smooth = (ColourHistogram(bins=6, smoothing=s, image_shape=(3, 12, 12)).fit_transform(rows(pictures)) for s in (0, 0.8))
    expected = np.stack([ndimage.gaussian_filter(one.reshape(6, 6, 6).astype(np.float64), 0.8, mode="reflect") for one in raw])
    np.testing.assert_allclose(smooth, rows(expected), atol=1e-6)
    red = np.zeros((1, 3, 2, 2), np.float32)
    red[:, 0] = 1  # hue 0: half of the spread goes to the other end of the circle
    round_ = ColourHistogram(bins=6, space="hsv", smoothing=0.8, image_shape=(3, 2, 2)).fit_transform(rows(red)).reshape(6, 6, 6).sum(axis=(1, 2))
    assert round_[1] == pytest.approx(round_[5])
    np.testing.assert_allclose(smooth.sum(axis=1), 1, rtol=1e-5)


def test_hue_saturation_value_are_pythons():
    pictures = some(n=2)
    found = hsv(pictures).transpose(0, 2, 3, 1).reshape(-1, 3)
    expected = [colorsys.rgb_to_hsv(*pixel) for pixel in pictures.transpose(0, 2, 3, 1).reshape(-1, 3).tolist()]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_subspace_is_that_of_the_singular_vectors():
    x = rows(some(n=40, shape=(1, 5, 6)))
    feature = Subspace(7, image_shape=(1, 5, 6)).fit(x)
    centred = x - x.mean(axis=0)
    _, values, vectors = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    angles = np.linalg.svd(feature.components_ @ vectors[:7].T)[1]
    np.testing.assert_allclose(angles, 1, atol=1e-5)
    np.testing.assert_allclose(feature.variance_, values[:7] ** 2 / 39, rtol=1e-4)
    back = feature.inverse_transform(feature.transform(x))
    assert np.square(back - x).sum() == pytest.approx((values[7:] ** 2).sum(), rel=1e-4)
    white = Subspace(7, whiten=True, image_shape=(1, 5, 6)).fit_transform(x)
    np.testing.assert_allclose(np.cov(white.T), np.eye(7), atol=1e-4)
    assert feature.figure(4).svg().count("<image") >= 4
    with pytest.raises(ArgumentError, match="span at most 30"):
        Subspace(31, image_shape=(1, 5, 6)).fit(x)
    few = x[:12]
    rank = np.linalg.matrix_rank(few - few.mean(0))
    assert len(Subspace(rank, image_shape=(1, 5, 6)).fit(few).components_) == rank == 11
    with pytest.raises(ArgumentError, match="12 pictures of 30 values, less their mean, span at most 11"):
        Subspace(12, image_shape=(1, 5, 6)).fit(few)


def test_pixels_can_be_grey_smaller_and_centred():
    pictures = some(n=2, shape=(3, 5, 6))
    np.testing.assert_array_equal(Pixels(image_shape=(3, 5, 6)).fit_transform(rows(pictures)), rows(pictures))
    luma = 0.299 * pictures[:, 0] + 0.587 * pictures[:, 1] + 0.114 * pictures[:, 2]
    small = Pixels(colour="grey", shrink=2, image_shape=(3, 5, 6)).fit_transform(rows(pictures))
    np.testing.assert_allclose(small[:, 0], luma[:, :2, :2].mean(axis=(1, 2)), atol=1e-6)
    assert small.shape == (2, 2 * 3)
    centred = Pixels(centre="picture", image_shape=(3, 5, 6)).fit(rows(pictures))
    np.testing.assert_allclose(centred.transform(rows(0.5 * pictures + 0.2)), centred.transform(rows(pictures)), atol=1e-4)


def test_words_are_the_centres_of_what_is_there():
    state = np.random.default_rng(0)
    centres = np.array([[0, 0, 5.0], [5, 0, 0], [0, 5, 0]], np.float32)
    samples = np.repeat(centres, 100, axis=0) + 0.1 * state.normal(size=(300, 3)).astype(np.float32)
    found = learn_words(samples, 3, 0)
    apart = np.linalg.norm(found[:, None] - centres, axis=2).min(axis=0)
    assert apart.max() < 0.1
    asked = state.normal(size=(4, 6, 3)).astype(np.float32)
    expected = np.linalg.norm(asked[:, :, None] - found, axis=3).argmin(axis=2)
    np.testing.assert_array_equal(nearest_word(asked, found), expected)
    np.testing.assert_allclose(counted(expected, 3), [[(row == word).mean() for word in range(3)] for row in expected], atol=1e-7)
    with pytest.raises(ArgumentError, match="fewer samples"):
        learn_words(np.repeat(samples[:2], 10, axis=0), 3, 0)


def test_a_bag_of_words_counts_in_the_whole_and_in_each_quarter():
    pictures = some(n=40, shape=(1, 16, 16))
    feature = VisualWords(6, size=2, step=2, image_shape=(1, 16, 16)).fit(rows(pictures))
    found = np.square(feature.transform(rows(pictures[:3])))
    places = nearest_word(feature.samples(pictures[:3]), feature.words_).reshape(3, 5, 5)
    whole = [[(one == word).mean() for word in range(6)] for one in places]
    corner = [[(one[2:, :2] == word).mean() for word in range(6)] for one in places]
    np.testing.assert_allclose(found[:, :6], whole, atol=1e-6)
    np.testing.assert_allclose(found[:, 18:24], corner, atol=1e-6)
    again = VisualWords(6, size=2, step=2, image_shape=(1, 16, 16)).fit(rows(pictures))
    np.testing.assert_array_equal(again.words_, feature.words_)
    assert feature.figure(rows(pictures), count=4).svg().count("<image") == 4


def test_the_triangle_speaks_for_words_nearer_than_the_average():
    pictures = some(n=40, shape=(3, 8, 8))
    feature = VisualWords(5, of="patches", size=3, step=1, pyramid=1, image_shape=(3, 8, 8)).fit(rows(pictures))
    patch = pictures[0, :, 2:5, 4:7].reshape(-1).astype(np.float64)
    patch = (patch - patch.mean()) / np.sqrt(patch.var() + 10 / 255**2)
    np.testing.assert_allclose(feature.samples(pictures[:1])[0, 2 * 6 + 4], patch, atol=1e-4)
    white = (feature.samples(pictures[:2]) - feature.whitening_[0]) @ feature.whitening_[1]
    apart = np.linalg.norm(white[:, :, None] - feature.words_, axis=3)
    expected = np.maximum(apart.mean(axis=2, keepdims=True) - apart, 0).mean(axis=1)
    np.testing.assert_allclose(feature.transform(rows(pictures[:2])), expected, atol=1e-4)
    assert feature.figure().svg()


def test_whitening_leaves_nothing_correlated():
    state = np.random.default_rng(0)
    samples = (state.normal(size=(5000, 4)) @ state.normal(size=(4, 4))).astype(np.float32)
    mean, matrix = whitening(samples, floor=0)
    np.testing.assert_allclose(np.cov(((samples - mean) @ matrix).T), np.eye(4), atol=1e-3)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5)


def test_textons_tell_stripes_from_spots_and_count_pixels():
    y, x = np.mgrid[:24, :24]
    state = np.random.default_rng(0)
    stripes = [0.5 + 0.5 * np.sin(2 * np.pi * (x / 5 + state.random())) for _ in range(10)]
    spots = [0.5 + 0.5 * np.sin(2 * np.pi * (x / 5 + state.random())) * np.sin(2 * np.pi * (y / 5 + state.random())) for _ in range(10)]
    pictures = np.stack([*stripes, *spots]).astype(np.float32)
    feature = Textons(12, cells=1, image_shape=(1, 24, 24)).fit(rows(pictures))
    found = np.square(feature.transform(rows(pictures)))
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found[0], [(feature.places(pictures[:1, None]) == word).mean() for word in range(12)], atol=1e-6)
    apart = np.abs(found[:, None] - found).sum(axis=2)
    assert apart[:10, 10:].min() > 3 * apart[:10, :10].mean()
    assert feature.patches().shape[0] == 12
    assert feature.figure().svg()
    assert feature.figure(rows(pictures)).svg()


def test_concatenations_stand_side_by_side_with_even_weight():
    pictures = rows(some())
    union = concatenated("hog", "colour-histogram", image_shape=(3, 12, 12), scale=False)
    found = union.fit_transform(pictures)
    assert [name for name, _ in union.transformer_list] == ["hog", "colour-histogram"]
    np.testing.assert_array_equal(found[:, -512:], ColourHistogram(image_shape=(3, 12, 12)).fit_transform(pictures))
    even = concatenated("pixels", Subspace(3, image_shape=(3, 12, 12)), Subspace(2, image_shape=(3, 12, 12)), image_shape=(3, 12, 12))
    parts = even.fit_transform(pictures)
    assert [name for name, _ in even.transformer_list] == ["pixels", "subspace", "subspace-2"]
    assert np.square(parts[:, :432]).sum() == pytest.approx(np.square(parts[:, 432:435]).sum(), rel=1e-4)
    with pytest.raises(UnknownNameError, match="hog"):
        concatenated("hogg")
    with pytest.raises(ArgumentError, match="expected a feature's name"):
        concatenated(3)


def test_s_and_c_cells_are_what_the_formulas_say():
    import torch

    state = np.random.default_rng(0)
    below, theta = state.random((1, 2, 7, 7)).astype(np.float32), 0.8
    bell = cells._bell(3, 1.0)
    patterns = state.random((3, 2, 3, 3)) * np.sqrt(bell)
    patterns = (patterns / np.sqrt(np.square(patterns).sum(axis=(1, 2, 3), keepdims=True))).astype(np.float32)
    answers = cells.s_cells(torch.from_numpy(below), torch.from_numpy(patterns), theta).numpy()[0]
    padded = np.pad(below[0], ((0, 0), (1, 1), (1, 1)))
    for k in range(3):
        for i in range(7):
            for j in range(7):
                window = padded[:, i : i + 3, j : j + 3] * np.sqrt(bell)
                length = np.sqrt(np.square(window).sum())
                alike = (window * patterns[k]).sum() / length
                assert answers[k, i, j] == pytest.approx(length * max(0, alike - theta) / (1 - theta), abs=1e-5)
    pooled = cells.c_cells(torch.from_numpy(answers[None]), 2, 0.5).numpy()[0]
    edge = np.pad(answers, ((0, 0), (1, 1), (1, 1)))
    for k, i, j in ((0, 0, 0), (1, 1, 2), (2, 3, 3)):
        window = edge[k, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        assert pooled[k, i, j] == pytest.approx(np.sqrt((cells._bell(3, 0.5) * window**2).sum()), abs=1e-5)


def bars(n=40, side=16, seed=0):
    state = np.random.default_rng(seed)
    pictures = np.zeros((n, side, side), np.float32)
    for number, picture in enumerate(pictures):
        at = state.integers(4, side - 4)
        if number % 2:
            picture[at, 3:-3] = 1
        else:
            picture[3:-3, at] = 1
    return pictures, np.arange(n) % 2


def test_the_neocognitron_learns_without_labels_and_forgives_a_shift():
    pictures, y = bars()
    net = Neocognitron((6, 8), sizes=(3, 5), thresholds=(0.7, 0.6), learning=(0.9, 0.85), spacing=(2, 2), blur=(1.0, 1.5), image_shape=(1, 16, 16))
    found = net.fit(rows(pictures)).transform(rows(pictures))
    np.testing.assert_array_equal(net.fit(rows(pictures), y[::-1]).transform(rows(pictures)), found)  # labels are not looked at
    for patterns in net.patterns_:
        np.testing.assert_allclose(np.square(patterns).sum(axis=(1, 2, 3)), 1, rtol=1e-4)

    def shift_against_other(values):
        shifted, other = np.roll(pictures, 1, axis=2)[::2], pictures[1::2]
        own, moved, turned = (values(rows(which)) for which in (pictures[::2], shifted, other))
        return np.linalg.norm(own - moved, axis=1).mean() / np.linalg.norm(own - turned, axis=1).mean()

    assert shift_against_other(net.transform) < 0.6 * shift_against_other(lambda x: x)
    assert [layer.shape[2] for layer in net.layers(pictures[:1, None])] == [16, 8, 4]
    assert net.figure().svg()


def test_every_neocognitron_option_is_checked():
    x = rows(bars()[0])
    for options, words in (
        ({"sizes": (3, 5)}, "one entry for each of the 3 stages"),
        ({"sizes": (3, 4, 5)}, "odd"),
        ({"thresholds": (0.5, 1.0, 0.5)}, "from 0 up to 1"),
        ({"planes": (0, 4, 4)}, "planes"),
    ):
        with pytest.raises(ArgumentError, match=words):
            Neocognitron(**options, image_shape=(1, 16, 16)).fit(x)
    with pytest.raises(ArgumentError, match="flat"):
        Neocognitron(image_shape=(1, 16, 16)).fit(np.full_like(x, 0.5))
