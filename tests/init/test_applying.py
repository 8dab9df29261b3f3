"""`apply`: distributions in closed form and against torch's, orthonormality, gains by what follows, LSUV, notes and refusals."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from striate import init
from striate.core.errors import ArgumentError, UnknownNameError
from striate.init.layers_of import geometry
from striate.layers import LocallyConnected2d
from striate.probe import record
from striate.probe.state import Snapshot


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=15, deadline=None)
def test_fans_equal_torchs_and_count_what_they_say(into, out, kernel, groups):
    _, fans = geometry(nn.Conv2d(into, out, kernel))
    assert (fans.inward, fans.outward) == torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(out, into, kernel, kernel))
    # counted: ones through a convolution of ones, far from the edges, give the fan in; the gradient of the sum gives the fan out
    conv = nn.Conv2d(into * groups, out * groups, kernel, groups=groups, bias=False)
    conv.weight.data.fill_(1)
    x = torch.ones(1, into * groups, 3 * kernel, 3 * kernel, requires_grad=True)
    y = conv(x)
    y.sum().backward()
    _, fans = geometry(conv)
    assert y[0, 0, kernel, kernel].item() == fans.inward
    assert x.grad[0, 0, kernel, kernel].item() == fans.outward


def test_fans_of_a_transposed_convolution_count_what_arrives():
    conv = nn.ConvTranspose2d(6, 4, 4, stride=2, groups=2, bias=False)
    conv.weight.data.fill_(1)
    x = torch.ones(1, 6, 7, 7, requires_grad=True)
    y = conv(x)
    y.sum().backward()
    _, fans = geometry(conv)
    assert y[0, 0, 8, 8].item() == fans.inward
    assert x.grad[0, 0, 3, 3].item() == fans.outward


@pytest.mark.parametrize(
    ("method", "options", "nonlinearity", "variance"),
    [
        ("xavier", {}, "tanh", 2 / (400 + 300)),
        ("xavier", {"fan": "in", "form": "uniform"}, "tanh", 1 / 400),
        ("he", {}, "relu", 2 / 400),
        ("he", {"form": "uniform", "fan": "out"}, "relu", 2 / 300),
        ("he", {}, "tanh", 1 / 400),
        ("gaussian", {"deviation": 0.3}, "relu", 0.09),
    ],
)
def test_variances_and_forms(method, options, nonlinearity, variance):
    layer = nn.Linear(400, 300)
    layer.bias.data.fill_(7)
    applied = init.apply(layer, method, options=options, nonlinearity=nonlinearity, seed=3)
    weight = layer.weight.detach().double()
    assert weight.var().item() == pytest.approx(variance, rel=0.02)  # 120,000 draws: 0.4 % standard error
    assert abs(weight.mean().item()) < 5 * math.sqrt(variance / 120_000)
    # E[w⁴] / E[w²]²: 3 for a normal, 9/5 for a uniform distribution
    kurtosis = (weight**4).mean() / (weight**2).mean() ** 2
    assert kurtosis.item() == pytest.approx(1.8 if options.get("form") == "uniform" else 3, rel=0.03)
    assert weight.abs().max().item() <= (math.sqrt(3 * variance) if options.get("form") == "uniform" else 7 * math.sqrt(variance))
    assert layer.bias.abs().max().item() == 0
    assert applied.layers[0].bias == 0


def test_gains_are_torchs():
    for name in ("linear", "sigmoid", "tanh", "relu", "selu"):
        assert init.gain_of(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert init.gain_of("leaky_relu", slope=0.2) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", 0.2))


@given(st.integers(1, 12), st.integers(1, 6), st.integers(1, 3), st.sampled_from([1, 2, 3]))
@settings(max_examples=15, deadline=None)
def test_orthogonal(out, into, kernel, groups):
    conv = nn.Conv2d(into * groups, out * groups, kernel, groups=groups)
    init.apply(conv, "orthogonal", gain=1.5)
    for block in conv.weight.detach().double().reshape(groups, out, -1):
        small = block @ block.T if out <= block.shape[1] else block.T @ block
        torch.testing.assert_close(small, 2.25 * torch.eye(len(small), dtype=torch.float64), atol=1e-5, rtol=0)


def test_every_place_of_unshared_filters_is_orthonormal():
    layer = LocallyConnected2d(2, 3, (5, 4), 2)
    applied = init.apply(layer, "orthogonal", gain=1)
    assert applied.layers[0].fan_in == 8
    for place in layer.weight.detach().double().reshape(-1, 3, 8):
        torch.testing.assert_close(place @ place.T, torch.eye(3, dtype=torch.float64), atol=1e-5, rtol=0)


def test_what_follows_is_seen_through_sums_pools_and_functions():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.down = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(2, 4, 1)
            self.norm, self.c, self.head = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.Linear(4, 3)

        def forward(self, x):
            y = self.b(torch.tanh(self.a(x)))
            y += self.down(x)
            y = F.max_pool2d(self.norm(y), 2).relu_()
            y = F.leaky_relu(self.c(y), 0.2)
            return self.head(y.mean((2, 3)))

    model = Net()
    applied = init.apply(model, "orthogonal", batch=torch.randn(2, 2, 4, 4))
    assert {start.address: start.nonlinearity for start in applied.layers} == {
        "a": "tanh",
        "b": "relu",
        "down": "relu",
        "c": "leaky_relu",
        "head": "linear",
    }
    gains = {start.address: start.gain for start in applied.layers}
    assert gains["c"] == pytest.approx(math.sqrt(2 / 1.04))
    assert gains["a"] == pytest.approx(5 / 3)
    assert applied.notes == ("left as they were: 1 BatchNorm2d",)
    with pytest.raises(ArgumentError, match="give batch= to see which follows which layer"):
        init.apply(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Tanh()), "he")


def test_without_a_batch_the_only_activation_counts_and_the_output_layer_is_linear():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    assert [start.nonlinearity for start in init.apply(model, "he").layers] == ["relu", "relu", "linear"]
    assert [start.nonlinearity for start in init.apply(model[:4], "he").layers] == ["relu", "relu"]
    assert "`he` makes up for it" in init.apply(model, "xavier").notes[0]


def test_lsuv_on_a_residual_net_with_biases_kept_and_reused_layers():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6, 3)

        def forward(self, x):
            x = F.relu(self.a(x), inplace=True)
            x = F.relu(self.b(x) + x, inplace=True)
            x = F.relu(self.b(x) + x, inplace=True)
            return self.c(x.mean((2, 3)))

    torch.manual_seed(0)
    model, x = Net(), torch.randn(16, 2, 6, 6)
    biases = [model.a.bias.clone(), model.b.bias.clone()]
    applied = init.apply(model, "lsuv", batch=(x, None), bias=None)
    assert torch.equal(model.a.bias, biases[0])
    recording = record(model.eval(), x)
    for call, bias in (
        (recording["a"], model.a.bias[:, None, None]),
        (recording["b[0]"], model.b.bias[:, None, None]),
        (recording["c"], model.c.bias),
    ):
        assert (call.output - bias).std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert all(start.scaled != 1 and start.bias is None for start in applied.layers)
    for start in applied.layers:
        assert model.get_submodule(start.address).weight.std(correction=0).item() == pytest.approx(start.deviation, rel=1e-4)


def test_seeds_and_what_is_left_alone():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4), nn.Linear(4, 4))
    model[4].weight = model[3].weight
    model[1].weight.requires_grad_(False)
    before = Snapshot.of(model)
    applied = init.apply(model, "gaussian", seed=5, bias=None)
    assert applied.notes == ("left as they were: 1 Embedding, 1 LayerNorm, 1 frozen Linear, 1 tied Linear",)
    assert [start.address for start in applied.layers] == ["3"]
    assert before.differences(model) == ("value of 3.weight",)
    first = model[3].weight.clone()
    init.apply(model, "gaussian", seed=5)
    assert torch.equal(first, model[3].weight)
    init.apply(model, "gaussian", seed=6)
    assert not torch.equal(first, model[3].weight)
    assert applied.to_json()["layers"][0]["address"] == "3"
    assert "gaussian: 1 layers" in str(applied)


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (lambda m: init.apply(m, "heh"), UnknownNameError, "Did you mean he"),
        (lambda m: init.apply(m, "gaussian", options={"deviaton": 1}), UnknownNameError, "deviation"),
        (lambda m: init.apply(m, "gaussian", options={"gain": 1}), UnknownNameError, "unknown setting 'gain'"),
        (lambda m: init.apply(m, "lsuv"), ArgumentError, "give batch="),
        (lambda m: init.apply(m, "he", nonlinearity="rellu"), UnknownNameError, "relu"),
        (lambda m: init.apply(m, "he", gain=0), ArgumentError, "more than 0"),
        (lambda _: init.apply(nn.ReLU(), "he"), ArgumentError, "no linear, convolutional"),
        (lambda m: init.apply(m, "lsuv", batch=3), ArgumentError, "got int"),
        (lambda _: init.statistics(nn.Flatten(), torch.ones(2, 2)), ArgumentError, "no layer with weights"),
    ],
)
def test_refusals(call, kind, said):
    with pytest.raises(kind, match=said):
        call(nn.Sequential(nn.Linear(3, 3)))


def test_the_registry_reads_from_source_what_the_functions_are():
    from striate.core.signature import Signature

    names = ("constant", "gaussian", "he", "lsuv", "orthogonal", "xavier", "zeros")
    assert init.initialisations.names() == names
    for entry in init.initialisations:
        assert Signature.of_callable(init.initialisations.get(entry.name)).names == entry.signature.names
        assert isinstance(entry.facts["follows"], bool)
