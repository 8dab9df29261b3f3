"""A model handed in comes out as it was: after success and after errors injected at every place one can happen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from striate import probe
from striate.core.errors import ArgumentError
from striate.probe.state import Snapshot


class InjectedError(Exception):
    pass


class Trap(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        raise InjectedError


class Net(nn.Module):
    """In train mode, with batch norm and dropout, a frozen parameter, a gradient, a hook of the user's, and a place to fail."""

    def __init__(self, fail: str) -> None:
        super().__init__()
        self.conv, self.bn, self.drop, self.relu = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.ReLU(inplace=True)
        self.fc, self.fail = nn.Linear(12, 2), fail
        self.conv.weight.requires_grad_(False)
        self.fc.weight.grad = torch.ones(2, 12)
        self.bn.eval()
        self.seen = 0
        self.relu.register_forward_hook(self.count)

    def count(self, *_):
        if self.fail == "hook":
            raise InjectedError

    def forward(self, x):
        np.random.rand()  # noqa: NPY002
        x = self.drop(self.relu(self.bn(self.conv(x))))
        if self.fail == "forward":
            raise InjectedError
        if self.fail == "backward":
            x = Trap.apply(x)
        return self.fc(x.flatten(1))


def bad_loss(_):
    raise InjectedError


X = torch.linspace(-1, 1, 64).reshape(2, 2, 4, 4)


def guided(model):
    with probe.guided(model):
        loss = bad_loss(0) if model.fail == "loss" else model(X).sum()
        loss.backward()


def tapped(model):
    with probe.tapped(model, ["bn"]) as taps:
        model(X)
        (bad_loss(0) if model.fail == "loss" else taps["bn"].sum() + model(X).sum()).backward()


CALLS = {
    "record": lambda model: probe.record(model, X),
    "record with loss": lambda model: probe.record(model, X, loss=bad_loss if model.fail == "loss" else torch.sum),
    "activations": lambda model: probe.activations(model, X, at=["bn", "fc"]),
    "gradients": lambda model: probe.gradients(model, X, at=["bn"], of=bad_loss if model.fail == "loss" else lambda o: o[:, 0]),
    "codes": lambda model: probe.codes(model, [X, X], at=["fc"]),
    "switches": lambda model: probe.switches(model, X),
    "guided": guided,
    "tapped": tapped,
}
REACHED = {
    "hook": set(CALLS),
    "forward": set(CALLS),
    "backward": {"record with loss", "gradients", "guided", "tapped"},
    "loss": {"record with loss", "gradients", "guided", "tapped"},
    "nowhere": set(),
}


@pytest.mark.parametrize("fail", REACHED)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("training", [True, False])
def test_nothing_is_left(call, fail, training):
    torch.manual_seed(0)
    model = Net(fail)
    model.bn.train(training)
    before, x = Snapshot.of(model), X.clone()
    if call in REACHED[fail]:
        with pytest.raises(InjectedError):
            CALLS[call](model)
    else:
        CALLS[call](model)
    assert before.differences(model) == ()
    assert torch.equal(x, X)
    assert X.grad is None
    assert not X.requires_grad


def test_buffers_replaced_and_parameters_added_inside_are_put_back():
    model = nn.Sequential(nn.BatchNorm1d(2))
    before = Snapshot.of(model)
    with pytest.raises(InjectedError), probe.traceless(model):  # noqa: PT012
        model[0].running_mean = torch.ones(2)
        model[0].weight = nn.Parameter(torch.zeros(2))
        model[0].register_parameter("extra", nn.Parameter(torch.zeros(1)))
        model.append(nn.ReLU())
        model[0].running_var.mul_(3)
        model[0].register_full_backward_hook(lambda *_: None)
        model.requires_grad_(False)
        raise InjectedError
    assert before.differences(model) == ()


def test_a_model_that_catches_its_own_error_is_still_seen_right():
    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.bad, self.good = nn.Linear(7, 2), nn.Linear(3, 2)

        def forward(self, x):
            try:
                return self.bad(x)
            except RuntimeError:
                return torch.relu(self.good(x))

    recording = probe.record(Careful(), torch.randn(2, 3))
    assert [call.address for call in recording] == ["bad", "good", "/relu#1"]
    assert recording["bad"].output is None


def test_what_is_no_model_is_refused():
    with pytest.raises(ArgumentError, match=r"got int, expected an nn\.Module"):
        probe.record(3, X)


def test_inside_inference_mode_gradients_still_come():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    with torch.inference_mode():
        found = probe.gradients(model, torch.ones(1, 3), at="0", of=torch.sum)
    assert torch.equal(found.gradients["0"], (found.activations["0"] > 0).float())


def test_a_compiled_model_is_watched_uncompiled_and_that_is_said():
    plain = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    ran = []

    def backend(graph, _):
        ran.append(graph)
        return graph.forward

    compiled, x = torch.compile(plain, backend=backend), torch.randn(2, 3)
    recording = probe.record(compiled, x, loss=torch.sum)
    assert [call.address for call in recording] == ["0", "1", "2"]
    assert recording.notes == ("the model is compiled: its original module was watched, uncompiled",)
    with probe.guided(compiled) as active:
        given = x.clone().requires_grad_()
        (got,) = torch.autograd.grad(compiled(given).sum(), given)
    assert "compiled" in active.notes[0]
    back = (torch.ones(2, 2) @ plain[2].weight).clamp(min=0) * (plain[0](x) > 0)
    torch.testing.assert_close(got, back @ plain[0].weight)
    inner = nn.Sequential(torch.compile(plain, backend=backend))
    assert "parts of the model are compiled" in probe.record(inner, x).notes[0]
    assert ran == []
