"""`statistics`: every figure recomputed from the definition, on a net with functional, in-place and dead units."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from striate import init
from striate.core.contracts import Batch
from striate.init import statistics
from striate.layers import ScaledTanh
from striate.probe.state import Snapshot


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 3, 3), nn.Linear(12, 2)
        self.conv.bias.data = torch.tensor([0.0, 0.5, -100.0])  # the last channel is dead

    def forward(self, x):
        return self.fc(torch.sigmoid(F.relu_(self.conv(x)).flatten(1) * 4 - 2))


@pytest.fixture
def case():
    torch.manual_seed(0)
    return Net().double(), torch.randn(5, 1, 4, 4, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1])


def test_figures(case):
    model, x, y = case
    before = Snapshot.of(model)
    found = init.statistics(model, (x, y))
    assert before.differences(model) == ()
    rows = {row.layer: row for row in found.rows}
    assert list(rows) == ["conv", "/relu#1", "/sigmoid#1", "fc"]
    conv = model.conv(x)
    off = conv.relu()
    smooth = torch.sigmoid(off.flatten(1) * 4 - 2)
    loss = F.cross_entropy(model.fc(smooth), y)
    to_conv, to_off, to_smooth = torch.autograd.grad(loss, [conv, off, smooth])
    assert found.loss == pytest.approx(loss.item())
    for name, values, message in (("conv", conv, to_conv), ("/relu#1", off, to_off), ("/sigmoid#1", smooth, to_smooth)):
        row = rows[name]
        assert (row.mean, row.deviation) == pytest.approx((values.mean().item(), values.std(correction=0).item()))
        assert (row.gradient_mean, row.gradient_deviation) == pytest.approx((message.mean().item(), message.std(correction=0).item()))
    relu, sigmoid = rows["/relu#1"], rows["/sigmoid#1"]
    assert relu.units == 3
    assert relu.saturated == pytest.approx((conv <= 0).double().mean().item())
    assert relu.dead == pytest.approx(1 / 3)
    assert sigmoid.units == 12
    flat = smooth * (1 - smooth) < 0.0125
    assert sigmoid.saturated == pytest.approx(flat.double().mean().item())
    assert sigmoid.dead == pytest.approx(flat.all(0).double().mean().item())
    assert rows["fc"].saturated is None


def test_batches_losses_and_notes(case):
    model, x, y = case
    by_batch = init.statistics(model, Batch(x, y, torch.arange(5)))
    by_loss = init.statistics(model, x, loss=lambda output: F.cross_entropy(output, y))
    assert by_batch.rows == by_loss.rows
    without = init.statistics(model, x)
    assert "gradients were not measured" in without.notes[0]
    assert without.rows[0].gradient_mean is None
    assert [row.deviation for row in without.rows] == pytest.approx([row.deviation for row in by_batch.rows])


def test_table_json_and_figure(case, tmp_path):
    model, x, y = case
    found = init.statistics(model, (x, y))
    lines = str(found).splitlines()
    assert lines[0].split() == ["layer", "kind", "units", "mean", "deviation", "saturated", "dead", "gradient"]
    assert lines[2].split()[:3] == ["/relu#1", "relu", "3"]
    assert "33.3 %" in lines[2]
    back = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert back["samples"] == 5
    assert back["rows"][1]["dead"] == pytest.approx(1 / 3)
    assert found.figure().save(tmp_path / "figure.png").stat().st_size > 1000
    model.fc.weight.data.fill_(torch.nan)
    assert init.statistics(model, x).to_json()["rows"][-1]["mean"] is None


@pytest.mark.parametrize(
    "layer",
    [nn.Tanh(), ScaledTanh(), nn.Sigmoid(), nn.LogSigmoid(), nn.Softsign(), nn.Hardtanh(-2, 1), nn.Hardsigmoid(), nn.ReLU6()],
    ids=lambda layer: type(layer).__name__,
)
def test_saturated_is_where_the_slope_is_under_a_twentieth_of_the_largest(layer):
    x = torch.linspace(-9, 9, 4001, dtype=torch.float64)[:, None].requires_grad_()
    (slope,) = torch.autograd.grad(layer(x).sum(), x)
    row = next(row for row in statistics(nn.Sequential(layer), x.detach()).rows if row.kind == type(layer).__name__)
    assert row.saturated == pytest.approx(float((slope < 0.05 * slope.max()).double().mean()), abs=1e-3)
    assert 0.05 < row.saturated < 0.95
