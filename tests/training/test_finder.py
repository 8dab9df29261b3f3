"""The searches: a rate at which training works, a batch size with its speed; the network is left alone."""

from __future__ import annotations

import pytest
import torch

import striate as st
from striate import zoo
from striate.core.errors import ArgumentError
from striate.training import recipes
from striate.training.finder import find_batch, find_rate


def test_the_rate_found_trains_far_better_than_its_neighbours_a_hundred_times_away(tmp_path):
    found = find_rate("lenet5", "digits", steps=60)
    assert found.rates[0] == pytest.approx(1e-6)
    assert 1e-4 < found.suggestion < 0.3
    losses = {}
    for factor in (0.01, 1):
        folder = tmp_path / f"{factor}"
        run = st.train("lenet5", "digits", folder=folder, epochs=2, lr=found.suggestion * factor, settings={"schedule": "constant"})
        losses[factor] = run.history[-1]["train/loss"]
    assert losses[1] < losses[0.01] / 2
    assert f"{found.suggestion:.2g}" in str(found)


def test_a_network_that_is_given_is_not_touched():
    net = st.zoo.build("lenet5", classes=10, input=(1, 16, 16))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    find_rate(net, "digits", steps=20)
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_a_network_of_the_zoo_is_searched_with_the_recipe_it_would_train_with(monkeypatch):
    asked = []
    whole = recipes.default
    monkeypatch.setattr(recipes, "default", lambda *words, **more: asked.append(words) or whole(*words, **more))
    find_rate(zoo.build("lenet5", classes=10, input=(1, 16, 16)), "digits", steps=12, low=1e-3, high=1e-2)
    assert asked == [("lenet5", "digits")]


def test_bounds_are_checked():
    with pytest.raises(ArgumentError, match="0 < low < high"):
        find_rate("lenet5", "digits", low=1.0, high=0.1)


def test_the_batch_found_is_the_smallest_that_is_nearly_fastest():
    found = find_batch("lenet5", "digits", largest=32)
    assert set(found.speeds) == {8, 16, 32}
    best = max(found.speeds.values())
    assert found.suggestion == min(size for size, speed in found.speeds.items() if speed >= 0.95 * best)
    assert found.too_large is None
