"""Rules at ReLU and pooling: the conformance suite, one ReLU in closed form, counts, and errors instead of a silent plain gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from striate import probe
from striate.core.errors import ArgumentError, UnknownNameError
from striate.probe import conformance
from striate.probe.state import Snapshot

CONTEXTS = {"gradient": probe.rules, "guided": probe.guided, "deconvnet": probe.deconvnet}
NAMES = [case.name for case in conformance.CASES]


def explain(rule):
    def run(model, x, target):
        with CONTEXTS[rule](model) as active:
            return probe.gradients(active.model, x, at="input", of=lambda output: output[:, target]).gradients["input"]

    return run


@pytest.mark.parametrize("rule", CONTEXTS)
def test_conformance(rule):
    outcomes = conformance.check(explain(rule), rule, tolerance=1e-12)
    assert [outcome.case for outcome in outcomes] == NAMES
    assert [outcome for outcome in outcomes if not outcome.right] == []


def test_the_suite_tells_the_rules_apart_and_catches_a_plain_gradient():
    """Every case has another answer under every rule (they could not fail otherwise); the plain gradient passes for nothing else."""
    for case in conformance.CASES:
        if not case.raises:
            plain, guided, deconv = (case.answer(rule) for rule in ("gradient", "guided", "deconvnet"))
            scale = np.abs(plain).max()
            for one, other in ((plain, guided), (plain, deconv), (guided, deconv)):
                assert np.abs(one - other).max() > 1e-2 * scale, case.name
    outcomes = conformance.check(explain("gradient"), "guided")
    assert all(outcome.plain and not outcome.right for outcome in outcomes if not outcome.case.startswith("raises"))


def test_the_suite_catches_a_model_left_changed():
    def careless(model, x, target):
        model.fc.register_forward_hook(lambda *_: None)
        model.train()
        model(x.requires_grad_())[:, target].sum().backward()
        torch.rand(1)
        return x.grad

    (outcome,) = conformance.check(careless, "gradient", cases=["modules"])
    assert outcome.error < 1e-12
    assert not outcome.right
    assert {"hooks of fc", "mode of fc", ".grad of fc.weight", "random state of torch"} <= set(outcome.left)
    with pytest.raises(UnknownNameError, match="residual"):
        conformance.check(careless, "gradient", cases=["residul"])


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_one_relu_in_closed_form(seed):
    draw = torch.Generator().manual_seed(seed)
    x, g = (torch.randn(5, 3, generator=draw) for _ in range(2))
    with probe.guided(nn.ReLU(inplace=True)) as guided:
        got = probe.gradients(guided.model, x, at="input", of=lambda output: output * g).gradients["input"]
    assert torch.equal(got, torch.where(x > 0, g.clamp(min=0), 0))
    with probe.deconvnet(nn.ReLU6()) as deconv:
        got = probe.gradients(deconv.model, x, at="input", of=lambda output: output * g).gradients["input"]
    assert torch.equal(got, g.clamp(0, 6))
    assert guided.relus == deconv.relus == 1


def test_prelu_and_counts():
    model = nn.Sequential(nn.Linear(3, 4), nn.PReLU(init=0.2), nn.ELU(), nn.Linear(4, 2), nn.ReLU()).double()
    x = torch.randn(6, 3, dtype=torch.float64)
    with probe.deconvnet(model) as deconv:
        got = probe.gradients(model, x, at="0", of=torch.sum).gradients["0"]
    ones = torch.ones(6, 2, dtype=torch.float64)
    back = ones @ model[3].weight
    out = model[1](model[0](x))
    back = back * torch.where(out > 0, 1.0, out.exp())
    torch.testing.assert_close(got, torch.where(back > 0, back, 0.2 * back))
    assert deconv.relus == 2
    assert dict(deconv.untouched) == {"elu": 1}
    assert "elu" in deconv.notes[0]


def test_no_relu_raises_instead_of_the_plain_gradient():
    model, x = nn.Sequential(nn.Linear(3, 3), nn.GELU()), torch.randn(2, 3)
    with pytest.raises(ArgumentError, match="no ReLU inside the block; it passed gelu"), probe.guided(model):
        probe.gradients(model, x, at="input", of=torch.sum)
    with pytest.raises(ArgumentError, match="Run forward and backward inside"), probe.deconvnet(nn.ReLU()):
        pass
    with pytest.raises(UnknownNameError, match="guided"), probe.rules(model, relu="guide"):
        pass


def test_an_error_inside_stays_the_users_error_and_leaves_the_model():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True))
    before = Snapshot.of(model)
    with pytest.raises(KeyError, match="mine"), probe.guided(model):  # noqa: PT012
        model.eval()
        raise KeyError("mine")
    assert before.differences(model) == ()
    x = torch.randn(2, 3, requires_grad=True)
    model(x).sum().backward()  # and the rule is off again
    torch.testing.assert_close(x.grad, (model(x) > 0).float() @ model[0].weight)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "ceil"), [(2, 2, 0, False), (3, 2, 0, False), (3, 2, 1, True), (3, 1, 1, False), (2, 3, 0, True)]
)
def test_switches_are_the_argmax_and_placing_is_max_unpooling(kernel, stride, padding, ceil):
    draw = torch.Generator().manual_seed(kernel * 10 + stride)
    x = torch.randint(-3, 3, (2, 3, 8, 7), generator=draw).double()  # ties on purpose
    model = nn.Sequential(nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil))
    (found,) = probe.switches(model, x)
    values = model(x)
    assert (found.address, found.turn, found.shape) == ("0", 0, (2, 3, 8, 7))
    torch.testing.assert_close(x.flatten(2).gather(2, found.index.flatten(2)), values.flatten(2), rtol=0, atol=0)
    g = torch.randn(values.shape, generator=draw, dtype=torch.float64)
    wanted = torch.zeros_like(x)
    for cell in np.ndindex(*values.shape):
        n, c, i, j = cell
        best = None  # the first largest cell of the window, row by row
        for u in range(max(i * stride - padding, 0), min(i * stride - padding + kernel, 8)):
            for v in range(max(j * stride - padding, 0), min(j * stride - padding + kernel, 7)):
                best = (u, v) if best is None or x[n, c, u, v] > x[n, c, best[0], best[1]] else best
        assert found.index[cell] == best[0] * 7 + best[1]
        wanted[n, c, best[0], best[1]] = g[cell]
    with probe.rules(model, pool="switches") as active:
        got = probe.gradients(model, x, at="input", of=lambda output: output * g).gradients["input"]
    assert torch.equal(got, wanted)
    assert active.pools == 1
    with probe.rules(model):
        gradient = probe.gradients(model, x, at="input", of=lambda output: output * g).gradients["input"]
    assert torch.equal(got, gradient) == (stride >= kernel)


def test_switches_of_functions_and_global_pools():
    class Net(nn.Module):
        def forward(self, x):
            return F.adaptive_max_pool2d(F.max_pool2d(x, 2), 1)

    x = torch.arange(32.0).reshape(1, 2, 4, 4)
    pools = probe.switches(Net(), x)
    assert [(pool.address, pool.shape) for pool in pools] == [("/max_pool2d#1", (1, 2, 4, 4)), ("/adaptive_max_pool2d#1", (1, 2, 2, 2))]
    assert pools[0].index.flatten().tolist() == [5, 7, 13, 15] * 2
    assert pools[1].index.flatten().tolist() == [3, 3]
