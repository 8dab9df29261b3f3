"""Which box feeds which: modules, functions, reuse and views; folded into stages; the model only read."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate import zoo
from striate.core.errors import ArgumentError
from striate.measure import wire


def edges(model, shape=(3, 16, 16), **options):
    return set(wire(model, shape, **options).edges)


def test_a_residual_block_forks_and_joins():
    model = zoo.build("resnet20", classes=10, input=(3, 32, 32))
    found = edges(model, (3, 32, 32), depth=0)
    assert ("input", "conv1") in found
    assert {("conv1", "layer1.0.conv1"), ("layer1.0.conv1", "layer1.0.conv2"), ("layer1.0.conv2", "layer1.0.add"), ("conv1", "layer1.0.add")} <= found
    into = {a for a, b in found if b == "layer2.0.add"}
    assert len(into) == 2
    assert "layer2.0.conv2" in into, "the other way is the shortcut"
    stages = wire(model, (3, 32, 32), depth=1)
    assert [node.name for node in stages.nodes][:5] == ["input", "conv1", "layer1", "layer2", "layer3"]
    assert ("layer1", "layer2") in set(stages.edges)


def test_an_inception_module_has_four_ways():
    model = zoo.build("googlenet", classes=10, input=(3, 64, 64))
    into = [a for a, b in edges(model, (3, 64, 64), depth=0) if b == "inception3a.concat"]
    assert len(into) == 4


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.twice, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4 * 8 * 8, 3)

    def forward(self, x):
        x = F.relu(self.conv(x), inplace=True)
        y = self.twice(self.twice(x))
        x = F.max_pool2d(x + y, 2)
        return self.fc(x.view(x.size(0), -1))


def test_functions_reused_modules_and_views_are_followed():
    model = Functional().train()
    kept = copy.deepcopy(model.state_dict())
    found = edges(model, depth=0)
    assert found == {
        ("input", "conv"),
        ("conv", "twice"),
        ("twice", "twice[1]"),
        ("twice[1]", "/add#1"),
        ("conv", "/add#1"),
        ("/add#1", "/max_pool2d#1"),
        ("/max_pool2d#1", "/view#1"),
        ("/view#1", "fc"),
    }
    assert model.training
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in kept.items())


def test_lines_say_what_a_box_does():
    nodes = {node.name: node for node in wire(zoo.build("lenet5", classes=10, input=(1, 28, 28)), (1, 28, 28)).nodes}
    assert nodes["conv1"].lines == ("conv1", "conv 5×5, 6", "6×28×28")
    assert nodes["pool1"].lines == ("pool1", "max pool 2×2, stride 2", "relu", "6×14×14")
    assert nodes["fc3"].lines == ("fc3", "linear, 10", "10")
    assert (nodes["conv1"].kind, nodes["pool1"].kind, nodes["fc1"].kind) == ("conv", "pool", "linear")


def test_a_large_net_chooses_a_depth_that_can_be_drawn():
    for name in ("resnet50", "densenet121"):
        card = zoo.card(name)
        with torch.device("meta"):
            model = zoo.build(name, classes=10, input=card.input)
        found = wire(model, card.input)
        assert 5 <= len(found.nodes) <= 90
        assert len(found.edges) <= 2 * len(found.nodes)
    with pytest.raises(ArgumentError, match="depth: got -1"):
        wire(model, card.input, depth=-1)
