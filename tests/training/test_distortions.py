"""Distortions do what they say, and a net's error grows with them."""

from __future__ import annotations

import math

import pytest
import scipy.ndimage
import torch

from striate import data as sources
from striate.training import train
from striate.training.distortions import _thicker, moved, robustness


def one(value):
    return torch.full((1,), float(value))


def test_a_whole_pixel_shift_moves_the_picture_right_and_down():
    x = torch.arange(48.0).reshape(1, 1, 6, 8)
    result = moved(x, one(0), one(1), one(1), one(2 * 2 / 8), one(1 * 2 / 6))
    torch.testing.assert_close(result[0, 0, 1:, 2:], x[0, 0, :-1, :-2])


def test_a_quarter_turn_is_a_quarter_turn():
    x = torch.randn(1, 2, 7, 7)
    turned = moved(x, one(math.pi / 2), one(1), one(1), one(0), one(0))
    assert torch.allclose(turned, x.rot90(1, (2, 3)), atol=1e-5) or torch.allclose(turned, x.rot90(-1, (2, 3)), atol=1e-5)


def test_enlarging_by_two_shows_the_middle_half():
    x = torch.arange(64.0).reshape(1, 1, 8, 8)
    enlarged = moved(x, one(0), one(2), one(2), one(0), one(0))
    torch.testing.assert_close(enlarged.mean(), x[..., 2:6, 2:6].mean(), rtol=1e-4, atol=1e-4)
    assert enlarged.max() < x.max()


@pytest.mark.parametrize("pixels", [1, 2])
def test_thicker_and_thinner_are_grey_dilation_and_erosion(pixels):
    x = torch.rand(1, 1, 9, 9)
    window = pixels + 1
    wide = scipy.ndimage.maximum_filter(x[0, 0].numpy(), window, mode="nearest")
    thin = scipy.ndimage.minimum_filter(x[0, 0].numpy(), window, mode="nearest")
    torch.testing.assert_close(_thicker(x, pixels)[0, 0], torch.from_numpy(wide))
    torch.testing.assert_close(_thicker(x, -pixels)[0, 0], torch.from_numpy(thin))


def test_the_error_grows_with_the_distortion(tmp_path):
    data = sources.digits()
    run = train("lenet5", data, folder=tmp_path / "run", epochs=6)
    outcome = robustness(run, data)
    assert outcome.plain == pytest.approx(run.result["splits"]["test"]["error"])
    assert outcome.errors["rotation"][45] > outcome.errors["rotation"][10] >= outcome.plain - 0.02
    assert outcome.errors["noise"][0.4] > outcome.plain
    assert "45° " in str(outcome)
