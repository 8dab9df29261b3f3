"""A network that calls one ReLU everywhere: layers chosen by default are named with their turn, so that every method can look at them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import striate.understand as u
from striate.probe import record
from striate.understand.inputs import prepare
from striate.understand.reading import stages


class Shared(nn.Module):
    """Convolution, ReLU, pooling, convolution, ReLU, dense, the same ReLU once more, dense."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.pool = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1), nn.MaxPool2d(2)
        self.hidden, self.fc, self.relu = nn.Linear(6 * 8 * 8, 12), nn.Linear(12, 4), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.two(self.pool(self.relu(self.one(x)))))
        return self.fc(self.relu(self.hidden(x.flatten(1))))


class Once(nn.Module):
    """The last maps come from the first turn of a module that is called again on numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.hidden, self.fc, self.relu = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, 12), nn.Linear(12, 4), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.relu(self.hidden(self.relu(self.conv(x)).mean((2, 3)))))


@pytest.fixture
def pixels() -> Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def made(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(1)
    return kind().eval()


def test_a_name_means_one_call_alone(pixels: Tensor) -> None:
    recording = record(made(Shared), pixels[:1])
    names = [recording.name_of(call) for call in recording]
    assert names == ["one", "relu[0]", "pool", "two", "relu[1]", "/flatten#1", "hidden", "relu[2]", "fc"]
    assert [recording[name] for name in names] == list(recording.calls)


@pytest.mark.parametrize("kind", [Shared, Once])
def test_every_map_and_image_finds_its_own_layer(kind: type[nn.Module], pixels: Tensor) -> None:
    net = made(kind)
    explained = u.explain(net, pixels[:1], method="all", preprocess="identity")
    assert not explained.failures
    assert u.invert(net, pixels[:1], steps=2, preprocess="identity").options["layers"]
    assert u.dream(net, pixels[:1], steps=1, octaves=1, preprocess="identity").layer
    assert np.isfinite(u.style(net, pixels[:1], pixels[1:2], steps=1, size=16, preprocess="identity").arrays["image"]).all()


def test_what_looks_at_many_pictures_finds_them_too(pixels: Tensor) -> None:
    net = made(Shared)
    sparse = u.sparsity(net, pixels, preprocess="identity").arrays
    assert sparse["layer"].tolist() == ["one", "two", "hidden"]
    assert ((sparse["zeros"] > 0) & (sparse["zeros"] < 1)).all()
    assert len(u.dead_filters(net, pixels, preprocess="identity").arrays["layer"]) == 6 + 6 + 12
    sheet = u.top_patches(net, pixels, count=2, preprocess="identity")
    assert list(dict.fromkeys(sheet.arrays["layer"].tolist())) == ["relu[0]", "relu[1]"]
    boxes = {name: sheet.arrays["box"][sheet.arrays["layer"] == name][0] for name in ("relu[0]", "relu[1]")}
    assert [int(bottom - top) for top, _, bottom, _ in boxes.values()] == [3, 8], "the receptive fields are those of each turn"
    with prepare(net, pixels[:1], preprocess="identity") as p:
        assert stages(p) == [["relu[0]"], ["relu[1]"]]
    assert u.grad_cam(made(Once), pixels[:1], preprocess="identity").layer == "relu[0]"
