"""A chain run with empty channels beside its own computes what it computes alone: outputs and every gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate import zoo
from striate.training.widened import widened


def chain(**changes):
    boxes = {
        "conv1": nn.Conv2d(3, 5, 3, padding=1),
        "pool1": nn.MaxPool2d(2),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(5, 7, 3, stride=2),
        "relu2": nn.ReLU(),
        "pool2": nn.MaxPool2d(2, 1),
        "flatten": nn.Flatten(),
        "fc": nn.Linear(7 * 2 * 2, 4),
    }
    network = nn.Sequential()
    for name, box in (boxes | changes).items():
        network.add_module(name, box)
    return network.double()


def gradients(network, output):
    network.zero_grad()
    output.square().sum().backward()
    return {name: parameter.grad.clone() for name, parameter in network.named_parameters()}


@pytest.mark.parametrize("make", [chain, lambda: zoo.build("lenet5", classes=4, input=(3, 14, 14)).double()])
def test_outputs_and_gradients_are_the_networks_own(make):
    torch.manual_seed(0)
    network = make()
    x = torch.randn(6, 3, 14, 14, dtype=torch.float64)
    wide = widened(network)
    assert wide is not None
    expected, got = network(x), wide(x)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    theirs, ours = gradients(network, network(x)), gradients(network, wide(x))
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-12, atol=1e-12, msg=name)


def test_the_convolutions_really_compute_more_maps():
    network, seen = zoo.build("lenet5", classes=10, input=(1, 28, 28)), []
    wide = widened(network)

    class Counted(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if function is torch.nn.functional.max_pool2d or function is torch.max_pool2d:
                seen.append(result.shape[1])
            return result

    with Counted():
        wide(torch.zeros(2, 1, 28, 28))
    assert set(seen) == {8, 16}


def test_whoever_hooks_a_box_sees_its_own_maps():
    network, seen = chain(), []
    wide = widened(network)
    network.conv1.register_forward_hook(lambda box, given, output: seen.append(output.shape[1]))
    wide(torch.zeros(1, 3, 14, 14, dtype=torch.float64))
    assert seen == [5]


@pytest.mark.parametrize(
    "changes",
    [
        {"conv1": nn.Conv2d(3, 8, 3, padding=1), "conv2": nn.Conv2d(8, 16, 3, stride=2), "fc": nn.Linear(64, 4)},  # wide enough already
        {"pool1": nn.AvgPool2d(2), "pool2": nn.AvgPool2d(2, 1)},  # averages are no slower
        {"relu1": nn.BatchNorm2d(5), "relu2": nn.Sigmoid()},  # what would not leave zero at zero
    ],
)
def test_nothing_is_widened_where_nothing_is_gained(changes):
    assert widened(chain(**changes)) is None


def test_only_chains_are_widened():
    assert widened(zoo.build("resnet18", classes=3, input=(3, 32, 32))) is None
