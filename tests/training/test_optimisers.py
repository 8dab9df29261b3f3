"""Each optimiser by name takes the step its formula says; state goes out and back to the bit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.core.contracts import Recipe
from striate.core.errors import ArgumentError, UnknownNameError
from striate.training.optimisers import Optimiser
from striate.training.registry import optimisers


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)).double()


def one_gradient(net, seed=1):
    x = torch.randn(5, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    net(x).square().mean().backward()


def weight_and_gradient(net):
    return net[4].weight.detach().clone(), net[4].weight.grad.clone()


def test_sgd_with_momentum_and_decay_is_the_papers_update():
    net = small_net()
    optimiser = Optimiser(net, Recipe(optimiser="sgd", lr=0.1, momentum=0.9, weight_decay=0.01))
    velocity = torch.zeros_like(net[4].weight)
    for seed in (1, 2, 3):
        one_gradient(net, seed)
        weight, gradient = weight_and_gradient(net)
        velocity = 0.9 * velocity + gradient + 0.01 * weight
        optimiser.step()
        torch.testing.assert_close(net[4].weight.detach(), weight - 0.1 * velocity, rtol=1e-12, atol=1e-14)


def test_adamw_decouples_decay_and_spares_norms_and_biases():
    net = small_net()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    Optimiser(net, Recipe(optimiser="adamw", lr=0.1, weight_decay=0.5)).step()
    for name, parameter in net.named_parameters():
        factor = 0.95 if parameter.dim() > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor, rtol=1e-12, atol=1e-15)


def test_muon_turns_filters_by_an_orthogonal_step_and_keeps_their_norm():
    net = small_net().float()
    optimiser = Optimiser(net, Recipe(optimiser="muon", lr=0.1, momentum=0.6, options={"iterations": 5}))
    one_gradient(net.double())
    net.float()
    for parameter in net.parameters():
        parameter.grad = parameter.grad.float() if parameter.grad is not None else None
    before = net[0].weight.detach().flatten(1)
    scaled = before * (len(before) ** 0.5 / before.norm())
    optimiser.step()
    step = (scaled - net[0].weight.detach().flatten(1)) / 0.1
    singular = torch.linalg.svdvals(step)
    assert singular.min() > 0.4, "an orthogonalised step has singular values around 1"
    assert singular.max() < 1.6


@pytest.mark.parametrize("name", optimisers.names())
def test_state_saved_and_loaded_continues_to_the_bit(name):
    recipe = Recipe(optimiser=name, lr=0.01, momentum=0.9, weight_decay=0.001)
    straight, resumed = small_net().float(), small_net().float()
    one, two = Optimiser(straight, recipe), Optimiser(resumed, recipe)

    def gradient(net, seed):
        x = torch.randn(5, 2, 4, 4, generator=torch.Generator().manual_seed(seed))
        net(x).square().mean().backward()

    for net, optimiser in ((straight, one), (resumed, two)):
        for seed in (1, 2):
            gradient(net, seed)
            optimiser.step()
    tensors, numbers = two.state()
    assert tensors, "an optimiser with momentum has a state"
    fresh = Optimiser(resumed, recipe)
    fresh.load({key: value.clone() for key, value in tensors.items()}, numbers)
    for net, optimiser in ((straight, one), (resumed, fresh)):
        gradient(net, 3)
        optimiser.step()
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_set_rate_scales_every_group():
    optimiser = Optimiser(small_net(), Recipe(optimiser="muon", lr=0.2, options={"head_lr": 2.0, "bias_lr": 1.0}))
    optimiser.set_rate(0.5)
    assert [group["lr"] for part in optimiser.parts for group in part.param_groups] == [0.1, 1.0, 0.5]


def test_bad_names_and_options_are_refused_with_what_is_allowed():
    net = small_net()
    with pytest.raises(UnknownNameError, match="adamw"):
        Optimiser(net, Recipe(optimiser="adamv"))
    with pytest.raises(UnknownNameError, match="beta2"):
        Optimiser(net, Recipe(optimiser="adamw", options={"beta3": 0.9}))
    with pytest.raises(ArgumentError, match="field of the recipe"):
        Optimiser(net, Recipe(optimiser="adamw", options={"lr": 0.9}))
    with pytest.raises(ArgumentError, match="no parameter requires a gradient"):
        Optimiser(net.requires_grad_(requires_grad=False), Recipe())
