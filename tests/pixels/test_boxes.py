"""Overlaps of boxes by hand, and where they go when a picture is fitted, mirrored, moved, cut and turned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from striate.core.errors import ArgumentError
from striate.data.augment.base import Draw
from striate.data.registry import build
from striate.pixels import Preprocess
from striate.pixels.boxes import generalised_iou, into_input, iou, iou_matrix, moved, moved_points, trouble


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1),
        ((0, 0, 2, 2), (1, 1, 2, 2), 1 / 7),  # 1 shared, 4 + 4 - 1 covered
        ((0, 0, 4, 4), (1, 1, 2, 2), 4 / 16),
        ((0, 0, 2, 2), (2, 0, 2, 2), 0),  # they touch
        ((0, 0, 2, 2), (5, 5, 1, 1), 0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0),  # no area
    ],
)
def test_overlap_by_hand(a, b, expected):
    assert float(iou([a], [b])[0]) == pytest.approx(expected)
    assert float(iou([b], [a])[0]) == pytest.approx(expected)


def test_generalised_overlap_by_hand():
    assert float(generalised_iou([(0, 0, 2, 2)], [(1, 1, 2, 2)])[0]) == pytest.approx(1 / 7 - 2 / 9)  # hull 3 x 3, 7 of it covered
    assert float(generalised_iou([(0, 0, 1, 1)], [(3, 0, 1, 1)])[0]) == pytest.approx(0 - 2 / 4)


whole = some.integers(0, 12)


@settings(max_examples=60, deadline=None)
@given(some.tuples(whole, whole, whole, whole), some.tuples(whole, whole, whole, whole))
def test_overlap_is_that_of_the_pixels(a, b):
    """Whole boxes drawn into a 24 x 24 raster: count the pixels."""
    first, second = np.zeros((24, 24), bool), np.zeros((24, 24), bool)
    for raster, (x, y, w, h) in ((first, a), (second, b)):
        raster[y : y + h, x : x + w] = True
    union = (first | second).sum()
    assert float(iou([a], [b])[0]) == pytest.approx((first & second).sum() / union if union else 0)


def test_every_pair_and_what_is_refused():
    a, b = torch.tensor([[0.0, 0, 2, 2], [1, 1, 2, 2]]), torch.tensor([[0.0, 0, 2, 2], [1, 1, 2, 2], [9, 9, 1, 1]])
    torch.testing.assert_close(iou_matrix(a, b), torch.tensor([[1, 1 / 7, 0], [1 / 7, 1, 0]]))
    with pytest.raises(ArgumentError, match="expected 4 numbers"):
        iou([(1, 2, 3)], [(1, 2, 3, 4)])
    with pytest.raises(ArgumentError, match="b: a box has a negative width"):
        iou([(1, 2, 3, 4)], [(1, 2, -3, 4)])


def test_trouble_in_words():
    assert trouble((0, 0, 10, 20), (20, 10)) is None
    assert "0 or less" in trouble((1, 1, 0, 5))
    assert "0 or less" in trouble((1, 1, 5, -2))
    assert "begins outside" in trouble((-3, 1, 5, 5))
    assert "ends at 11, 5, outside the picture of 10 x 20" in trouble((6, 0, 5, 5), (20, 10))
    assert "not all numbers" in trouble((float("nan"), 1, 5, 5))


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        ("squash", [2, 5, 4, 10]),  # 100 x 40 (H x W) to 50 x 20... each axis halved
        ("crop", [2, 5, 4, 10]),
        ("pad", [2, 5, 4, 10]),
    ],
)
def test_half_size_halves_the_box_whatever_the_way(resize, expected):
    motion = torch.from_numpy(into_input(np.array([[100, 40]]), Preprocess(size=(50, 20), resize=resize)))
    assert moved(torch.tensor([[4.0, 10, 8, 20]]), motion, (50, 20)).tolist() == [expected]


def test_fitting_by_hand():
    box = torch.tensor([[40.0, 10, 20, 30]])  # in a picture of 60 x 100 (H x W)
    shape = np.array([[60, 100]])
    for resize, expected in (
        ("squash", [12, 5, 6, 15]),  # x by 30/100, y by 30/60
        ("crop", [10, 5, 10, 15]),  # halved, then 20 of 50 columns gone: 10 on the left
        ("pad", [12, 9, 6, 9]),  # by 0.3: 18 rows of 30, so 6 above
    ):
        motion = torch.from_numpy(into_input(shape, Preprocess(size=(30, 30), resize=resize)))
        torch.testing.assert_close(moved(box, motion, (30, 30)), torch.tensor([expected], dtype=torch.float32))


def drawn(count, seed=3):
    return Draw(seed, 0, 0, index=torch.arange(count), size=count)


BOX = (5, 8, 9, 6)


@pytest.mark.parametrize(
    "spec", ["mirror(0.5)", "mirror(alternate=True)", "crop(3)", "shift(4, 2)", "resized_crop((0.5, 1.0))", "affine(0, (0.7, 1.4), shift=0.1)"]
)
def test_boxes_go_where_the_pixels_go(spec):
    """A white box on black: after the augmentation, the hull of what is white is the box, to the half pixel of resampling."""
    count, size = 40, (24, 32)
    x, y, w, h = BOX
    pictures = torch.zeros(count, 1, *size, dtype=torch.uint8)
    pictures[:, :, y : y + h, x : x + w] = 255
    (augment,) = build([spec])
    seen = augment(pictures, drawn(count)).float()
    seen = seen / 255 if seen.max() > 1 else seen
    boxes = moved(torch.tensor([BOX] * count, dtype=torch.float32), augment.motion(drawn(count), size), size)
    whole_pixels = spec.startswith(("mirror", "crop", "shift"))
    changed = 0
    for picture, box in zip(seen[:, 0], boxes.tolist(), strict=True):
        rows, columns = (torch.nonzero((picture > 0.5).any(axis)).flatten() for axis in (1, 0))
        if not len(rows):
            continue
        hull = [int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)]
        changed += hull != list(BOX)
        assert box == hull if whole_pixels else np.abs(np.array(box) - hull).max() <= 1.01
    assert changed > 5


def test_a_quarter_turn_by_hand():
    (augment,) = build(["affine(180, (1.0, 1.0))"])
    augment.matrices = lambda draw: (torch.tensor([[[0.0, -1], [1, 0]]]), torch.zeros(1, 2))  # output (x, y) shows input (-y, x)
    motion = augment.motion(drawn(1), (20, 20))
    # input (x, y) from the centre is seen at (y, -x): the box 2..6 x 4..14 lies at (-8..-4, -6..4), so at (-6..4, 4..8), and in pixels
    assert moved(torch.tensor([[2.0, 4, 4, 10]]), motion, (20, 20)).tolist() == [[4, 14, 10, 4]]
    torch.testing.assert_close(moved_points(torch.tensor([[[2.0, 4.0]]]), motion), torch.tensor([[[4.0, 18.0]]]))


def test_a_box_that_leaves_the_picture_has_no_area():
    away = torch.tensor([[[1.0, 0, 30], [0, 1, 0]]])
    assert moved(torch.tensor([[1.0, 1, 5, 5]]), away, (20, 20))[0, 2] == 0
    partly = torch.tensor([[[1.0, 0, 16], [0, 1, 0]]])
    assert moved(torch.tensor([[1.0, 1, 5, 5]]), partly, (20, 20)).tolist() == [[17, 1, 3, 5]]
