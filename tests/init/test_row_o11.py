"""Row O11: ten layers of 500 units on N(0, 1), against the infinitely wide network's figures from quadrature, and the course's printed ones."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from striate import init

SAMPLES = torch.randn(200, 500, generator=torch.Generator().manual_seed(1))
PLACES, WEIGHTS = np.polynomial.hermite_e.hermegauss(201)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def wide(function, variance_of_weights: float, layers: int = 10, width: int = 500) -> list[float]:
    """Deviations when units are many: z ~ N(0, width · variance · E[x²]), by Gauss-Hermite quadrature."""
    square, found = 1.0, []
    for _ in range(layers):
        y = function(PLACES * math.sqrt(width * variance_of_weights * square))
        mean, square = float(WEIGHTS @ y), float(WEIGHTS @ y**2)
        found.append(math.sqrt(square - mean**2))
    return found


def relu(x):
    return np.maximum(x, 0)


@cache
def measured(activation, method, **options):
    model = nn.Sequential(*[part for _ in range(10) for part in (nn.Linear(500, 500), activation())])
    init.apply(model, method, options=options)
    return init.statistics(model, SAMPLES)


@pytest.mark.parametrize(
    ("activation", "method", "options", "function", "variance", "printed", "close"),
    [
        (nn.Tanh, "gaussian", {"deviation": 0.01}, np.tanh, 1e-4, {0: 0.213, 1: 0.0476, 2: 0.0106}, 0.03),
        (nn.Tanh, "gaussian", {"deviation": 1.0}, np.tanh, 1.0, {0: 0.98, 9: 0.98}, 0.03),
        (nn.Tanh, "xavier", {}, np.tanh, 1 / 500, {0: 0.627, 9: 0.224}, 0.03),
        (nn.ReLU, "xavier", {}, relu, 1 / 500, {0: 0.58, 9: 0.025}, 0.2),
        (nn.ReLU, "he", {}, relu, 2 / 500, {0: 0.83, 9: 0.80}, 0.2),
    ],
)
def test_deviations(activation, method, options, function, variance, printed, close):
    """`close`: what 500 units leave to chance; behind ReLU, one layer's luck multiplies through all later ones."""
    found = [row.deviation for row in measured(activation, method, **options).activations]
    assert found == pytest.approx(wide(function, variance), rel=close)
    for layer, figure in printed.items():
        assert found[layer] == pytest.approx(figure, rel=close)


def test_small_weights_let_the_signal_die_and_large_ones_saturate_it():
    small, large = measured(nn.Tanh, "gaussian", deviation=0.01), measured(nn.Tanh, "gaussian", deviation=1.0)
    assert small.activations[-1].deviation < 1e-6
    assert small.activations[0].saturated == 0
    # P(1 - tanh² < 0.05) for z ~ N(0, 500): |z| > artanh √0.95
    edge = math.atanh(math.sqrt(0.95)) / math.sqrt(500)
    assert large.activations[0].saturated == pytest.approx(math.erfc(edge / math.sqrt(2)), abs=0.005)
    assert "shrink" in small.figure().title
    assert "saturated" in large.figure().title


def test_zeros_give_every_unit_the_same_message():
    model = nn.Sequential(nn.Linear(6, 5), nn.Sigmoid(), nn.Linear(5, 5), nn.Sigmoid(), nn.Linear(5, 3))
    batch = (torch.randn(8, 6), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1]))
    init.apply(model, "zeros")
    rows = {row.layer: row for row in init.statistics(model, batch).rows}
    assert [rows[name].alike for name in ("0", "1", "2", "3")] == [True] * 4
    assert rows["0"].gradient_deviation == 0
    assert not rows["4"].alike  # the logits' messages differ by class
    init.apply(model, "constant", options={"value": 0.3})
    rows = {row.layer: row for row in init.statistics(model, batch, loss=lambda output: output.square().sum()).rows}
    assert all(row.alike for row in rows.values())
    assert rows["0"].gradient_deviation > 0
    init.apply(model, "xavier")
    assert not any(row.alike for row in init.statistics(model, batch).rows)


def test_lsuv_gives_every_layer_deviation_one():
    model = nn.Sequential(*[part for _ in range(10) for part in (nn.Linear(60, 60), nn.ReLU())])
    init.apply(model, "lsuv", batch=SAMPLES[:, :60])
    for row in init.statistics(model, SAMPLES[:, :60]).rows:
        if row.kind == "Linear":
            assert row.deviation == pytest.approx(1, abs=1e-4)
