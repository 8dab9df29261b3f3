"""HOG, SIFT and corners against scikit-image, against slow and plain versions, and by what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data as photographs
from skimage import feature as theirs

from striate.classical import HOG, SIFT, Corners, corner_strength, keypoints
from striate.core.errors import ArgumentError, UnknownNameError


def some(shape, n=6, seed=0):
    return np.random.default_rng(seed).random((n, *shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1, 28, 28), {}),
        ((3, 32, 32), {"cell": 8, "block": 3}),
        ((3, 19, 23), {"cell": 5, "orientations": 7, "block": 1}),
        ((1, 16, 24), {"root": True, "orientations": 12}),
    ],
)
def test_hog_is_scikit_images(shape, options):
    pictures = some(shape)
    cell, block = options.get("cell", 4), options.get("block", 2)
    expected = [
        theirs.hog(
            picture.transpose(1, 2, 0).astype(np.float64),
            orientations=options.get("orientations", 9),
            pixels_per_cell=(cell, cell),
            cells_per_block=(block, block),
            block_norm="L2-Hys",
            transform_sqrt=options.get("root", False),
            channel_axis=-1,
        )
        for picture in pictures
    ]
    found = HOG(**options, image_shape=shape).fit_transform(pictures.reshape(len(pictures), -1))
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_hog_of_a_photograph_is_scikit_images():
    photograph = photographs.camera()[60:124, 180:244]
    found = HOG(cell=8, image_shape=(1, 64, 64)).fit_transform(photograph.reshape(1, -1))
    expected = theirs.hog(photograph / 255.0, pixels_per_cell=(8, 8), cells_per_block=(2, 2))
    np.testing.assert_allclose(found[0], expected, atol=1e-4)


def test_hog_sees_the_direction_of_a_ramp_and_not_its_sign():
    ramp = np.linspace(0, 1, 16, dtype=np.float32)
    across, down = np.tile(ramp, (16, 1)), np.tile(ramp[:, None], (1, 16))
    x = np.stack([across, 1 - across, down, 1 - down]).reshape(4, -1)
    feature = HOG(cell=16, block=1, orientations=4, image_shape=(1, 16, 16)).fit(x)
    cells = feature.cells(x.reshape(4, 1, 16, 16))[:, 0, 0]
    steep = (2 / 15 * 14 * 16) / 256  # 14 inner columns of slope 2/15 over 256 pixels
    np.testing.assert_allclose(cells[0], [steep, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(cells[1], cells[0], atol=1e-6)
    np.testing.assert_allclose(cells[2], [0, 0, steep, 0], atol=1e-6)
    np.testing.assert_allclose(cells[3], cells[2], atol=1e-6)


def test_hog_of_many_is_that_of_each_and_of_bytes_as_of_floats():
    bytes_ = (some((3, 16, 16), n=40) * 255).astype(np.uint8).reshape(40, -1)
    feature = HOG(image_shape=(3, 16, 16)).fit(bytes_)
    together = feature.transform(bytes_)
    np.testing.assert_array_equal(together, np.concatenate([feature.transform(row[None]) for row in bytes_]))
    np.testing.assert_allclose(together, feature.transform(bytes_ / 255.0), atol=1e-5)
    assert feature.figure(bytes_[:2]).svg().count("<image") == 4


def slow_sift(picture, cell, top, left):
    """One upright descriptor, pixel by pixel, each shared out trilinearly."""
    height, width = picture.shape
    found = np.zeros((4, 4, 8))
    for i in range(height):
        for j in range(width):
            dx = (picture[i, min(j + 1, width - 1)] - picture[i, max(j - 1, 0)]) / 2
            dy = (picture[min(i + 1, height - 1), j] - picture[max(i - 1, 0), j]) / 2
            strength, turn = np.hypot(dx, dy), np.arctan2(dy, dx) / (2 * np.pi) * 8 % 8
            for r in range(4):
                for c in range(4):
                    far = abs(i - (top + (r + 0.5) * cell - 0.5)) / cell, abs(j - (left + (c + 0.5) * cell - 0.5)) / cell
                    share = max(0, 1 - far[0]) * max(0, 1 - far[1])
                    for o in range(8):
                        apart = abs(turn - o)
                        found[r, c, o] += strength * share * max(0, 1 - min(apart, 8 - apart))
    flat = found.ravel() / np.linalg.norm(found)
    flat = np.minimum(flat, 0.2)
    return flat / np.linalg.norm(flat)


def test_dense_sift_is_the_descriptor_written_out():
    picture = some((1, 14, 13), n=1, seed=3)
    found = SIFT(cell=3, step=1, image_shape=(1, 14, 13)).fit(picture.reshape(1, -1)).descriptors(picture)[0]
    assert found.shape == (3 * 2, 128)
    for point, (top, left) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]):
        np.testing.assert_allclose(found[point], slow_sift(picture[0, 0].astype(np.float64), 3, top, left), atol=1e-5)


def test_a_quarter_turn_of_the_picture_turns_cells_and_orientations():
    picture = some((1, 16, 16), n=1, seed=5)
    feature = SIFT(cell=4, image_shape=(1, 16, 16)).fit(picture.reshape(1, -1))
    upright = feature.descriptors(picture)[0, 0].reshape(4, 4, 8)
    turned = feature.descriptors(np.rot90(picture, axes=(2, 3)).copy())[0, 0].reshape(4, 4, 8)
    np.testing.assert_allclose(turned, np.roll(np.rot90(upright), -2, axis=2), atol=1e-5)


def test_contrast_and_brightness_do_not_change_a_descriptor_and_flat_ones_are_zero():
    picture = some((1, 16, 16), n=1)
    feature = SIFT(image_shape=(1, 16, 16)).fit(picture.reshape(1, -1))
    np.testing.assert_allclose(feature.descriptors(0.3 * picture + 0.5), feature.descriptors(picture), atol=1e-4)
    assert not feature.descriptors(np.full_like(picture, 0.7)).any()


def test_keypoints_are_scikit_images_and_may_be_none():
    photograph = photographs.camera()[100:228, 150:278] / 255.0
    places, descriptors = keypoints(photograph)
    detector = theirs.SIFT()
    detector.detect_and_extract(photograph.astype(np.float32))
    np.testing.assert_array_equal(places, detector.keypoints)
    np.testing.assert_allclose(np.linalg.norm(descriptors, axis=1), 1, atol=1e-5)
    assert len(keypoints(np.zeros((1, 32, 32)))[0]) == 0
    with pytest.raises(ArgumentError, match="12 pixels"):
        keypoints(np.zeros((4, 4)))


def test_corner_strength_is_scikit_images():
    pictures = some((20, 17))
    for kind, function in (("harris", theirs.corner_harris), ("shi-tomasi", theirs.corner_shi_tomasi)):
        expected = np.stack([function(picture.astype(np.float64)) for picture in pictures])
        found = corner_strength(pictures.astype(np.float64), kind=kind)
        scale = np.abs(expected).max()
        ratio = float((found * expected).sum() / (expected * expected).sum())  # scikit-image divides its Sobel by 4: a constant
        np.testing.assert_allclose(found / ratio, expected, atol=1e-6 * scale)


def test_the_corners_of_a_square_are_found_and_nothing_else():
    from striate.classical.features.corners import peaks

    picture = np.zeros((1, 24, 24))
    picture[0, 8:16, 8:16] = 1
    for kind in ("harris", "shi-tomasi"):
        at = np.argwhere(peaks(corner_strength(picture, kind=kind))[0])
        assert {(round(r / 7.5) * 7.5, round(c / 7.5) * 7.5) for r, c in at} == {(7.5, 7.5), (7.5, 15), (15, 7.5), (15, 15)}
    x = picture.astype(np.float32).reshape(1, -1)
    feature = Corners(cells=2, image_shape=(1, 24, 24)).fit(x)
    count = feature.transform(x)[0, -4:]
    np.testing.assert_allclose(count, count[0])  # as many in each quarter
    assert count[0] >= 1
    assert feature.figure(x).svg().count("<image") == 1


def test_too_small_pictures_and_wrong_words_are_refused():
    x = some((1, 6, 6)).reshape(6, -1)
    with pytest.raises(ArgumentError, match="no block"):
        HOG(image_shape=(1, 6, 6)).fit(x)
    with pytest.raises(ArgumentError, match="no descriptor"):
        SIFT(image_shape=(1, 6, 6)).fit(x)
    with pytest.raises(UnknownNameError, match="harris"):
        Corners("haris", image_shape=(1, 6, 6)).fit(x)
    with pytest.raises(ArgumentError, match="orientations"):
        HOG(orientations=0, image_shape=(1, 6, 6)).fit(x)
