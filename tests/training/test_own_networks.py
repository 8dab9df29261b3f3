"""Networks from outside the zoo: odd strides, infinite masks, buffers bound anew, frozen trunks; the bits stay and the errors are clear."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from striate.core.contracts import Recipe
from striate.core.errors import ArgumentError, DivergenceError, Interrupted
from striate.core.runtime import settings
from striate.core.tensors import load_tensors
from striate.data import arrays
from striate.training import Run, evaluate, resume, train
from striate.training.averaging import Average
from striate.training.checkpoint import broken, unfinite
from striate.training.forward import placed
from striate.training.optimisers import Optimiser
from striate.training.session import Quiet

FAST = {"epochs": 2, "batch": 8, "precision": "fp32", "device": "cpu"}


class Stop(Quiet):
    """Presses Ctrl-C at a step."""

    def __init__(self, at):
        self.at = at

    def stepped(self, step, *, samples, loss):
        if step == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (32, 1, 8, 8)).astype(np.uint8)
    return arrays(x, np.arange(32) % 3, test=(x[:9], np.arange(9) % 3))


class Net(nn.Module):
    """A convolution, a mean, a linear head."""

    def __init__(self, classes=3):
        torch.manual_seed(0)
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 8, 3), nn.Linear(8, classes)

    def codes(self, x):
        return F.relu(self.conv(x)).mean((2, 3))

    def forward(self, x):
        return self.fc(self.codes(x))


class Transposed(Net):
    """A head whose weight was ported as `kernel.t()`: its strides are those of the transpose."""

    def __init__(self):
        super().__init__()
        self.fc.weight = nn.Parameter(self.fc.weight.detach().t().contiguous().t())


class Masked(Net):
    """A network with a mask of minus infinity, as causal attention has."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.triu(torch.full((8, 8), float("-inf")), 1))

    def forward(self, x):
        return self.fc(self.codes(x) @ self.mask.softmax(1).t())


class Centred(Net):
    """A network that binds its buffer anew at every step."""

    def __init__(self):
        super().__init__()
        self.register_buffer("centre", torch.zeros(8))

    def forward(self, x):
        codes = self.codes(x)
        if self.training:
            self.centre = 0.9 * self.centre + 0.1 * codes.detach().float().mean(0)
        return self.fc(codes - self.centre)


class Growing(Net):
    """A network that lengthens its buffer at every step."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(0))

    def forward(self, x):
        if self.training:
            self.seen = torch.cat([self.seen, torch.ones(1)])
        return super().forward(x)


class Expanded(Net):
    """A network whose buffer shows one number in many places."""

    def __init__(self):
        super().__init__()
        self.register_buffer("ones", torch.ones(1).expand(8))

    def forward(self, x):
        return self.fc(self.codes(x) * self.ones)


class Locked(Net):
    """A network that Python cannot copy."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


def weights(run):
    return load_tensors(run.folder / "weights.safetensors")[0]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def stopped_and_resumed(kind, data, folder, step=5, **more):
    with pytest.raises(Interrupted, match="everything is saved"):
        train(kind(), data, folder=folder, progress=Stop(step), **FAST, **more)
    return resume(folder, model=kind(), data=data)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_transposed_weight_resumes_to_the_bit(data, tmp_path, optimiser):
    more = {"settings": {"optimiser": optimiser}}
    whole = train(Transposed(), data, folder=tmp_path / "whole", **FAST, **more)
    assert same(weights(whole), weights(stopped_and_resumed(Transposed, data, tmp_path / "stopped", **more)))


def test_moments_come_back_in_their_parameters_strides():
    net = Transposed()
    optimiser = Optimiser(net, Recipe(optimiser="adam"))
    net(torch.rand(2, 1, 8, 8)).sum().backward()
    optimiser.step()
    tensors, numbers = optimiser.state()
    other = Optimiser(net, Recipe(optimiser="adam"))
    other.load({name: value.contiguous() for name, value in tensors.items()}, numbers)
    moments = other.parts[0].state[net.fc.weight]["exp_avg"]
    assert moments.stride() == net.fc.weight.stride()
    assert torch.equal(moments, optimiser.parts[0].state[net.fc.weight]["exp_avg"])


def test_muon_turns_filters_of_one_channel_and_of_one_pixel():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(64, 3))
    net = net.to(memory_format=torch.channels_last)  # as training lays it
    optimiser = Optimiser(net, Recipe(optimiser="muon", lr=0.1))
    before = [net[place].weight.detach().clone() for place in range(3)]
    net(torch.rand(2, 1, 8, 8)).square().sum().backward()
    optimiser.step()
    for place, found in enumerate(before):
        flat = net[place].weight.detach().flatten(1)
        assert not torch.equal(flat, found.flatten(1))
        assert float(flat.norm()) == pytest.approx(2.0, rel=0.3)  # the norm √K, beside one step of 0.1


