"""The strategy table from made-up codes: where the classes separate and how many pictures there are decides the answer."""

from __future__ import annotations

import numpy as np
import pytest

from striate.data import arrays
from striate.transfer.advice import judge, nearest_neighbour_error
from striate.transfer.coding import Codes
from striate.transfer.shift import domain_shift

AT = ("early", "late")


def made(count, *, good, classes=2, noise=2.0):
    """Return codes whose layer `good` separates the classes with some overlap, the other one not at all; and data of as many pictures."""
    generator = np.random.default_rng(0)
    y = np.arange(count) % classes
    layers = {}
    for layer in AT:
        centres = np.zeros((classes, 8)) if layer != good else 3 * np.eye(classes, 8)
        for kind in ("avg", "max"):
            layers[layer, kind] = (centres[y] + noise * generator.normal(size=(count, 8)))[None].astype(np.float32)
    return Codes(AT, layers, y, ("plain",), tuple("abcdef"[:classes]), "train")


def data_of(count, side=96):
    return arrays(np.zeros((count, 1, side, side), np.uint8), np.arange(count) % 2, classes=("a", "b"))


@pytest.mark.parametrize(
    ("count", "good", "side", "answer", "strategy"),
    [
        (100, "late", 96, "linear-top", "linear"),
        (100, "early", 96, "linear-earlier", "linear"),
        (2400, "late", 96, "finetune-few", "finetune"),
        (2400, "early", 96, "finetune-many", "finetune"),
        (20_000, "late", 8, "scratch", "scratch"),
    ],
)
def test_the_table(count, good, side, answer, strategy):
    found = judge(made(count, good=good), data_of(count, side))
    assert (found.answer, found.strategy) == (answer, strategy)
    assert found.numbers["pictures"] == count
    rows = {row["at"]: row["error"] for row in found.depths}
    other = "early" if good == "late" else "late"
    assert rows[good] < rows[other] - 0.1
    assert found.choice.at[-1] == good or answer.startswith(("finetune", "scratch"))
    assert len(found.reasons) >= 3


def test_much_data_that_a_linear_head_reads_well_stay_linear():
    found = judge(made(2400, good="late", noise=0.2), data_of(2400))
    assert found.answer == "linear-top"
    assert any("not worth its time" in reason for reason in found.reasons)


def test_nearest_neighbour_error_by_hand():
    x = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [1, 0.11]], np.float32)[None]
    codes = Codes(("top",), {("top", "avg"): x}, np.array([0, 0, 1, 1, 1]), ("plain",), ("a", "b"), "train")
    # the last one's nearest is the second, of another class; the second's nearest is the last
    assert nearest_neighbour_error(codes) == pytest.approx(2 / 5)


def test_shift_is_nil_on_the_source_and_grows_with_the_distance():
    import torch
    from torch import nn

    from striate.pixels import Preprocess

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, momentum=None), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2))
    x = np.random.default_rng(0).integers(0, 256, (64, 3, 8, 8)).astype(np.uint8)
    same = Preprocess(size=(8, 8), mean=(0.5,), std=(0.25,))
    net(same(torch.from_numpy(x)))
    data = arrays(x, np.arange(64) % 2)
    near = domain_shift(net, data.with_preprocess(same), precision="fp32")
    assert near == pytest.approx(0.0, abs=1e-4)
    # every input moved by one deviation: the pre-norm mean moves by the sum of each filter, in deviations of the source
    moved = Preprocess(size=(8, 8), mean=(0.25,), std=(0.25,))
    sums = net[0].weight.detach().sum((1, 2, 3)).numpy() / np.sqrt(net[1].running_var.numpy() + net[1].eps)
    assert domain_shift(net, data.with_preprocess(moved), precision="fp32") == pytest.approx(float(np.sqrt((sums**2).mean())), rel=1e-3)
    assert domain_shift(nn.Sequential(nn.Conv2d(3, 2, 3)), data) is None
