"""GrabCut from a map: an object of its own colour is cut out exactly, seeds are where the map is strongest and weakest."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn

import striate.understand as u
from striate.core.errors import ArgumentError, UnknownNameError
from striate.probe import Snapshot

cv2 = pytest.importorskip("cv2", reason="OpenCV is an extra")


class Redness(nn.Module):
    """Its first score grows with how much redder than blue the picture is, so its maps lie on red things."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 5, padding=2)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.bias.zero_()
            self.conv.weight[0, 0], self.conv.weight[0, 2] = 0.04, -0.04

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.conv(x)).square().mean((2, 3))


def scene(number: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """A red disc on blue and green noise, and its true mask."""
    random = np.random.default_rng(number)
    picture = np.stack([random.uniform(0, 0.25, (48, 60)), random.uniform(0.2, 0.5, (48, 60)), random.uniform(0.4, 0.8, (48, 60))])
    down, across = np.mgrid[:48, :60]
    mask = (down - 20 - 5 * number) ** 2 + (across - 25 - 6 * number) ** 2 < 12**2
    picture[:, mask] = np.array([0.8, 0.2, 0.15])[:, None] + random.uniform(-0.1, 0.1, (3, int(mask.sum())))
    return torch.from_numpy(picture.astype(np.float32)), mask


@pytest.mark.parametrize("by", ["saliency", "integrated_gradients", "grad_cam", "occlusion"])
def test_the_object_is_cut_out(by: str) -> None:
    scenes = [scene(number) for number in range(2)]
    model = Redness()
    before = Snapshot.of(model)
    made = u.segmentation(model, torch.stack([picture for picture, _ in scenes]), target=0, by=by)
    assert before.differences(model) == ()
    for found, seeds, (_, mask) in zip(made.arrays["mask"], made.arrays["seeds"], scenes, strict=True):
        overlap = (found.astype(bool) & mask).sum() / (found.astype(bool) | mask).sum()
        assert overlap > 0.97
        assert (mask[seeds == 1]).mean() > 0.95
        assert not mask[seeds == -1].any()
        assert (found[seeds == -1] == 0).all(), "background seeds stay background"
        assert (seeds == 1).mean() == pytest.approx(0.05, abs=0.01)
    assert made.receipts["object_share"] == pytest.approx(made.arrays["mask"].mean())
    assert made.method == "segmentation"
    assert made.options["by"] == by


def test_a_flat_map_seeds_nothing() -> None:
    flat = u.segmentation(Redness(), torch.zeros(1, 3, 20, 20), target=0, by="integrated_gradients")
    assert not flat.arrays["mask"].any()
    assert not flat.arrays["seeds"].any()
    assert any("1 of 1 maps are flat" in note for note in flat.notes)
    assert flat.figure().png(scale=1)


def test_what_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = scene()[0]
    for options, error, words in (
        ({"by": "saliencey"}, UnknownNameError, "saliency"),
        ({"by": "neighbours"}, ArgumentError, "gives no map"),
        ({"by": "segmentation"}, ArgumentError, "gives no map"),
        ({"foreground": 0.2}, ArgumentError, "less than foreground"),
        ({"background": -1.0}, ArgumentError, "background: got -1"),
        ({"rounds": 0}, ArgumentError, "rounds: got 0"),
    ):
        with pytest.raises(error, match=words):
            u.segmentation(Redness(), picture, **options)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ArgumentError, match=r"pip install 'striate\[segment\]'"):
        u.segmentation(Redness(), picture)