@pytest.mark.parametrize("average", ["none", "ema"])
def test_an_infinite_mask_is_the_users_and_is_saved(data, tmp_path, average):
    more = {"settings": {"average": average}}
    whole = train(Masked(), data, folder=tmp_path / "whole", **FAST, **more)
    assert torch.equal(weights(whole)["mask"], Masked().mask)
    assert same(weights(whole), weights(stopped_and_resumed(Masked, data, tmp_path / "stopped", **more)))


def test_what_training_may_not_make_infinite():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    net.register_buffer("mask", torch.zeros(3))
    net.register_buffer("bound", torch.tensor(float("inf")))
    given = unfinite(net)
    assert given == {"bound"}
    net.mask[0] = float("-inf")
    assert broken(net, given) is None, "a mask may be filled at the first step"
    net.mask[0] = float("nan")
    assert broken(net, given) == "mask"
    net.mask[0] = 0
    net[1].running_var[0] = float("inf")
    assert broken(net, given) == "1.running_var"
    assert broken(nn.Linear(1, 1)) is None


def test_a_stop_that_cannot_save_says_so(data, tmp_path):
    class Spoilt(Stop):
        def __init__(self, net):
            super().__init__(3)
            self.net = net

        def stepped(self, step, *, samples, loss):
            if step == 3:
                self.net.fc.weight.data[0, 0] = float("nan")
            super().stepped(step, samples=samples, loss=loss)

    net = Net()
    with pytest.raises(DivergenceError, match=r"a weight is no number after step 3 .*fc\.weight"):
        train(net, data, folder=tmp_path / "run", progress=Spoilt(net), **FAST)


def test_a_group_norm_behind_frozen_layers_is_not_laid_channels_last(data, tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    net[0].requires_grad_(requires_grad=False)
    assert not placed(net, settings("cpu", "fp32"), (1, 8, 8))[1].channels_last, "torch dies in the backward pass"
    before = net[1].weight.detach().clone()
    train(net, data, folder=tmp_path / "run", **FAST)
    assert not torch.equal(net[1].weight, before)


def test_an_average_follows_a_buffer_that_is_bound_anew():
    net = Centred()
    average = Average(net, "tail", 0.0, 3)
    for step, value in enumerate((1.0, 2.0, 6.0), start=1):
        net.centre = torch.full((8,), value)
        average.saw(step)
    assert torch.equal(average.state_dict(net)["centre"], torch.full((8,), 3.0))
    jumping = Average(net, "lookahead", 0.5, 5)
    net.centre = torch.full((8,), 1.0)
    jumping.saw(5)
    assert torch.allclose(net.centre, torch.full((8,), 6.0 + (1 - 0.5**5) * (1.0 - 6.0)))


def test_a_buffer_that_grows_has_no_average(data, tmp_path):
    with pytest.raises(ArgumentError, match=r"its buffer seen was \(0,\) and is \(1,\) now"):
        train(Growing(), data, folder=tmp_path / "run", settings={"average": "ema"}, **FAST)


@pytest.mark.parametrize("average", ["none", "ema"])
def test_an_expanded_buffer_is_trained_and_resumed(data, tmp_path, average):
    run = stopped_and_resumed(Expanded, data, tmp_path / "run", settings={"average": average})
    assert torch.equal(weights(run)["ones"], torch.ones(8))
    assert evaluate(Run.load(run.folder, model=Expanded()), data, device="cpu", precision="fp32").figures == run.result["splits"]["test"]


def test_a_network_that_cannot_be_copied_is_averaged_and_judged_all_the_same(data, tmp_path):
    more = FAST | {"epochs": 3, "settings": {"average": "ema", "validation": 0.3}}
    locked, plain = Locked(), Net()
    run, other = (train(net, data, folder=tmp_path / type(net).__name__, **more) for net in (locked, plain))
    assert same(weights(run), weights(other))
    assert [row["val/loss"] for row in run.history] == [row["val/loss"] for row in other.history]
    assert run.model is locked, "it holds the final weights itself"
    assert evaluate(run, data, device="cpu", precision="fp32").figures == run.result["splits"]["test"]
    with pytest.raises(ArgumentError, match=r"Locked cannot be copied .*best\.safetensors"):
        run.best  # noqa: B018


def test_worn_averages_are_taken_off_to_the_bit():
    net = Net()
    average = Average(net, "ema", 0.9, 3)
    first = {name: value.clone() for name, value in net.state_dict().items()}
    with torch.no_grad():
        net.fc.weight.mul_(3.0)
    now = net.fc.weight.detach().clone()
    with average.worn(net) as worn:
        assert worn is net
        assert same(first, net.state_dict())
    assert torch.equal(net.fc.weight, now)
