"""How good the maps are on a trained network and real pictures: the gates of the project, each beside centre prior and chance.

The tabled gaps were measured on 48 pictures of another training of the same network; the gate is each less .05, on 500 pictures, and the order
against chance and the centre prior. As in the table, what a method puts in a pixel's place is the blur that the gap puts in a block's: that suits it.
Default stand-ins (mean colour, black) have smaller gaps, which docs/understanding/receipts.md tells.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import striate as st
import striate.understand as u
from striate.understand.receipts import followed, full

pytestmark = [pytest.mark.slow, pytest.mark.data]

NETS = Path(__file__).parent / "nets"
TABLED = {"saliency": 0.16, "integrated_gradients": 0.24, "guided": 0.35, "grad_cam": 0.39, "occlusion": 0.39}
OPTIONS: dict[str, dict[str, Any]] = {
    "occlusion": {"window": 8, "stride": 4, "value": "blur"},
    "integrated_gradients": {"steps": 16, "most": 16, "baseline": "blur"},
}
CENTRE = 0.32
BEATS_THE_CENTRE = ("guided", "grad_cam", "occlusion")
COUNT, FEW = 500, 48


def resnet20() -> torch.nn.Module:
    model = st.zoo.build("resnet20", classes=10, input=(3, 32, 32))
    st.zoo.load_weights(model, NETS / "resnet20_cifar10.safetensors")
    return model


def pictures(name: str, count: int) -> torch.Tensor:
    stacked = np.stack(list(st.data.load(name).pictures("test", range(count))))
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()


@pytest.fixture(scope="module")
def gaps() -> dict[str, dict[str, float]]:
    model, x = resnet20(), pictures("cifar10", COUNT)
    found = {}
    for name in TABLED:
        made = getattr(u, name)(model, x, **OPTIONS.get(name, {}))
        with u.prepare(model, x) as p:
            found[name], _ = followed(p, made.arrays["map"].astype(np.float64), orders=1)
    return found


@pytest.mark.parametrize("name", TABLED)
def test_the_score_follows_the_map(gaps: dict[str, dict[str, float]], name: str) -> None:
    receipts = gaps[name]
    assert receipts["gap"] >= TABLED[name] - 0.05
    assert receipts["gap_centre"] >= CENTRE - 0.05
    assert abs(receipts["gap_random"]) < 0.05
    assert receipts["gap"] > receipts["gap_random"] + 0.05
    if name in BEATS_THE_CENTRE:
        assert receipts["gap"] > receipts["gap_centre"]


@pytest.mark.parametrize(("name", "least", "most"), [("grad_cam", -0.3, 0.3), ("saliency", 0.2, 0.7), ("guided", 0.8, 1.0), ("eigen_cam", 1.0, 1.0)])
def test_only_what_ignores_the_weights_is_marked(name: str, least: float, most: float) -> None:
    model, x = resnet20(), pictures("cifar10", FEW)
    checked = full(model, x, getattr(u, name)(model, x), orders=1)
    assert least <= checked.receipts["shuffled_correlation"] <= most
    assert checked.notes[0].startswith("Not to be trusted") == (least >= 0.8)
    if name == "grad_cam":
        assert checked.receipts["pointing_energy"] >= 0.61
        assert checked.receipts["pointing_hit"] >= 0.89


def test_digits_black_ground_does_not_pass_for_an_unchanged_map() -> None:
    model = st.zoo.build("lenet5", classes=10, input=(1, 28, 28), options={"pool": "max"})
    st.zoo.load_weights(model, NETS / "lenet5_mnist.safetensors")
    x = pictures("mnist", 32)
    receipts = full(model, x, u.integrated_gradients(model, x), orders=1).receipts
    assert receipts["shuffled_correlation"] > 0.9, "nearly all of it black in both"
    assert receipts["shuffled_correlation_nonzero"] < 0.8
