"""What a model does to itself while it runs is taken back: scripted parts' mode, plain attributes, weights made in inference mode."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate import probe
from striate.core.errors import ArgumentError, UnknownNameError
from striate.probe.state import Snapshot

X = torch.linspace(-1, 1, 96).reshape(2, 3, 4, 4)


class Small(nn.Module):
    """A convolution and a head; counts its calls, remembers the last maps and averages them, once by replacing and once in place."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.c, self.h = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)
        self.calls, self.mean, self.sum = 0, torch.zeros(8), torch.zeros(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.c(x)).clone()
        self.calls += 1
        self.seen = y.detach()
        self.mean = 0.9 * self.mean + 0.1 * y.detach().mean((0, 2, 3))
        self.sum += y.detach().sum((0, 2, 3))
        return self.h(y.mean((2, 3)))


def test_plain_attributes_are_put_back() -> None:
    model = Small()
    mean, total = model.mean, model.sum
    with probe.traceless(model) as inner:
        inner(X)
        assert inner.calls == 1
        assert inner.sum.abs().sum() > 0
    assert model.calls == 0
    assert model.mean is mean
    assert model.sum is total
    assert not total.any()
    assert not hasattr(model, "seen")
    model(X)
    assert model.calls == 1


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("whole", [False, True])
def test_scripted_modules_keep_their_mode(whole: bool) -> None:
    inside = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    model = torch.jit.script(inside) if whole else nn.Sequential(torch.jit.script(inside), nn.Flatten())
    model.train()
    with probe.traceless(model) as inner:
        inner.eval()
        inner(X)
        assert not inner.training
    assert all(module.training for module in model.modules())


def test_weights_made_in_inference_mode_want_gradients_again() -> None:
    with torch.inference_mode():
        model = Small()
    before = Snapshot.of(model)
    with probe.traceless(model) as inner:
        for parameter in inner.parameters():
            parameter.requires_grad_(False)
    assert before.differences(model) == ()
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_what_is_done_for_the_run_is_no_call_of_the_models() -> None:
    model = Small().eval()
    wanted = F.relu(model.c(X)).detach()
    assert torch.equal(probe.activations(model, X, at="/clone#1")["/clone#1"], wanted)
    assert torch.equal(torch.from_numpy(probe.codes(model, [X], at="/clone#1")["/clone#1"]), wanted)
    found = probe.gradients(model, X, at="/clone#1", of=lambda scores: scores[:, 1].sum())
    assert torch.equal(found.activations["/clone#1"], wanted)
    assert torch.allclose(found.gradients["/clone#1"][0], (model.h.weight[1] / 16)[:, None, None].expand(8, 4, 4))


def test_names_with_marks_in_them_are_names() -> None:
    model = nn.Sequential()
    for name, module in (("conv", nn.Conv2d(3, 4, 3)), ("relu[0]", nn.ReLU()), ("a/b#1", nn.Tanh())):
        model.add_module(name, module)
    inside = model[0](X).detach()
    found = probe.activations(model, X, at=["relu[0]", "a/b#1", "relu[0][0]"])
    assert torch.equal(found["relu[0]"], inside.relu())
    assert torch.equal(found["relu[0][0]"], inside.relu())
    assert torch.equal(found["a/b#1"], inside.relu().tanh())
    with pytest.raises(UnknownNameError, match=r"Did you mean relu\[0\]"):
        probe.activations(model, X, at="relu[1")


@pytest.mark.parametrize("at", [3, None, "", [3], [None], torch.zeros(2), nn.ReLU()])
def test_layers_of_a_wrong_kind_are_refused(at: object) -> None:
    model = Small().eval()
    with pytest.raises(ArgumentError, match="expected a layer's name as text"):
        probe.activations(model, X, at=at)
    with pytest.raises(ArgumentError, match="got the module itself, expected its name, 'c'"), probe.tapped(model, model.c):
        pass
