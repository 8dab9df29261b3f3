"""The linear classifier against scikit-learn's solvers and the exact support vector machine; its losses against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC, LinearSVC

from striate.classical import LinearClassifier
from striate.classical.estimators import linear
from striate.classical.losses import hinge_loss, softmax_loss, squared_hinge_loss
from striate.core.errors import ArgumentError, UnknownNameError


def blobs(n=200, d=6, k=3, seed=0, spread=1.5):
    state = np.random.default_rng(seed)
    y = state.integers(0, k, n)
    return state.normal(scale=spread, size=(n, d)) + 1.2 * state.normal(size=(k, d))[y], y


@pytest.mark.parametrize("loss", [softmax_loss, hinge_loss(0.1), squared_hinge_loss])
def test_gradients_are_those_of_the_losses(loss):
    state = np.random.default_rng(1)
    codes = state.integers(0, 4, 7)
    flat = state.normal(size=28)
    value = lambda v: loss(v.reshape(7, 4), codes)[0]  # noqa: E731
    slope = lambda v: loss(v.reshape(7, 4), codes)[1].ravel()  # noqa: E731
    assert check_grad(value, slope, flat) < 1e-6


def test_losses_are_the_written_sums():
    scores, codes = np.array([[1.0, 3.0, 2.5], [0.2, -1.0, 4.0]]), np.array([1, 0])
    hinge = (max(0, 1 - 3 + 1) + max(0, 2.5 - 3 + 1) + max(0, -1 - 0.2 + 1) + max(0, 4 - 0.2 + 1)) / 2
    assert hinge_loss(1e-9)(scores, codes)[0] == pytest.approx(hinge)
    assert hinge - 0.02 <= hinge_loss(0.02)(scores, codes)[0] <= hinge
    rest = (np.array([2.0, 0, 3.5]) ** 2).sum() + (np.array([0.8, 0, 5]) ** 2).sum()
    assert squared_hinge_loss(scores, codes)[0] == pytest.approx(rest / 2)
    assert softmax_loss(scores, codes)[0] == pytest.approx(
        -np.mean([np.log(np.exp(3) / np.exp(scores[0]).sum()), 0.2 - np.log(np.exp(scores[1]).sum())])
    )


@pytest.mark.parametrize("k", [2, 3])
def test_softmax_is_multinomial_regression(k):
    x, y = blobs(k=k)
    ours = LinearClassifier(alpha=0.01, tol=1e-8).fit(x, y)
    theirs = LogisticRegression(C=1 / (len(x) * 0.01), tol=1e-10, max_iter=2000)
    if k == 3:
        theirs.fit(x, y)
        shares = theirs.predict_proba(x)
    else:  # two vectors halve the penalty of one: |w/2|² + |w/2|² = |w|² / 2
        theirs.set_params(C=1 / (len(x) * 0.005)).fit(x, y)
        shares = theirs.predict_proba(x)
    np.testing.assert_allclose(ours.predict_proba(x), shares, atol=2e-5)
    np.testing.assert_allclose(ours.weights_.sum(axis=0), 0, atol=1e-6)


def test_squared_hinge_is_the_linear_support_vector_machine():
    x, y = blobs()
    alpha = 0.02
    ours = LinearClassifier("squared-hinge", alpha=alpha, tol=1e-8).fit(x, y)
    # LinearSVC shrinks the bias too; a large scaling makes that shrinking vanish
    theirs = LinearSVC(C=1 / (len(x) * alpha), dual=False, intercept_scaling=1e3, tol=1e-10, max_iter=10000).fit(x, y)
    np.testing.assert_allclose(ours.scores(x), theirs.decision_function(x), atol=2e-3)


def test_hinge_of_two_classes_is_the_exact_support_vector_machine():
    x, y = blobs(k=2, n=120)
    alpha = 0.05
    ours = LinearClassifier("hinge", alpha=alpha, tol=1e-7, max_iter=5000).fit(x, y)
    exact = SVC(kernel="linear", C=2 / (len(x) * alpha), tol=1e-10).fit(x, y)

    def cost(w, b):
        margins = np.where(y == 1, 1, -1) * (x @ w + b)
        return np.maximum(0, 1 - margins).mean() + alpha / 4 * w @ w

    mine = cost(ours.weights_[1] - ours.weights_[0], ours.bias_[1] - ours.bias_[0])
    best = cost(exact.coef_[0], exact.intercept_[0])
    assert best <= mine + 1e-9
    assert mine <= best + 0.01  # at most half the rounded corner
    np.testing.assert_allclose(ours.decision_function(x), exact.decision_function(x), atol=0.05)


def test_alpha_is_chosen_on_the_training_rows_and_told():
    x, y = blobs(n=2150, d=80, spread=3)
    weak = LinearClassifier(alpha=1e-9).fit(x[:150], y[:150])
    ours = LinearClassifier().fit(x[:150], y[:150])
    best = min(ours.chosen_, key=lambda alpha: (-ours.chosen_[alpha], -alpha))  # the strongest of equals
    assert ours.alpha_ == pytest.approx(best * 120 / 150)  # folds of 120 rows
    assert ours.score(x[150:], y[150:]) > weak.score(x[150:], y[150:])


def test_single_precision_and_bytes_give_the_same():
    x, y = blobs()
    double, single = (LinearClassifier(alpha=0.1, tol=1e-6).fit(x.astype(kind), y) for kind in (np.float64, np.float32))
    np.testing.assert_allclose(single.scores(x.astype(np.float32)), double.scores(x), atol=1e-3)
    bytes_ = np.clip(40 * x + 128, 0, 255).astype(np.uint8)
    found, same = (LinearClassifier(alpha=1.0).fit(rows, y).weights_ for rows in (bytes_, bytes_.astype(np.float32)))
    np.testing.assert_array_equal(found, same)
    assert found.dtype == single.weights_.dtype == np.float32


def test_templates_stand_for_their_class():
    state = np.random.default_rng(0)
    base = np.zeros((2, 3, 4, 4))
    base[0, 0, :2], base[1, 2, 2:] = 1, 1  # red above, blue below
    y = state.integers(0, 2, 60)
    x = (base[y] + 0.1 * state.random((60, 3, 4, 4))).reshape(60, -1) / 1.1
    found = LinearClassifier(alpha=0.1, image_shape=(3, 4, 4)).fit(x, y)
    assert found.templates.shape == (2, 3, 4, 4)
    assert found.templates[0, 0, :2].min() > 0.05 > abs(found.templates[0, 1]).max()
    assert found.templates[1, 2, 2:].min() > 0.05
    assert found.figure(["red", "blue"]).svg().count("<image") == 2


def test_bad_options_have_one_clear_error():
    x, y = blobs(n=20)
    with pytest.raises(UnknownNameError, match="softmax"):
        LinearClassifier("softmaxx").fit(x, y)
    with pytest.raises(ArgumentError, match="alpha"):
        LinearClassifier(alpha=-1).fit(x, y)
    with pytest.raises(ArgumentError, match="one picture only"):
        LinearClassifier().fit(x[:4], [0, 0, 0, 1])
    with pytest.raises(ArgumentError, match="C x H x W = 6"):
        _ = LinearClassifier(alpha=1, image_shape=(1, 2, 2)).fit(x, y).templates


def test_a_very_uneven_set_is_no_trouble():
    x, y = blobs(n=13_000, d=2, k=2)
    y[:] = 0
    y[:3], x[:3] = 1, 9
    found = LinearClassifier().fit(x.astype(np.float32), y)
    assert found.score(x, y) >= 1 - 3 / 13_000  # never worse than naming the commonest


def test_a_few_rows_more_than_are_chosen_by_are_no_trouble(monkeypatch):
    monkeypatch.setattr(linear, "CHOOSE", 40)
    generator = np.random.default_rng(0)
    y = np.arange(43) % 5
    X = generator.normal(size=(43, 6)) + y[:, None]
    assert LinearClassifier(image_shape=(2, 3)).fit(X, y).score(X, y) > 0.3
