"""Statistics are exact and from the training split; whitening really whitens."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from striate import data as d
from striate.core.errors import ArgumentError, UnknownNameError
from striate.data.stores import Fixed, Ragged
from striate.data.whitening import channel_covariance, channel_statistics


def test_mean_and_spread_are_exact():
    x = np.random.default_rng(0).integers(0, 256, (700, 2, 13, 9), dtype=np.uint8)
    x[:, 1] = 255 - x[:, 1] // 64  # a small spread about a large mean
    mean, std = channel_statistics(Fixed(x, "exact"))
    for c in range(2):
        values = x[:, c].astype(object).ravel()
        count, total, squares = len(values), int(values.sum()), int((values * values).sum())
        assert mean[c] == pytest.approx(float(Fraction(total, count * 255)), rel=1e-15)
        assert std[c] ** 2 == pytest.approx(float(Fraction(squares * count - total**2, (count * 255) ** 2)), rel=1e-10)
    order = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert [v.tolist() for v in channel_statistics(Fixed(order, "exact-last"))] == [mean.tolist(), std.tolist()]


def test_bright_pictures_do_not_overflow():
    mean, std = channel_statistics(Fixed(np.full((1000, 1, 40, 40), 255, np.uint8), "bright"))
    assert (mean[0], std[0]) == (1, 0)
    data = d.arrays(np.full((20, 4, 4), 255, np.uint8))
    assert next(data.split("train").batches(20, epoch=0, seed=0)).x.abs().max() < 1e-6  # a constant channel becomes zero, not NaN


def test_covariance_is_numpys():
    x = np.random.default_rng(1).integers(0, 256, (50, 3, 6, 5), dtype=np.uint8)
    x[:, 1] = x[:, 0] // 2 + x[:, 1] // 2
    expected = np.cov(x.transpose(1, 0, 2, 3).reshape(3, -1) / 255, bias=True)
    assert np.allclose(channel_covariance(Fixed(x, "covariance")), expected, atol=1e-14)
    assert np.allclose(channel_covariance(Fixed(x, "covariance")), expected, atol=1e-14)  # the remembered one


def test_many_sizes_count_their_sampled_rows():
    shapes = np.array([[5, 4, 3], [130, 3, 3]], np.int32)
    offsets = np.r_[0, np.cumsum(shapes.prod(1))].astype(np.int64)
    store = Ragged(np.random.default_rng(2).integers(0, 256, offsets[-1]).astype(np.uint8), offsets, shapes, "sizes")
    seen = np.concatenate([store.picture(0).reshape(-1, 3), store.picture(1)[::2].reshape(-1, 3)]) / 255
    mean, std = channel_statistics(store)
    assert np.allclose(mean, seen.mean(0), atol=1e-14)
    assert np.allclose(std, seen.std(0), atol=1e-14)
    assert np.allclose(channel_covariance(store), np.cov(seen.T, bias=True), atol=1e-14)


def correlated():
    numbers = np.random.default_rng(3)
    hidden = numbers.normal(size=(800, 20)) @ numbers.normal(size=(20, 2 * 5 * 6)) * 12 + 128 + numbers.normal(size=(800, 60)) * 20
    return d.arrays(
        np.clip(hidden, 0, 255).astype(np.uint8).reshape(800, 2, 5, 6), np.arange(800) % 2, test=(np.zeros((3, 2, 5, 6), np.uint8), np.zeros(3, int))
    )


@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_whitened_inputs_have_the_covariance_the_epsilon_leaves(kind):
    data = correlated().whitened(kind)
    x = torch.cat([batch.x for batch in data.split("train").batches(100, epoch=0, seed=0)]).flatten(1).double()
    plain = torch.cat([batch.x for batch in correlated().split("train").batches(100, epoch=0, seed=0)]).flatten(1).double()
    values, vectors = torch.linalg.eigh(torch.cov(plain.T, correction=0))
    shrunk = values / (values + 0.01)
    found = torch.cov(x.T, correction=0)
    expected = torch.diag(shrunk.flip(0)) if kind == "pca" else vectors @ torch.diag(shrunk) @ vectors.T
    assert (found - expected).abs().max() < 1e-4
    assert x.mean(0).abs().max() < 1e-4
    if kind == "zca":  # stays as close to the pictures as it can
        assert torch.linalg.eigvalsh(data.preprocess.tensors()["whitening.matrix"].double()).min() > 0


def test_whitening_says_what_it_costs_and_travels():
    data = correlated().whitened("zca")
    assert data.notes[-1] == "zca whitening costs 3,600 multiply-adds a picture and a matrix of 0.0 MiB"
    own = data.preprocess
    again = type(own).from_json(own.to_json(), own.tensors())
    assert again == own
    assert data.whitened("none").preprocess.tensors() == {}


def test_whitening_refuses_what_it_cannot_do():
    with pytest.raises(UnknownNameError, match="Did you mean zca"):
        correlated().whitened("zcaa")
    with pytest.raises(ArgumentError, match="at most 4,096"):
        _ = d.arrays(np.zeros((3, 3, 64, 64), np.uint8)).whitened("pca").preprocess
    with pytest.raises(ArgumentError, match="input's size"):
        _ = correlated().resized(4).whitened("pca").preprocess
