"""Layer groups: rates fall geometrically from the head, frozen layers and their batch-norm statistics stay to the bit, schedules let layers join."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from striate import zoo
from striate.core.contracts import Recipe
from striate.core.errors import ArgumentError, Interrupted, UnknownNameError
from striate.core.tensors import load_tensors
from striate.data import arrays
from striate.training import resume, train
from striate.training.groups import Freezing, keep_statistics, layer_groups, rates, up_to
from striate.training.optimisers import Optimiser
from striate.training.session import Quiet


@pytest.fixture
def net():
    torch.manual_seed(0)
    return zoo.build("resnet20", classes=3, input=(3, 8, 8))


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    x = generator.integers(0, 255, (48, 3, 8, 8)).astype(np.uint8)
    return arrays(x, np.arange(48) % 3)


FIELDS = {"epochs": 2, "batch": 16, "lr": 0.01, "optimiser": "sgd", "weight_decay": 0.01, "schedule": "constant", "average": "ema"}


def test_groups_are_the_cards_and_hold_every_parameter_once(net):
    groups = layer_groups(net)
    assert [group.modules for group in groups] == [("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("fc",)]
    assert sorted(name for group in groups for name in group.parameters) == sorted(name for name, _ in net.named_parameters())


def test_groups_of_a_network_without_a_card_are_its_blocks():
    body = [nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)) for _ in range(6)]
    net = nn.Sequential(nn.Conv2d(3, 4, 3), *body, nn.Linear(4, 2))
    groups = layer_groups(net)
    assert len(groups) == 5
    assert groups[-1].parameters == ("7.weight", "7.bias")
    assert [name for group in groups for name in group.parameters] == [name for name, _ in net.named_parameters()]


def test_parameters_outside_of_layers_go_with_the_first_group():
    class Token(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc, self.cls = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), nn.Parameter(torch.zeros(1, 4))

        def forward(self, x):
            return self.fc(self.conv(x).mean((2, 3)) + self.cls)

    groups = layer_groups(Token())
    assert groups[0].parameters == ("cls", "conv.weight", "conv.bias")
    assert rates(Token(), Recipe(layer_decay=0.5)) == {"cls": 0.5, "conv.weight": 0.5, "conv.bias": 0.5, "fc.weight": 1.0, "fc.bias": 1.0}
    Optimiser(Token(), Recipe(layer_decay=0.5))


def test_rates_fall_geometrically_and_decide_the_step(net):
    recipe = Recipe(optimiser="sgd", lr=0.1, momentum=0.0, layer_decay=0.5)
    assert {name: rate for name, rate in rates(net, recipe).items() if name in ("conv1.weight", "layer1.0.conv1.weight", "fc.weight")} == {
        "conv1.weight": 0.5**4,
        "layer1.0.conv1.weight": 0.5**3,
        "fc.weight": 1.0,
    }
    before = {name: value.detach().clone() for name, value in net.named_parameters()}
    optimiser = Optimiser(net, recipe)
    assert optimiser.rate == 0.1  # the head's
    optimiser.set_rate(0.5)
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    for name, value in net.named_parameters():
        moved = (before[name] - value).detach()
        torch.testing.assert_close(moved, torch.full_like(moved, 0.1 * 0.5 * rates(net, recipe)[name]), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", ["adamw", "muon", "rmsprop"])
def test_every_optimiser_takes_rates_by_group(net, name):
    plain, graded = (Optimiser(net, Recipe(optimiser=name, lr=0.01, layer_decay=decay)) for decay in (1.0, 0.5))
    count = sum(len(group["params"]) for part in graded.parts for group in part.param_groups)
    assert count == sum(len(group["params"]) for part in plain.parts for group in part.param_groups) == len(list(net.parameters()))
    assert min(min(rates) for rates in graded.full) < min(min(rates) for rates in plain.full)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    net(torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    graded.step()
    for key, value in net.named_parameters():
        assert value.shape == before[key].shape
        assert not torch.equal(value, before[key]), key


def test_muon_moves_each_layer_by_its_own_rate_and_survives_a_stop(net):
    recipe = Recipe(optimiser="muon", lr=0.1, layer_decay=0.5)
    filters = [name for name, value in net.named_parameters() if value.dim() == 4]
    first = Optimiser(net, recipe)

    def step(optimiser, seed):
        net(torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(seed))).square().sum().backward()
        optimiser.step()

    step(first, 0)  # brings each bank to its norm
    before = {name: value.clone() for name, value in net.state_dict().items()}
    tensors, numbers = first.state()
    tensors = {name: value.clone() for name, value in tensors.items()}
    step(first, 1)
    moved = {name: float((net.get_parameter(name).detach() - before[name]).norm() / before[name].norm()) for name in filters}
    assert moved["layer3.2.conv2.weight"] > 1.5 * moved["layer1.0.conv1.weight"] > 0
    ended = {name: net.get_parameter(name).detach().clone() for name in filters}
    net.load_state_dict(before)
    again = Optimiser(net, recipe)
    again.load(tensors, numbers)
    step(again, 1)
    for name in filters:
        torch.testing.assert_close(net.get_parameter(name), ended[name])


def test_frozen_layers_and_their_statistics_stay_to_the_bit(net, data, tmp_path):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    run = train(net, data, recipe=Recipe(**FIELDS, freeze="layer2"), folder=tmp_path / "run")
    after = load_tensors(run.folder / "weights.safetensors")[0]
    frozen = [name for name in before if name.startswith(("conv1", "bn1", "layer1", "layer2"))]
    assert any("running_mean" in name for name in frozen)
    assert all(torch.equal(after[name], before[name]) for name in frozen)
    moved = [name for name in before if name.startswith(("layer3", "fc")) and "num_batches" not in name]
    assert all(not torch.equal(after[name], before[name]) for name in moved)
    assert all(parameter.requires_grad for parameter in net.parameters())  # as it came


def test_layers_frozen_by_hand_keep_their_statistics_too(net, data, tmp_path):
    for name in up_to(net, "layer1"):
        net.get_parameter(name).requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    train(net, data, recipe=Recipe(**FIELDS), folder=tmp_path / "run")
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items() if name.startswith(("conv1", "bn1", "layer1")))
    assert not torch.equal(net.layer2[0].bn1.running_mean, before["layer2.0.bn1.running_mean"])
    assert not net.conv1.weight.requires_grad


def test_a_frozen_batch_norm_normalises_by_its_statistics(net):
    x = torch.randn(8, 3, 8, 8)
    with torch.no_grad():
        for _ in range(10):
            net(x * 2 + 1)
        wanted = net.eval().bn1(net.conv1(x))
        net.train()
        for name in up_to(net, "bn1"):
            net.get_parameter(name).requires_grad_(False)
        assert keep_statistics(net) == 1
        torch.testing.assert_close(net.bn1(net.conv1(x)), wanted)
        for parameter in net.layer1[0].bn1.parameters():
            parameter.requires_grad_(False)
        assert keep_statistics(net) == 2


def test_the_head_learns_first_then_the_others_join_from_the_deep_end(net):
    freezing = Freezing(net, Recipe(head_first=0.2, thaw=0.4))
    assert [freezing.count(share) for share in (0.0, 0.19, 0.2, 0.33, 0.34, 0.47, 0.6, 1.0)] == [1, 1, 2, 2, 3, 4, 5, 5]
    freezing.at(0.0)
    assert [name for name, p in net.named_parameters() if p.requires_grad] == ["fc.weight", "fc.bias"]
    freezing.at(0.2)
    assert all(p.requires_grad == name.startswith(("layer3", "fc")) for name, p in net.named_parameters())
    assert not net.layer2[0].bn1.training
    freezing.release()
    assert all(p.requires_grad for p in net.parameters())
    assert Freezing(net, Recipe(head_first=0.5)).count(0.5) == 5


class Stop(Quiet):
    """Interrupts at a step."""

    def __init__(self, at):
        self.at = at

    def stepped(self, step, *, samples, loss):
        if step == self.at:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_stopped_while_layers_join_resumes_to_the_same_bits(data, tmp_path):
    recipe = Recipe(**FIELDS | {"epochs": 4}, head_first=0.25, thaw=0.5, layer_decay=0.5)

    def fresh():
        torch.manual_seed(5)
        return zoo.build("resnet20", classes=3, input=(3, 8, 8))

    whole = train(fresh(), data, recipe=recipe, folder=tmp_path / "whole", precision="fp32")
    with pytest.raises(Interrupted):
        train(fresh(), data, recipe=recipe, folder=tmp_path / "parts", precision="fp32", progress=Stop(5))
    parts = resume(tmp_path / "parts", data=data, model=fresh())
    first, second = (load_tensors(run.folder / "weights.safetensors")[0] for run in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_resume_keeps_the_preprocessing_that_was_given(data, tmp_path):
    from striate.pixels import Preprocess

    own = data.with_preprocess(Preprocess(size=(8, 8), mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5)))
    recipe = Recipe(**FIELDS | {"epochs": 3})
    torch.manual_seed(1)
    whole = train("resnet20", own, recipe=recipe, folder=tmp_path / "whole", precision="fp32")
    with pytest.raises(Interrupted):
        train("resnet20", own, recipe=recipe, folder=tmp_path / "parts", precision="fp32", progress=Stop(4))
    parts = resume(tmp_path / "parts", data=data)  # opened again as from its file: without the preprocessing
    first, second = (load_tensors(run.folder / "weights.safetensors")[0] for run in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_bad_words(net, data, tmp_path):
    with pytest.raises(UnknownNameError, match=r"unknown layer 'layr2'. Did you mean layer2"):
        train(net, data, recipe=Recipe(**FIELDS, freeze="layr2"), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    for field, value, allowed in (("layer_decay", 0.0, "above 0"), ("head_first", 1.0, "up to 1"), ("thaw", -0.1, "1 at most")):
        with pytest.raises(ArgumentError, match=f"recipe {field}: got .* expected .*{allowed}"):
            Recipe(**{field: value})
    with pytest.raises(ArgumentError, match="nothing to train"):
        Optimiser(net.requires_grad_(False), Recipe())
