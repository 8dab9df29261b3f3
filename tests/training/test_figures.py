from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics

from striate.core.errors import ArgumentError
from striate.training import figures

TARGETS = np.array([0, 0, 1, 1, 2, 2])
SHARES = np.array(
    [
        [0.8, 0.1, 0.1],  # right
        [0.2, 0.7, 0.1],  # 0 -> 1
        [0.1, 0.6, 0.3],  # right
        [0.9, 0.1, 0.0],  # 1 -> 0
        [0.5, 0.3, 0.2],  # 2 -> 0
        [0.3, 0.3, 0.4],  # right
    ]
)


@pytest.fixture(scope="module")
def drawn():
    random = np.random.default_rng(3)
    targets = random.integers(0, 7, 500)
    logits = random.normal(size=(500, 7)) + 1.5 * np.eye(7)[targets]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return targets, shares.astype(np.float32)


def test_confusion_by_hand():
    assert figures.confusion(TARGETS, SHARES).tolist() == [[1, 1, 0], [1, 1, 0], [1, 0, 1]]


def test_confusion_and_classes_as_sklearn(drawn):
    targets, shares = drawn
    predicted = shares.argmax(1)
    assert np.array_equal(figures.confusion(targets, shares), metrics.confusion_matrix(targets, predicted))
    rows = figures.per_class(targets, shares)
    precision, recall, f1, n = metrics.precision_recall_fscore_support(targets, predicted)
    np.testing.assert_allclose([row.precision for row in rows], precision)
    np.testing.assert_allclose([row.recall for row in rows], recall)
    np.testing.assert_allclose([row.f1 for row in rows], f1)
    assert [row.n for row in rows] == n.tolist()


def test_per_class_by_hand():
    zero, one, two = figures.per_class(TARGETS, SHARES)
    assert (zero.recall, zero.precision, zero.confused_with, zero.confused) == (0.5, 1 / 3, 1, 1)
    assert (one.confused_with, two.confused_with) == (0, 0)
    assert two.f1 == pytest.approx(2 / 3)


def test_a_class_without_samples_has_no_recall():
    absent = figures.per_class([0, 0], [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]])[2]
    assert (absent.n, absent.recall, absent.precision, absent.f1, absent.confused_with) == (0, None, None, None, None)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_topk_as_sklearn(drawn, k):
    targets, shares = drawn
    assert figures.topk_error(targets, shares, k) == pytest.approx(1 - metrics.top_k_accuracy_score(targets, shares, k=k))


def test_topk_breaks_ties_as_argmax_does():
    shares = np.full((3, 3), 1 / 3)
    assert figures.topk_error([0, 1, 2], shares) == pytest.approx(2 / 3)
    assert figures.topk_error([0, 1, 2], shares, 2) == pytest.approx(1 / 3)
    assert figures.topk_error([0, 1, 2], shares, 3) == 0


def test_log_loss_as_sklearn_and_finite_at_zero(drawn):
    targets, shares = drawn
    exact = shares.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    assert figures.log_loss(targets, exact) == pytest.approx(metrics.log_loss(targets, exact), rel=1e-12)
    assert figures.log_loss([1], [[1.0, 0.0]]) == pytest.approx(87.336544750553)


def test_calibration_by_hand():
    # confidences .8 right, .7 wrong, .6 right, .9 wrong, .5 wrong, .4 right; two bins: (0, .5] and (.5, 1]
    found = figures.calibration(TARGETS, SHARES, bins=2)
    assert found.counts.tolist() == [2, 4]
    np.testing.assert_allclose(found.confidence, [0.45, 0.75])
    np.testing.assert_allclose(found.accuracy, [0.5, 0.5])
    assert found.ece == pytest.approx((2 * 0.05 + 4 * 0.25) / 6)
    assert found.rule == "2 bins of equal width"


def test_calibration_of_equal_mass_by_hand():
    found = figures.calibration(TARGETS, SHARES, bins=3, equal="mass")
    assert found.counts.tolist() == [2, 2, 2]
    np.testing.assert_allclose(found.confidence, [0.45, 0.65, 0.85])
    np.testing.assert_allclose(found.accuracy, [0.5, 0.5, 0.5])
    assert found.ece == pytest.approx((0.05 + 0.15 + 0.35) / 3)
    assert found.rule == "3 bins of equal count"


