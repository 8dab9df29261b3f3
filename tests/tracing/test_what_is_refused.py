"""What a trace refuses, in one sentence that names the argument; and numbers that overflow on the way."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from striate.core.errors import ArgumentError
from striate.formulas.windows import Grid
from striate.tracing import from_spec, trace

NAN, INF = float("nan"), float("inf")
X = torch.rand(1, 3, 8, 8)


def net():
    return nn.Sequential(nn.Conv2d(3, 1, 3), nn.Flatten())


def test_an_input_the_network_does_not_take():
    with pytest.raises(ArgumentError, match="Linear does not run on 1x3") as caught:
        trace(nn.Linear(2, 2), np.ones((1, 3)))
    assert "training mode" not in str(caught.value), "there is no batch norm whose mode could matter"
    with pytest.raises(ArgumentError, match=r"training mode; model\.eval"):
        trace(nn.Sequential(nn.BatchNorm1d(3)).train(), np.ones((1, 3)))
    with pytest.raises(ArgumentError, match=r"expected an nn\.Module"):
        trace(lambda x: x, np.ones((1, 3)))
    with pytest.raises(ArgumentError, match=r"model: 0\.weight has no shape yet, for its layer is lazy"):
        trace(nn.Sequential(nn.LazyConv2d(4, 3)), X)


@pytest.mark.parametrize(
    ("x", "told"),
    [
        (object(), "x: got object, expected an array of numbers, or a tensor"),
        (None, "x: is None"),
        ("cat", "x: got text"),
        ([["1", "2"]], "x: got text"),
        ([[1, 2], [3]], "x: got rows of unequal length"),
        (X + 1j, "x: got complex numbers"),
        (np.ones((1, 3)) * 1j, "x: got complex numbers"),
        (X[:0], "x: got shape 0x3x8x8, which holds no numbers"),
        (X * NAN, r"x: holds nan at \(0, 0, 0, 0\)"),
        (np.where(np.arange(192).reshape(1, 3, 8, 8) == 70, INF, 1.0), r"x: holds inf at \(0, 1, 0, 6\)"),
        ((X, [NAN]), r"x\[1\]: holds nan at \(0,\)"),
    ],
)
def test_an_input_that_is_no_array_of_finite_numbers(x, told):
    with pytest.raises(ArgumentError, match=told):
        trace(net(), x)


def test_a_mask_may_hold_infinity():
    class Masked(nn.Module):
        def forward(self, x, mask):
            return (x + mask).softmax(1)

    found = trace(Masked(), (torch.zeros(1, 3), torch.tensor([[0.0, 0.0, -INF]])))
    assert found.output.tolist() == [[0.5, 0.5, 0]]
    assert not any("overflow" in note for note in found.notes)


def test_parameters_that_are_not_finite():
    model = net()
    model[0].weight.data[0, 1, 2, 0] = -INF
    with pytest.raises(ArgumentError, match=r"model: parameter 0\.weight: holds -inf at \(0, 1, 2, 0\)"):
        trace(model, X)
    with pytest.raises(ArgumentError, match=r"conv1\.weight: holds nan at \(0, 0\)"):
        from_spec("conv(1,2x2)", [[1, 2], [3, 4]], parameters={"conv1.weight": [[NAN, 0], [0, 1]]})


def test_numbers_that_overflow_on_the_way():
    found = from_spec("conv(1,2x2) -> relu", np.full((2, 2), 1e308), parameters={"conv1.weight": [[10, 0], [0, 1]]})
    assert found["conv1"].output.tolist() == [[[[INF]]]]
    assert "numbers overflow on the way: conv1 is the first whose output holds NaN or infinity" in found.notes
    assert found.agrees
    assert found.verdict.startswith("1 of 3 boxes computed again by formula")
    assert found.verdict.endswith("2 with NaN or infinity, not compared")
    assert set(found["conv1"].deviations) == {"message to the input", "gradient of weight", "gradient of bias"}
    assert [term.value for term in found.explain("conv1", out=(0, 0, 0)).terms] == [INF, 0, 0, 1e308, 0]
    assert "its input holds NaN or infinity" in found.explain("relu1", out=(0, 0, 0)).note
    assert "∞" in str(found)
    boxes = json.loads(json.dumps(found.to_json(), allow_nan=False))["boxes"]
    assert [box["untold"].partition(" NaN")[0] for box in boxes] == ["", "its input holds", "its input holds"]
    norm = from_spec("batchnorm", [[[1e308, -1e308]]], train=True)
    assert "the numbers overflow here" in norm.explain("batchnorm1", out=(0, 0, 0)).note
    json.dumps(norm.to_json(), allow_nan=False)


def test_a_wrong_formula_is_found_out_beside_numbers_that_overflow(monkeypatch):
    monkeypatch.setattr(Grid, "position", lambda self, place, tap: tuple(place[a] + tap[a] for a in range(2)))
    found = from_spec("conv(1,2x2,stride=2)", np.pad(np.full((2, 2), 1e308), ((0, 2), (0, 2))), parameters={"conv1.weight": [[10, 0], [0, 1]]})
    assert found["conv1"].agrees is False
    assert "()" not in found.verdict


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("cat", "target: got 'cat', expected class numbers"),
        (1j, "target: got complex numbers"),
        ([None], "target: holds None"),
        ([NAN] * 36, "target: holds NaN"),
        ([[1], [1, 2]], "target: got rows of unequal length"),
    ],
)
def test_a_target_that_is_none(target, told):
    with pytest.raises(ArgumentError, match=told):
        trace(net(), X, target)


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (nn.CrossEntropyLoss(), "loss: CrossEntropyLoss does not run on the network's output, shape 1x36: .*missing .* 'target'"),
        (lambda y: 1 / 0, "loss: <lambda> does not run on the network's output, shape 1x36: division by zero"),
        (lambda y: y @ torch.ones(5, 5), "loss: <lambda> does not run"),
        (3, "loss: got int, expected cross_entropy"),
    ],
)
def test_a_mistake_in_the_loss_names_the_loss(loss, told):
    with pytest.raises(ArgumentError, match=told) as caught:
        trace(net().train(), X, loss=loss)
    assert "x:" not in str(caught.value)
    assert "training mode" not in str(caught.value)


def test_a_loss_that_insists_on_float32_is_run_in_it_and_said():
    weight = torch.linspace(-1, 1, 36)[:, None]
    model = net()
    found = trace(model, X, loss=lambda y: y @ weight)
    assert found.precision == "float32"
    assert any(note.startswith("the loss does not run in float64") for note in found.notes)
    assert found.loss == pytest.approx((model(X) @ weight).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("given", "parameters", "told"),
    [
        ([[1, 2], [3]], None, "input: got rows of unequal length"),
        ("abc", None, "input: got text"),
        ([[1j, 2]], None, "input: got complex numbers"),
        ([], None, "input: holds no numbers"),
        ([[1, 2], [3, 4]], "x", "parameters: got str, expected arrays by name"),
        ([[1, 2], [3, 4]], {"conv1.weight": "x"}, r"conv1\.weight: got text"),
        ([[1, 2], [3, 4]], {"conv1": {"weigth": [1, 2]}}, r"Did you mean conv1\.weight"),
    ],
)
def test_what_a_spec_is_given(given, parameters, told):
    with pytest.raises(ArgumentError, match=told):
        from_spec("conv(1, 2x1)", given, parameters=parameters)


def test_parameters_may_be_nested_as_in_a_file():
    found = from_spec("conv(1, 2x1)", [[1, 2], [3, 4]], parameters={"conv1": {"weight": torch.tensor([[1.0], [2.0]], requires_grad=True), "bias": 5}})
    assert found["conv1"].output.tolist() == [[[[1 + 6 + 5, 2 + 8 + 5]]]]


@pytest.mark.parametrize("seed", [-1, 0.5, "x", True])
def test_a_seed_that_is_none(seed):
    with pytest.raises(ArgumentError, match=r"seed: got .*, expected a whole number, 0 or more"):
        from_spec("relu", [1.0], seed=seed)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ({"out": 3}, "out: got 3, expected a place such as"),
        ({"out": "abc"}, "out: got 'abc', expected a place such as"),
        ({"out": (0.5, 0, 0)}, "out: got 0.5, expected a whole number"),
        ({"input": 3}, "input: got 3, expected a place such as"),
        ({"gradient": "weight"}, "gradient: got 'weight', expected a parameter and a place in it"),
        ({"gradient": ("weight", 3)}, "gradient: got 3, expected a place such as"),
        ({"out": (0, 0, 0), "sample": 0.5}, "sample: got 0.5"),
        ({"input": (0, 0, 0), "branch": "a"}, "branch: got 'a'"),
    ],
)
def test_a_place_that_is_none(place, told):
    found = trace(net(), X)
    with pytest.raises(ArgumentError, match=told):
        found.explain("0", **place)
    assert found.explain("0", out=np.array([0, 1, 2])).value == found["0"].output[0, 0, 1, 2]
