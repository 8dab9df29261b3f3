"""Networks that flatten their maps by `view`, as most tutorials write them, go through everything that trains, judges, searches or uses one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import striate as st
from striate import transfer
from striate.training.distortions import robustness
from striate.training.finder import find_batch, find_rate
from striate.transfer.shift import domain_shift


class Flattening(nn.Module):
    """Two convolutions and a dense layer over the flattened maps of 3 or 1 x 12 x 12."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(channels, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.fc = nn.Conv2d(6, 8, 2), nn.Linear(8 * 16, 3)

    def flat(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.conv1(x))), 2)
        return self.fc(self.flat(F.relu(self.conv2(x))))


class Viewing(Flattening):
    """The same by `view`."""

    def flat(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(-1, 8 * 16)


def made(kind: type[Flattening], channels: int) -> Flattening:
    torch.manual_seed(0)
    return kind(channels)


def pictures(channels: int) -> st.data.Dataset:
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = rng.integers(0, 120, (90, channels, 12, 12), dtype=np.uint8)
    for number, label in enumerate(y):
        x[number, :, 4 * label : 4 * label + 3] += 120
    return st.data.arrays(x[:72], y[:72], test=(x[72:], y[72:]))


@pytest.mark.parametrize("channels", [3, 1])
def test_trained_judged_and_used(tmp_path: Path, channels: int) -> None:
    data = pictures(channels)
    asked = {"epochs": 4, "batch": 20, "lr": 0.01, "precision": "fp32"}
    run = st.train(made(Viewing, channels), data, folder=tmp_path / "view", **asked)
    same = st.train(made(Flattening, channels), data, folder=tmp_path / "flat", **asked)
    for one, other in zip(run.model.state_dict().values(), same.model.state_dict().values(), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-3 * float(other.abs().max()))
    assert st.evaluate(run, data).figures["error"] == st.evaluate(same, data).figures["error"] < 0.1
    assert robustness(run, data).plain < 0.1
    Image.fromarray(data.pictures("test", range(1))[0].squeeze()).save(tmp_path / "one.png")
    assert st.predict(run, tmp_path / "one.png")[0].classes[0] == st.predict(same, tmp_path / "one.png")[0].classes[0]
    assert find_rate(made(Viewing, channels), data, steps=12).suggestion > 0
    assert find_batch(made(Viewing, channels), data, largest=16).suggestion > 0


def test_its_codes_are_those_of_the_same_network() -> None:
    data = pictures(3)
    found, wanted = (transfer.codes(made(kind, 3).eval(), data, ["conv2"], cache=False, precision="fp32") for kind in (Viewing, Flattening))
    for name, values in wanted.layers.items():
        assert np.allclose(found.layers[name], values, rtol=0, atol=1e-5 * np.abs(values).max())
    shifts = [domain_shift(made(kind, 3).eval(), data, precision="fp32") for kind in (Viewing, Flattening)]
    assert shifts[0] == pytest.approx(shifts[1], rel=1e-4)
