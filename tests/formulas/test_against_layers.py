"""striate's own layers against the formulas: the same numbers forward and back, to 1e-10 in float64."""

import numpy as np
import pytest
import torch
from torch import nn

from striate import layers
from striate.formulas.registry import formulas
from striate.layers import losses


def filled(module):
    generator = torch.Generator().manual_seed(0)
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return module


CASES = {
    "locally_connected_1d": (
        {"stride": 2, "padding": 1, "dilation": 2},
        lambda: layers.LocallyConnected1d(2, 3, 8, 3, 2, 1, 2),
        [(2, 2, 8)],
    ),
    "locally_connected_2d": (
        {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)},
        lambda: layers.LocallyConnected2d(2, 3, (5, 6), (3, 2), (2, 1), (1, 0), (1, 2)),
        [(2, 2, 5, 6)],
    ),
    "l2_pool2d": (
        {"kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True},
        lambda: layers.L2Pool2d(3, 2, 1, ceil_mode=True),
        [(2, 3, 6, 5)],
    ),
    "max_pool2d": ({"kernel": 3, "stride": 2}, lambda: layers.MaxPool2d(3, 2), [(2, 3, 7, 6)]),
    "maxout": ({"pieces": 3}, lambda: layers.Maxout(3), [(2, 6, 4)]),
    "paper_response_norm": ({"size": 3, "alpha": 0.5}, lambda: layers.LocalResponseNorm(3, alpha=0.5), [(2, 5, 3, 2)]),
    "scaled_tanh": ({}, layers.ScaledTanh, [(2, 3)]),
    "subsampling": ({"size": 2}, lambda: layers.Subsampling(3, 2), [(2, 3, 5, 4)]),
    "scale": ({"factor": 0.3}, lambda: layers.Scale(0.3), [(2, 3)]),
    "add": ({}, layers.Add, [(2, 3), (2, 3)]),
    "cat": ({}, layers.Concat, [(2, 3, 2), (2, 1, 2)]),
    "hinge": ({"squared": True, "margin": 0.5}, lambda: losses.MultiClassHinge(0.5, squared=True), [(4, 5)]),
    "cross_entropy": ({"smoothing": 0.1}, lambda: losses.SoftmaxCrossEntropy(0.1), [(4, 5)]),
    "squared_error": ({"factor": 0.5}, lambda: losses.SquaredError(factor=0.5), [(4, 5), (4, 5)]),
}


@pytest.mark.parametrize("name", CASES)
def test_layer_and_formula_agree(name):
    options, make, shapes = CASES[name]
    module: nn.Module = filled(make())
    operation = formulas.get(name)(**options)
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=shape) for shape in shapes]
    classes = rng.integers(0, 5, size=4)
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    given = [torch.tensor(classes)] if name in ("hinge", "cross_entropy") else []
    theirs = module(*tensors, *given)
    parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
    arrays = [*inputs, *([classes] if given else []), *(parameters[n].detach().numpy() for n in operation.parameters)]
    delta = rng.normal(size=tuple(theirs.shape))
    learnt = [*tensors[: 1 if name == "squared_error" else None], *(parameters[n] for n in operation.parameters)]
    gradients = torch.autograd.grad(theirs, learnt, torch.tensor(delta))
    back = operation.message(delta, *arrays)
    ours = [*(back if isinstance(back, tuple) else (back,)), *operation.parameter_gradient(delta, *arrays).values()]
    for mine, other in zip([operation.forward(*arrays), *ours], [theirs.detach(), *gradients], strict=True):
        np.testing.assert_allclose(mine, other.numpy(), rtol=0, atol=1e-10 * max(1, float(other.abs().max())))


def test_switches_are_those_that_max_pooling_hands_out():
    x = np.random.default_rng(0).integers(-2, 3, size=(2, 3, 7, 6)).astype(float)
    operation = formulas.get("max_pool2d")(kernel=3, stride=2, padding=1, ceil_mode=True)
    largest, switches = nn.MaxPool2d(3, 2, 1, ceil_mode=True, return_indices=True)(torch.tensor(x))
    assert (operation.switches(x) == switches.numpy()).all()
    delta = np.random.default_rng(1).normal(size=tuple(largest.shape))
    unpooled = layers.MaxUnpool2d(3, 2, 1)(torch.tensor(delta), switches, output_size=x.shape)
    np.testing.assert_allclose(operation.message(delta, x), unpooled.numpy(), atol=1e-12)


@pytest.mark.parametrize("entry", list(formulas), ids=lambda entry: entry.name)
def test_the_modules_a_formula_names_exist(entry):
    for name in entry.facts.get("modules", ()):
        short = name.rpartition(".")[2]
        assert any(hasattr(place, short) for place in (nn, layers, losses)), name
