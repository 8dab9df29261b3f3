"""Pictures in memory: what is taken, and every refusal."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate import data as d
from striate.core.errors import ArgumentError

X = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 7), dtype=np.uint8)
Y = np.array([0, 1, 2, 0, 1, 2])


def test_numpy_and_torch_give_the_same():
    assert d.arrays(X, Y).fingerprint == d.arrays(torch.from_numpy(X), torch.from_numpy(Y)).fingerprint
    floats = torch.rand(6, 3, 8, 7, dtype=torch.float64).requires_grad_()
    assert d.arrays(floats, Y).tables["train"].store.pixels.dtype == np.float32
    halves = torch.rand(6, 3, 8, 7).bfloat16()
    assert np.array_equal(d.arrays(halves, Y).tables["train"].store.pixels, halves.float().numpy())


@pytest.mark.parametrize("channels", [1, 2, 4, 13])
def test_any_number_of_channels(channels):
    x = np.random.default_rng(0).integers(0, 256, (6, channels, 8, 9), dtype=np.uint8)
    data = d.arrays(x, Y).prepared(augment=("crop(1)", "mirror"))
    assert data.shape == (channels, 8, 9)
    assert next(data.split("train", training=True).batches(6, epoch=0, seed=0)).x.shape == (6, channels, 8, 9)
    assert d.arrays(x[:, 0], Y).shape == (1, 8, 9)


def test_names_become_numbers_by_one_class_list():
    data = d.arrays(X, np.array(["cat", "ant", "bee", "cat", "ant", "bee"]), test=(X[:2], np.array(["bee", "cat"])))
    assert data.classes == ("ant", "bee", "cat")
    assert data.tables["train"].targets.tolist() == [2, 0, 1, 2, 0, 1]
    assert data.tables["test"].targets.tolist() == [1, 2]
    assert d.arrays(X, Y.astype(float)).tables["train"].targets.tolist() == Y.tolist()
    assert d.arrays(X, Y[:, None], classes=("a", "b", "c", "d")).classes == ("a", "b", "c", "d")
    assert d.arrays(X > 100, Y > 0).tables["train"].store.pixels.max() == 255


def hole(x):
    x = x.astype(np.float32) / 255
    x[2, 0, 0, 0] = np.nan
    return x


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: d.arrays(X[0, 0], Y), "one picture: add a first axis"),
        (lambda: d.arrays(X[None], Y), "expected N C H W"),
        (lambda: d.arrays(X[:0], Y[:0]), "expected N C H W"),
        (lambda: d.arrays(X.transpose(0, 2, 3, 1), Y), "looks like N H W C"),
        (lambda: d.arrays(X.astype(np.int64), Y), "pixels are int64"),
        (lambda: d.arrays(X.astype(np.float32), Y), "divide by 255"),
        (lambda: d.arrays(hole(X), Y), "1 pixels are NaN or infinite, the first in picture 2"),
        (lambda: d.arrays(X, Y[:5]), r"labels have shape \(5,\) for 6 pictures"),
        (lambda: d.arrays(X, np.eye(6)), "expected one each"),
        (lambda: d.arrays(X, Y + 0.5), "expected whole numbers from 0, or names"),
        (lambda: d.arrays(X, Y - 1), "label -1 of sample 0 is outside 0 to 1"),
        (lambda: d.arrays(X, Y, classes=("a", "b")), r"label 2 of sample 2 is outside 0 to 1 \(2 classes\)"),
        (lambda: d.arrays(X, Y, test=(X, Y + 3)), "test: label 3 of sample 0"),
        (lambda: d.arrays(X, np.array(["cat"] * 6), test=(X[:1], np.array(["cut"]))), "label 'cut' is not among the classes; did you mean cat"),
        (lambda: d.arrays(X, Y, val=(X[:, :1], Y)), r"val: pictures \(1, 8, 7\) uint8 beside \(3, 8, 7\) uint8"),
        (lambda: d.arrays(X, Y, val=(X / np.float32(255), Y)), "must be alike"),
        (lambda: d.arrays(X, Y, val=X), "val: got ndarray, expected a pair"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


@pytest.mark.parametrize("y", [["a", None, "b", "a"], ["a", float("nan"), "b", "a"], np.array(["a", None, "b", "a"]), [0.0, float("nan"), 1.0, 0.0]])
def test_missing_labels_are_no_class(y):
    with pytest.raises(ArgumentError, match=r"train: 1 of 4 labels are missing \(None or NaN\), the first of sample 1"):
        d.arrays(np.zeros((4, 1, 4, 4), np.uint8), y)


def test_class_names_are_each_once_and_numbers_are_read_as_names():
    x, y = np.zeros((3, 1, 4, 4), np.uint8), [0, 1, 2]
    assert d.arrays(x, y, classes=[0, 1, 2]).classes == ("0", "1", "2")
    for classes, words in (
        (["a", "a", "b"], "'a' is there twice"),
        ("abc", "expected a list of names"),
        ([None, "a", "b"], r"got None \(NoneType\)"),
    ):
        with pytest.raises(ArgumentError, match=words):
            d.arrays(x, y, classes=classes)


def test_numbers_that_are_no_class_numbers_are_refused():
    x = np.zeros((3, 1, 4, 4), np.uint8)
    for highest in (200_000, 2_000_000_000, 2e9):
        with pytest.raises(ArgumentError, match="classes of 3 samples; expected class numbers from 0"):
            d.arrays(x, [0, 1, highest])
    assert len(d.arrays(x, [0, 1, 999]).classes) == 1000


def test_pictures_of_several_sizes_are_told_in_words():
    with pytest.raises(ArgumentError, match="train: cannot be read as one array"):
        d.arrays([[1, 2], [3]], [0, 1])
