"""Boltzmann machines small enough to sum over everything: free energy, likelihood, its gradient, contrastive divergence on average (row E8)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from striate import autoencode
from striate.autoencode.turns import Turns
from striate.autoencode.unrolling import machines, unroll
from striate.core.contracts import Batch
from striate.core.errors import ArgumentError
from striate.training.reconstruct import Contrast


def states(count):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=count)), dtype=torch.float64)


def small(seed=0, visible=4, hidden=3, scale=0.8, **options):
    torch.manual_seed(seed)
    machine = autoencode.RBM((1, 1, visible), hidden, **options).double()
    with torch.no_grad():
        for parameter in machine.parameters():
            parameter.copy_(scale * torch.randn_like(parameter))
    return machine


def energy(machine, v, h):
    """E(v, h) for all pairs, straight from the definition."""
    return -(v @ machine.visible_bias)[:, None] - (h @ machine.hidden_bias)[None] - v @ machine.weight.T @ h.T


def test_free_energy_sums_the_hidden_states_out():
    machine = small()
    v = states(4)
    assert torch.allclose(machine.free_energy(v), -torch.logsumexp(-energy(machine, v, states(3)), 1))


def test_free_energy_of_gaussian_units_by_integration():
    machine = small(hidden=1, hidden_units="gaussian")
    v, h = states(4), torch.linspace(-25, 25, 200_001, dtype=torch.float64)[:, None]
    values = energy(machine, v, h) + (h @ machine.hidden_bias)[None] + 0.5 * (h - machine.hidden_bias).square().sum(1)[None]
    integral = torch.trapezoid((-values).exp(), h[:, 0], dim=1)
    difference = machine.free_energy(v) + integral.log()
    assert torch.allclose(difference, difference[:1].expand_as(difference), atol=1e-9), "equal but for one constant"
    machine = small(visible_units="gaussian")
    v = torch.randn(6, 4, dtype=torch.float64)
    quadratic = 0.5 * (v - machine.visible_bias).square().sum(1)[:, None]
    e = quadratic - (states(3) @ machine.hidden_bias)[None] - v @ machine.weight.T @ states(3).T
    assert torch.allclose(machine.free_energy(v), -torch.logsumexp(-e, 1))


def test_units_turn_on_as_the_joint_distribution_says():
    machine = small()
    v, h = states(4), states(3)
    joint = (-energy(machine, v, h)).exp()
    assert torch.allclose(machine.hidden(v), joint @ h / joint.sum(1, keepdim=True))
    assert torch.allclose(machine.visible(h), joint.T @ v / joint.sum(0)[:, None])


def exact_gradient(machine, data):
    """Minus the gradient of the mean log-likelihood by automatic differentiation through the sum over all states."""
    machine.zero_grad()
    log_z = torch.logsumexp(-machine.free_energy(states(4)), 0)
    (machine.free_energy(data).mean() + log_z).backward()
    return machine.weight.grad.clone()


def expected_contrast(machine, data):
    """The weights' gradient that one step of contrastive divergence has on average, summed over every h and every v that can follow."""
    v, h = states(4), states(3)

    def log_share(means, values):
        return (values[None] * means.log()[:, None] + (1 - values)[None] * (1 - means).log()[:, None]).sum(2)

    there = log_share(machine.hidden(data), h).exp()
    back = log_share(machine.visible(h), v).exp()
    reached = (there @ back).mean(0)

    def push(x, shares):
        return -(machine.hidden(x) * shares[:, None]).T @ x

    return (push(data, torch.full((len(data),), 1 / len(data), dtype=torch.float64)) - push(v, reached)).detach()


def sampled_contrast(machine, data, repeats):
    machine.zero_grad()
    x = data.repeat(repeats, 1).view(-1, 1, 1, 4)
    torch.manual_seed(5)
    Contrast().loss(machine(x), Batch(x=x, y=None, index=torch.arange(len(x)))).backward()
    return machine.weight.grad.clone()


DATA = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 1], [1, 1, 0, 0]], dtype=torch.float64)


def test_one_step_of_contrastive_divergence_is_what_summing_over_all_paths_gives():
    machine = small()
    exact, sampled = expected_contrast(machine, DATA), sampled_contrast(machine, DATA, 40_000)
    assert (sampled - exact).abs().max() < 4 * 0.5 / np.sqrt(4 * 40_000)


def test_it_points_uphill_in_likelihood_and_many_steps_give_the_gradient_itself():
    for seed in range(5):
        machine = small(seed)
        true, one = exact_gradient(machine, DATA), expected_contrast(machine, DATA)
        assert (true * one).sum() / (true.norm() * one.norm()) > 0.5
    machine = small(steps=40)
    assert (sampled_contrast(machine, DATA, 20_000) - exact_gradient(machine, DATA)).abs().max() < 4 * 0.5 / np.sqrt(4 * 20_000)


def test_learning_by_the_one_loop_makes_the_data_likelier(tmp_path):
    machine = small(scale=0.01).float()
    before = likelihood(machine)
    recipe = autoencode.unrolling.RECIPE.edited(batch=50, lr=0.2, epochs=4)
    from striate import data
    from striate.training import train

    opened = autoencode.learning.pixels_of(data.arrays(DATA.float().repeat(500, 1).view(-1, 1, 1, 4).numpy()))
    run = train(machine, opened, task="contrast", recipe=recipe, folder=tmp_path / "run", precision="fp32")
    after = likelihood(machine)
    best = -(0.5 * np.log(0.5) + 2 * 0.25 * np.log(0.25))  # the entropy of the data: nobody can do better
    assert before == pytest.approx(-4 * np.log(2), abs=0.05)
    assert after > -1.5 * best
    assert run.history[-1]["train/loss"] < run.history[0]["train/loss"]


def likelihood(machine):
    machine = machine.double()
    with torch.no_grad():
        value = float(-machine.free_energy(DATA).mean() - torch.logsumexp(-machine.free_energy(states(4)), 0))
    machine.float()
    return value


def test_unrolled_layers_give_the_machines_means(tmp_path):
    parts = {"train": torch.rand(40, 1, 3, 4)}
    found = machines(parts, [(6, "binary"), (2, "gaussian")], "tiny", Turns(tmp_path, {}, {}), epochs=1)
    model = autoencode.autoencoder((1, 3, 4), widths=(6,), code=2, activation="sigmoid")
    layers = [[box for box in half if isinstance(box, torch.nn.Linear)] for half in (model.encoder, model.decoder)]
    for machine, there, back in zip(found.machines, layers[0], reversed(layers[1]), strict=True):
        unroll(machine, there, back)
    first, second = found.machines
    codes = second.hidden(first.hidden(parts["train"].flatten(1)))
    assert torch.allclose(model.encode(parts["train"]), codes, atol=1e-6)
    assert torch.allclose(model.decode(codes).flatten(1), first.visible(second.visible(codes)), atol=1e-6)


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="both kinds of unit are gaussian"):
        autoencode.RBM((1, 2, 2), 3, visible_units="gaussian", hidden_units="gaussian")
    with pytest.raises(ArgumentError, match="Did you mean binary"):
        autoencode.RBM((1, 2, 2), 3, visible_units="binry")
    with pytest.raises(ArgumentError, match="expected N x 1 x 2 x 2"):
        autoencode.RBM((1, 2, 2), 3)(torch.rand(2, 1, 2, 3))
    with pytest.raises(ArgumentError, match="numbers from 0 to 1"):
        machines({"train": torch.randn(9, 1, 2, 2)}, [(2, "binary")], "x", Turns(tmp_path, {}, {}))
