"""The Zeiler-Fergus sheet against brute force: every activation of every picture computed and sorted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import striate.understand as u
from striate.core.errors import ArgumentError, UnknownNameError
from striate.understand.sheets import sheet, tiled
from striate.understand.strongest import overlap

SIDE, COUNT = 17, 4


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(self.relu(self.conv1(x)), 3, 2)
        return self.fc(F.relu(self.conv2(x)).mean((2, 3)))


FIRST, SECOND = "relu", "/relu#1"
FIELDS = {FIRST: (3, 1, -1), SECOND: (9, 2, -1)}
"""Size, stride and start of what a unit sees, worked out by hand: 3 + (3 - 1)·1 = 5 after the pool, then + (3 - 1)·2 = 9."""


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(5)
    made = Net().eval()
    with torch.no_grad():
        made.conv2.bias[:4] = 0.5
        made.conv2.bias[4] = -50.0  # never fires
    return made


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    drawn = torch.randint(0, 256, (20, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    drawn[13] = drawn[2]  # a twin: the earlier counts first
    return drawn


@pytest.fixture(scope="module")
def found(net: Net, pixels: torch.Tensor) -> u.Explanation:
    return u.top_patches(net, pixels, count=COUNT, preprocess="identity", batch=6)


def of_layer(net: Net, pixels: torch.Tensor) -> dict[str, np.ndarray]:
    with torch.no_grad():
        first = F.relu(net.conv1(pixels.float() / 255))
        return {FIRST: first.numpy(), SECOND: F.relu(net.conv2(F.max_pool2d(first, 3, 2))).numpy()}


def rows_of(found: u.Explanation, layer: str, channel: int) -> np.ndarray:
    return np.flatnonzero((found.arrays["layer"] == layer) & (found.arrays["channel"] == channel))


@pytest.mark.parametrize("layer", [FIRST, SECOND])
def test_the_strongest_are_those_of_brute_force(net: Net, pixels: torch.Tensor, found: u.Explanation, layer: str) -> None:
    answers = of_layer(net, pixels)[layer]
    best = answers.reshape(len(pixels), answers.shape[1], -1).max(2)
    for channel in range(answers.shape[1]):
        order = np.argsort(-np.round(best[:, channel].astype(np.float64), 6), kind="stable")[:COUNT]
        rows = rows_of(found, layer, channel)
        assert found.arrays["rank"][rows].tolist() == list(range(COUNT))
        np.testing.assert_allclose(found.arrays["value"][rows], best[order, channel], rtol=1e-5)
        if best[order[0], channel] <= 0:
            continue
        assert found.arrays["sample"][rows].tolist() == order.tolist()
        for row, sample in zip(rows, order, strict=True):
            assert tuple(found.arrays["unit"][row]) == np.unravel_index(answers[sample, channel].argmax(), answers.shape[2:])


@pytest.mark.parametrize("layer", [FIRST, SECOND])
def test_a_patch_is_exactly_what_its_unit_sees(net: Net, pixels: torch.Tensor, found: u.Explanation, layer: str) -> None:
    size, stride, start = FIELDS[layer]
    patches = found.arrays[f"patches/{layer}"]
    assert patches.shape[-2:] == (size, size)
    for channel in range(2):
        for rank, row in enumerate(rows_of(found, layer, channel)):
            unit, sample = found.arrays["unit"][row], int(found.arrays["sample"][row])
            top, left = (stride * int(place) + start for place in unit)
            assert found.arrays["box"][row].tolist() == [top, left, top + size, left + size]
            padded = np.pad(pixels[sample].numpy() / 255, ((0, 0), (size, size), (size, size)), constant_values=1.0)
            expected = padded[:, top + size : top + 2 * size, left + size : left + 2 * size]
            np.testing.assert_allclose(patches[channel, rank], expected, atol=1e-7)
            picture = pixels[sample : sample + 1].clone()
            picture[:, :, max(top, 0) : top + size, max(left, 0) : left + size] = 0
            kept = pixels[sample : sample + 1] - picture
            value = of_layer(net, kept)[layer][0, channel, unit[0], unit[1]]
            np.testing.assert_allclose(value, found.arrays["value"][row], rtol=1e-5)  # all else black: the unit answers the same


@pytest.mark.parametrize("rule", ["deconvnet", "guided"])
def test_projections_are_those_of_the_method_itself(net: Net, pixels: torch.Tensor, rule: str) -> None:
    made = u.top_patches(net, pixels, layers=[SECOND], channels=[2, 0], count=2, rule=rule, preprocess="identity")
    for place, channel in enumerate((2, 0)):
        for rank, row in enumerate(rows_of(made, SECOND, channel)):
            sample = int(made.arrays["sample"][row])
            whole = getattr(u, rule)(net, pixels[sample], layer=SECOND, channel=channel, preprocess="identity").arrays["signal"][0]
            there, here = overlap((9, 9), (SIDE, SIDE), made.arrays["box"][row].tolist())
            cut = made.arrays[f"projections/{SECOND}"][place, rank][(slice(None), *here)]
            np.testing.assert_allclose(cut, whole[(slice(None), *there)], atol=1e-6 * np.abs(whole).max())
            assert np.abs(whole).sum() == pytest.approx(np.abs(cut).sum(), rel=1e-5)  # nothing came back elsewhere
            assert made.arrays["peak"][row] == pytest.approx(np.abs(whole).max(), rel=1e-5)


def test_silent_maps_are_counted_and_left_white(found: u.Explanation) -> None:
    assert found.receipts["silent"] == 1
    assert found.receipts["maps"] == 9
    assert (found.arrays[f"patches/{SECOND}"][4] == 1).all()
    assert (found.arrays[f"projections/{SECOND}"][4] == 0).all()
    assert "1 of 9 maps never fire" in found.figure().title


def test_the_size_of_batches_does_not_matter(net: Net, pixels: torch.Tensor, found: u.Explanation) -> None:
    other = u.top_patches(net, pixels, count=COUNT, preprocess="identity", batch=20)
    fires = found.arrays["value"] > 0
    for name in ("sample", "unit", "box"):
        assert np.array_equal(other.arrays[name][fires], found.arrays[name][fires]), name
    for name in (f"projections/{FIRST}", f"projections/{SECOND}"):
        np.testing.assert_allclose(other.arrays[name], found.arrays[name], atol=1e-5 * np.abs(found.arrays[name]).max())


def test_before_the_first_relu_there_is_a_note_and_the_plain_gradient(net: Net, pixels: torch.Tensor) -> None:
    made = u.top_patches(net, pixels, layers=["conv1"], count=1, preprocess="identity")
    assert any("no ReLU lies between conv1" in note for note in made.notes)
    inner = np.flatnonzero(((made.arrays["box"] >= 0) & (made.arrays["box"] <= SIDE)).all(1) & (made.arrays["value"] > 0))
    assert len(inner)
    for row in inner:
        channel = int(made.arrays["channel"][row])
        np.testing.assert_allclose(made.arrays["projections/conv1"][channel, 0], net.conv1.weight[channel].detach().numpy(), atol=1e-6)


def test_errors_come_before_the_work(net: Net, pixels: torch.Tensor) -> None:
    with pytest.raises(ArgumentError, match="count: got 0"):
        u.top_patches(net, pixels, count=0)
    with pytest.raises(UnknownNameError, match="conv1"):
        u.top_patches(net, pixels, layers=["conv3"], preprocess="identity")
    with pytest.raises(ArgumentError, match="channels 0 to 3"):
        u.top_patches(net, pixels, layers=["conv1"], channels=[4], preprocess="identity")
    big = torch.zeros(9, 3, 200, 200, dtype=torch.uint8)
    wide = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 600, 1), nn.ReLU(), nn.Conv2d(600, 2, 1), nn.Flatten())
    with pytest.raises(ArgumentError, match="600 maps in 1 layers come to"):
        u.top_patches(wide, big, preprocess="identity")


def test_the_sheet(net: Net, found: u.Explanation) -> None:
    drawn = found.figure()
    assert drawn.title.startswith("What feature maps look for")
    assert sheet(found, layer=FIRST).png(scale=1).startswith(b"\x89PNG")
    with pytest.raises(UnknownNameError):
        sheet(found, layer="relu9")
    four = [np.full((3, 40, 40), value, dtype=np.float32) for value in (0.0, 0.25, 0.5, 0.75)]
    laid = tiled(four)
    assert laid.shape == (3, 81, 81)
    assert laid[0, 40].tolist() == [1.0] * 81
    assert [laid[0, 0, 0], laid[0, 0, 80], laid[0, 80, 0], laid[0, 80, 80]] == [0.0, 0.25, 0.5, 0.75]