def test_calibration_as_a_plain_loop(drawn):
    targets, shares = drawn
    confidence, right = shares.astype(float).max(1), shares.argmax(1) == targets
    total = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(confidence[inside].mean() - right[inside].mean())
    found = figures.calibration(targets, shares)
    assert found.ece == pytest.approx(total)
    assert found.counts.sum() == len(targets)


def test_empty_bins_weigh_nothing():
    found = figures.calibration([0, 0], [[1.0, 0.0], [1.0, 0.0]])
    assert found.ece == 0
    assert np.isnan(found.accuracy[:-1]).all()


def test_worst_errors_most_confident_first():
    worst = figures.worst_errors(TARGETS, SHARES, index=TARGETS * 10 + np.arange(6), classes=("cat", "dog", "owl"))
    assert [mistake.caption for mistake in worst] == ["dog -> cat", "cat -> dog", "owl -> cat"]
    assert [mistake.row for mistake in worst] == [3, 1, 4]
    assert [mistake.index for mistake in worst] == [13, 1, 24]
    assert worst[0].share == 0.9
    assert worst[0].target_share == 0.1
    assert [m.caption for m in figures.worst_errors(TARGETS, SHARES, count=1)] == ["1 -> 0"]


def test_wilson_against_published_and_scipy():
    from scipy.stats import binomtest

    low, high = figures.wilson(81, 263)  # Newcombe 1998, Statistics in Medicine 17, table I: 0.2553 to 0.3662
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    for errors, n in [(0, 20), (1, 29), (4, 360), (20, 20)]:
        wanted = binomtest(errors, n).proportion_ci(method="wilson")
        assert figures.wilson(errors, n) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_mcnemar_as_scipy():
    from scipy.stats import binomtest

    for first, second in [(0, 0), (5, 5), (1, 8), (30, 12), (600, 700)]:
        wanted = binomtest(first, first + second).pvalue if first + second else 1.0
        assert figures.mcnemar(first, second) == pytest.approx(wanted, rel=1e-9)


def test_paired_difference_by_hand_and_coverage():
    difference, low, high = figures.paired_difference(30, 12, 200)
    assert difference == pytest.approx(0.09)
    first, second = 31 / 202, 13 / 202  # Bonett & Price 2012, equation 6
    half = 1.959963985 * math.sqrt((first + second - (first - second) ** 2) / 202)
    assert (low, high) == pytest.approx((first - second - half, first - second + half))
    random = np.random.default_rng(0)
    drawn = random.multinomial(300, [0.06, 0.03, 0.91], size=1000)
    inside = [low <= 0.03 <= high for a, b, _ in drawn for _, low, high in [figures.paired_difference(int(a), int(b), 300)]]
    assert 0.93 <= np.mean(inside) <= 0.97


@pytest.mark.parametrize(
    ("targets", "shares", "text"),
    [
        ([0], [[np.nan, 1.0]], "1 of 1 rows hold NaN"),
        ([2], [[0.5, 0.5]], "expected 0 to 1"),
        ([-1], [[0.5, 0.5]], "expected 0 to 1"),
        ([0.0], [[0.5, 0.5]], "whole class numbers"),
        ([0, 1], [[0.5, 0.5]], "as the shares have rows"),
        ([], np.zeros((0, 3)), "N of 1 or more"),
    ],
)
def test_bad_arrays_are_named(targets, shares, text):
    with pytest.raises(ArgumentError, match=text):
        figures.confusion(targets, shares)


def test_bad_arguments_are_named():
    with pytest.raises(ArgumentError, match="k: got 4, expected 1 to 3"):
        figures.topk_error(TARGETS, SHARES, 4)
    with pytest.raises(ArgumentError, match="classes: got 2 names"):
        figures.worst_errors(TARGETS, SHARES, classes=("a", "b"))
    with pytest.raises(ArgumentError, match="errors, n: got 5 of 4"):
        figures.wilson(5, 4)
