"""Filters, Canny, Gabor, Fourier and wavelets against scipy, scikit-image and the theorems they must keep."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage import data as photographs
from skimage import feature as theirs
from skimage import filters

from striate.classical import FilterBank, Fourier, Gabor, Wavelets, canny_edges, filtered, kernel
from striate.classical.features.kernels import KERNELS, gabor, laplacian_of_gaussian, pooled
from striate.core.errors import ArgumentError, UnknownNameError


def some(shape=(1, 17, 20), n=4, seed=0):
    return np.random.default_rng(seed).random((n, *shape)).astype(np.float32)


def test_filters_slide_as_scipys_do():
    pictures, names = some()[:, 0], list(KERNELS)
    found = filtered(pictures, [kernel(name) for name in names])
    for place, name in enumerate(names):
        for picture, answer in zip(pictures, found, strict=True):
            expected = ndimage.correlate(picture.astype(np.float64), kernel(name), mode="reflect")
            np.testing.assert_allclose(answer[place], expected, atol=1e-5, err_msg=name)


def test_named_filters_are_what_their_names_say():
    picture = some()[0, 0].astype(np.float64)
    seen = dict(zip(KERNELS, filtered(picture[None], [kernel(name) for name in KERNELS])[0], strict=True))
    np.testing.assert_allclose(seen["identity"], picture, atol=1e-6)
    np.testing.assert_allclose(seen["box-blur"], ndimage.uniform_filter(picture, 3), atol=1e-5)
    np.testing.assert_allclose(seen["sobel-rows"], -ndimage.sobel(picture, axis=0) / 4, atol=1e-5)
    np.testing.assert_allclose(seen["sobel-columns"], -ndimage.sobel(picture, axis=1) / 4, atol=1e-5)
    np.testing.assert_allclose(np.hypot(seen["sobel-rows"], seen["sobel-columns"]) / np.sqrt(2), filters.sobel(picture), atol=1e-5)
    np.testing.assert_allclose(seen["edge-cross"], ndimage.laplace(picture), atol=1e-5)
    np.testing.assert_allclose(seen["sharpen"], picture - ndimage.laplace(picture), atol=1e-5)
    kernel_sum = {name: kernel(name).sum() for name in KERNELS}
    assert all(kernel_sum[name] == pytest.approx(1) for name in ("identity", "sharpen", "box-blur", "gaussian-blur"))
    assert all(abs(kernel_sum[name]) < 1e-9 for name in KERNELS if name.startswith(("edge", "sobel", "laplacian", "gabor")))


def test_laplacian_of_gaussian_is_scipys():
    picture = some((1, 40, 40))[0, 0].astype(np.float64)
    expected = ndimage.gaussian_laplace(picture, 1.5)
    np.testing.assert_allclose(filtered(picture[None], [laplacian_of_gaussian(1.5)])[0, 0], expected, atol=2e-4)


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.0])
def test_canny_is_scikit_images(sigma):
    photograph = photographs.camera()[60:188, 180:308] / 255.0
    pictures = np.stack([photograph, np.rot90(photograph), some((1, 128, 128))[0, 0].astype(np.float64)])
    found = canny_edges(pictures, sigma=sigma)
    expected = np.stack([theirs.canny(picture, sigma=sigma) for picture in pictures])
    assert 100 < expected[0].sum() < 8000
    assert (found != expected).mean() < 1e-3


def test_gabor_filters_are_scikit_images_less_their_mean():
    found, expected = gabor(0.2, 0.4), filters.gabor_kernel(0.2, theta=0.4)
    np.testing.assert_allclose(found.imag, expected.imag, atol=1e-12)
    assert abs(found.sum()) < 1e-9
    apart = (expected.real - found.real) / np.abs(expected)
    np.testing.assert_allclose(apart, apart[0, 0], rtol=1e-6)


def test_gabor_energy_is_largest_for_the_grating_it_looks_for_and_blind_to_phase():
    feature = Gabor((0.1, 0.25), orientations=4, cells=1, image_shape=(1, 48, 48))
    y, x = np.mgrid[:48, :48]
    turn = np.pi / 4
    waves = [0.5 + 0.5 * np.cos(2 * np.pi * 0.25 * (x * np.cos(turn) + y * np.sin(turn)) + phase) for phase in (0, 1.0, 2.5)]
    rows = np.stack(waves).reshape(3, -1).astype(np.float32)
    energy = feature.fit(rows).energies(rows.reshape(3, 1, 48, 48))[:, :, 16:32, 16:32].mean(axis=(2, 3))
    assert energy[0].argmax() == 4 + 1  # second frequency, second orientation
    np.testing.assert_allclose(energy[1], energy[0], rtol=0.02, atol=1e-3)
    np.testing.assert_allclose(energy[2], energy[0], rtol=0.02, atol=1e-3)
    assert feature.transform(rows).shape == (3, 2 * 4 * 2)
    assert feature.figure().svg().count("<image") >= 8


def test_pooling_averages_regions_of_nearly_equal_size():
    maps = some((2, 7, 5))
    found = pooled(maps, 2)
    np.testing.assert_allclose(found[:, :, 1, 0], maps[:, :, 3:, :2].mean(axis=(2, 3)), atol=1e-6)
    np.testing.assert_allclose(pooled(maps, 2, how="max")[:, :, 0, 1], maps[:, :, :3, 2:].max(axis=(2, 3)))
    np.testing.assert_allclose(pooled(maps, 50), maps)


def test_the_bank_tells_mean_strength_region_by_region():
    pictures = some((3, 16, 16))
    x = pictures.reshape(4, -1)
    light = (pictures * np.array([0.299, 0.587, 0.114])[:, None, None]).sum(axis=1)
    feature = FilterBank(("sobel-rows", "canny"), cells=2, sign=True, image_shape=(3, 16, 16)).fit(x)
    found = feature.transform(x)
    answer = np.stack([ndimage.correlate(one, kernel("sobel-rows"), mode="reflect") for one in light])
    assert found.shape == (4, 2 * 4 * 2)
    np.testing.assert_allclose(found[:, 1], np.abs(answer[:, :8, 8:]).mean(axis=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(found[:, 9], answer[:, :8, 8:].mean(axis=(1, 2)), atol=1e-5)
    edges = np.stack([theirs.canny(one) for one in light])
    np.testing.assert_allclose(found[:, 4], edges[:, :8, :8].mean(axis=(1, 2)), atol=0.02)
    assert feature.figure(x).svg().count("<image") >= 3


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 6), (2, 7, 7)])
def test_parseval_all_frequencies_keep_lengths_and_angles(shape):
    x = some(shape).reshape(4, -1)
    found = Fourier("low", keep=99, colour="keep", image_shape=shape).fit_transform(x)
    assert found.shape == x.shape
    np.testing.assert_allclose(found @ found.T, x @ x.T, rtol=1e-4)


def test_low_frequencies_are_the_smooth_part_and_shifts_leave_magnitudes():
    y, x = np.mgrid[:16, :16]
    smooth = (0.5 + 0.3 * np.cos(2 * np.pi * x / 16) + 0.1 * np.sin(2 * np.pi * (x + 2 * y) / 16)).astype(np.float32)
    rough = smooth + 0.05 * np.cos(np.pi * (x + y)).astype(np.float32)
    rows = np.stack([smooth, rough]).reshape(2, -1)
    low = Fourier("low", keep=3, image_shape=(1, 16, 16)).fit_transform(rows)
    np.testing.assert_allclose(low[0], low[1], atol=1e-5)
    assert np.linalg.norm(low[0]) == pytest.approx(np.linalg.norm(smooth), rel=1e-5)
    pictures = some((1, 16, 16))
    moved = np.roll(pictures, (3, -5), axis=(2, 3))
    size = Fourier("magnitude", image_shape=(1, 16, 16)).fit(pictures.reshape(4, -1))
    np.testing.assert_allclose(size.transform(moved.reshape(4, -1)), size.transform(pictures.reshape(4, -1)), atol=1e-4)


def test_rings_and_wedges_tell_scale_and_direction():
    y, x = np.mgrid[:32, :32]
    gratings = [0.5 + 0.5 * np.cos(2 * np.pi * f * (x * np.cos(t) + y * np.sin(t))) for f, t in ((0.15, 0.2), (0.35, 0.2), (0.35, 1.8))]
    rows = np.stack(gratings).reshape(3, -1).astype(np.float32)
    found = Fourier("rings", keep=5, image_shape=(1, 32, 32)).fit_transform(rows)
    np.testing.assert_array_equal(found[:, :5].argmax(axis=1), [1, 3, 3])
    np.testing.assert_array_equal(found[:, 5:].argmax(axis=1), [0, 0, 2])


@pytest.mark.parametrize("wavelet", ["haar", "db2", "sym4", "coif1"])
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 8, 24), (1, 28, 28)])
def test_wavelets_reconstruct_perfectly_and_keep_energy(wavelet, shape):
    x = some(shape).reshape(4, -1)
    feature = Wavelets("coefficients", wavelet=wavelet, levels=2, colour="keep", image_shape=shape).fit(x)
    found = feature.transform(x)
    np.testing.assert_allclose(feature.inverse_transform(found), x, atol=2e-6)
    if shape[1] % 4 == shape[2] % 4 == 0:
        np.testing.assert_allclose(found @ found.T, x @ x.T, rtol=1e-4)


def test_haar_energies_by_hand():
    pictures = some((1, 4, 4))
    feature = Wavelets(levels=1, cells=1, image_shape=(1, 4, 4))
    mean, across, down, diagonal = feature.fit_transform(pictures.reshape(4, -1)).T
    a, b, c, d = pictures[:, 0, ::2, ::2], pictures[:, 0, ::2, 1::2], pictures[:, 0, 1::2, ::2], pictures[:, 0, 1::2, 1::2]
    for found, signs in ((across, (1, 1, -1, -1)), (down, (1, -1, 1, -1)), (diagonal, (1, -1, -1, 1))):
        detail = sum(sign * part for sign, part in zip(signs, (a, b, c, d), strict=True)) / 2
        np.testing.assert_allclose(found, np.sqrt((detail**2).mean(axis=(1, 2))), atol=1e-6)
    np.testing.assert_allclose(mean, ((a + b + c + d) / 2).mean(axis=(1, 2)), atol=1e-6)
    assert Wavelets(image_shape=(1, 4, 4)).fit(pictures.reshape(4, -1)).figure(pictures.reshape(4, -1)).svg()


def test_wrong_words_have_the_nearest_right_one():
    x = some((1, 8, 8)).reshape(4, -1)
    for wrong, words in (
        (FilterBank(("sobel-row",)), "sobel-rows"),
        (Wavelets(wavelet="harr"), "haar"),
        (Fourier("lows"), "low"),
    ):
        with pytest.raises(UnknownNameError, match=words):
            wrong.fit(x)
    for wrong, words in (
        (Wavelets(wavelet="bior2.2"), "orthogonal"),
        (Wavelets(levels=9), "halved 3 times"),
        (Gabor((0.7,)), "0.5"),
        (FilterBank(()), "filters"),
        (FilterBank("canny"), "tuple"),
    ):
        with pytest.raises(ArgumentError, match=words):
            wrong.fit(x)
    with pytest.raises(ArgumentError, match="odd"):
        filtered(x.reshape(4, 8, 8), [np.ones((2, 3))])
    with pytest.raises(ArgumentError, match="energies"):
        Wavelets().fit(x).inverse_transform(x)
    with pytest.raises(ArgumentError, match="canny"):
        canny_edges(x.reshape(4, 8, 8), low=0.5, high=0.1)
