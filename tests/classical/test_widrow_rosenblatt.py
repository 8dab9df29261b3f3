"""Perceptron, Adaline, Madaline: the convergence theorem, least squares, exclusive or; k nearest neighbours by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as draw

from striate.classical import Adaline, KNearest, Madaline, Perceptron
from striate.core.errors import ArgumentError, UnknownNameError


@settings(max_examples=12)
@given(seed=draw.integers(0, 10**6), gap=draw.floats(0.05, 0.8))
def test_the_perceptron_makes_no_more_mistakes_than_the_theorem_allows(seed, gap):
    state = np.random.default_rng(seed)
    truth = state.normal(size=4)
    truth /= np.linalg.norm(truth)
    x = state.uniform(-1, 1, size=(80, 3))
    rows = np.c_[x, np.ones(80)]
    rows_margin = rows @ truth
    keep = np.abs(rows_margin) > gap * 0.5
    x, rows, y = x[keep], rows[keep], (rows_margin[keep] > 0).astype(int)
    if len(np.unique(y)) < 2:
        return
    margin, radius = np.abs(rows @ truth).min(), np.linalg.norm(rows, axis=1).max()
    found = Perceptron(epochs=5000, random_state=seed).fit(x, y)
    assert found.converged_
    assert found.mistakes_[-1] == 0
    assert sum(found.mistakes_) <= (radius / margin) ** 2
    assert found.score(x, y) == 1


def test_the_perceptron_follows_rosenblatts_rule_step_by_step():
    state = np.random.default_rng(3)
    x, y = state.normal(size=(30, 2)), state.integers(0, 2, 30)
    found = Perceptron(epochs=3, random_state=7).fit(x, y)
    order = np.random.RandomState(7)
    w = np.zeros(3)
    for _ in range(3):
        for i in order.permutation(30):
            sign = 1 if y[i] else -1
            if sign * (w @ [*x[i], 1]) <= 0:
                w += sign * np.array([*x[i], 1])
    np.testing.assert_allclose(found.weights_[1] - found.weights_[0], 2 * w[:2])
    np.testing.assert_allclose(found.bias_[1] - found.bias_[0], 2 * w[2])


def test_the_averaged_perceptron_averages_every_step():
    state = np.random.default_rng(4)
    x, y = state.normal(size=(25, 3)), state.integers(0, 3, 25)
    found = Perceptron(epochs=2, averaged=True, random_state=1).fit(x, y)
    order, w, total = np.random.RandomState(1), np.zeros((3, 4)), np.zeros((3, 4))
    for _ in range(2):
        for i in order.permutation(25):
            row = np.array([*x[i], 1])
            scores = w @ row
            others = [c for c in range(3) if c != y[i]]
            rival = max(others, key=lambda c: (scores[c], -c))
            if scores[rival] >= scores[y[i]]:
                w[y[i]] += row
                w[rival] -= row
            total += w
    mean = total / 50
    np.testing.assert_allclose(np.c_[found.weights_, found.bias_], mean, atol=1e-12)


def test_adaline_settles_at_the_least_squares_solution():
    state = np.random.default_rng(0)
    x = state.normal(size=(100, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)  # rows of equal length: alpha-LMS is then plain LMS
    y = (x @ state.normal(size=4) + 0.3 * state.normal(size=100) > 0.1).astype(int)
    found = Adaline(epochs=250, rate=0.2, decay=0.3).fit(x, y)
    targets = np.where(y[:, None] == [0, 1], 1, -1)
    exact = np.linalg.lstsq(np.c_[x, np.ones(100)], targets, rcond=None)[0]
    np.testing.assert_allclose(np.c_[found.weights_, found.bias_], exact.T, atol=0.01)
    least = np.mean((np.c_[x, np.ones(100)] @ exact - targets) ** 2)
    assert found.errors_[-1] == pytest.approx(least, rel=0.01)


def test_adaline_solves_consistent_equations_exactly():
    x = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.5]])  # three rows, three unknowns: every target can be met (Kaczmarz)
    found = Adaline(epochs=600, rate=1.0, decay=0).fit(x, [0, 1, 0])
    np.testing.assert_allclose(found.scores(x), [[1, -1], [-1, 1], [1, -1]], atol=1e-6)


XOR = np.array([[-1.0, -1], [-1, 1], [1, -1], [1, 1]]), np.array([0, 1, 1, 0])


@pytest.mark.parametrize(("logic", "units"), [("majority", 3), ("or", 2), ("and", 2)])
def test_madaline_learns_exclusive_or_and_one_line_cannot(logic, units):
    x, y = XOR
    assert Adaline(epochs=50).fit(x, y).score(x, y) <= 0.75
    assert not Perceptron(epochs=100).fit(x, y).converged_
    found = [Madaline(units=units, logic=logic, epochs=300, rate=0.5, decay=0, random_state=seed).fit(x, y).score(x, y) for seed in range(5)]
    assert max(found) == 1


def test_madaline_changes_the_fewest_units_and_only_so_far_as_asked():
    machine = Madaline(units=5)
    sums = np.array([0.3, -0.1, 2.0, -5.0, 0.2])  # three say yes, two no
    np.testing.assert_array_equal(machine._least(sums, -1), [4])  # the vote turns with the weakest yes
    np.testing.assert_array_equal(machine._least(np.array([0.3, 0.1, 2.0, 5.0, 0.2]), -1), [1, 4, 0])
    assert machine._votes(sums) > 0
    machine.logic = "or"
    np.testing.assert_array_equal(machine._least(np.array([-0.3, -0.1]), 1), [1])
    np.testing.assert_array_equal(np.sort(machine._least(np.array([0.3, 0.1]), -1)), [0, 1])


def test_nearest_neighbours_are_those_of_all_pairs():
    state = np.random.default_rng(0)
    x, y, asked = state.random((60, 5)), state.integers(0, 3, 60), state.random((20, 5))
    for metric, distance in (("euclidean", lambda a, b: np.sqrt(((a - b) ** 2).sum(-1))), ("manhattan", lambda a, b: np.abs(a - b).sum(-1))):
        apart = distance(asked[:, None], x[None])
        order = np.argsort(apart, axis=1)[:, :4]
        found = KNearest(4, metric=metric).fit(x, y)
        distances, places = found.neighbours(asked)
        np.testing.assert_array_equal(places, order)
        np.testing.assert_allclose(distances, np.take_along_axis(apart, order, axis=1), atol=1e-7)
        votes = np.array([[(y[row] == c).sum() for c in range(3)] for row in order])
        np.testing.assert_array_equal(found.predict(asked), votes.argmax(axis=1))
        weighed = np.array([[(1 / apart[i, row])[y[row] == c].sum() for c in range(3)] for i, row in enumerate(order)])
        np.testing.assert_array_equal(KNearest(4, metric=metric, weights="distance").fit(x, y).predict(asked), weighed.argmax(axis=1))


def test_neighbours_of_bytes_and_their_picture():
    x = np.arange(48, dtype=np.uint8).reshape(4, 12) * 5
    found = KNearest(2, image_shape=(3, 2, 2)).fit(x, [0, 0, 1, 1])
    assert found.neighbours(x[:1])[1][0, 0] == 0
    assert found.figure(x[:2], ["low", "high"]).svg().count("<image") == 6


def test_options_out_of_range_are_refused_by_name():
    x, y = XOR
    for wrong, words in (
        (KNearest(5), "k: got 5, but there are 4"),
        (KNearest(0), "k: got 0"),
        (Adaline(rate=2.5), "rate"),
        (Madaline(units=4), "odd"),
        (Perceptron(epochs=0), "epochs"),
    ):
        with pytest.raises(ArgumentError, match=words):
            wrong.fit(x, y)
    with pytest.raises(UnknownNameError, match="euclidean"):
        KNearest(2, metric="euclidian").fit(x, y)
    with pytest.raises(UnknownNameError, match="majority"):
        Madaline(logic="majorty").fit(x, y)
