"""Where inputs come from: told by the tensors themselves, also where several hold the same numbers."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from striate.tracing import trace


class Dead(nn.Module):
    """Two branches that are zero everywhere, pooled by one module and laid side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.ra, self.rb, self.p = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3), nn.ReLU(), nn.ReLU(), nn.MaxPool2d(2)
        for conv in (self.a, self.b):
            nn.init.zeros_(conv.weight)
            nn.init.constant_(conv.bias, -1)

    def forward(self, x):
        ra, rb = self.ra(self.a(x)), self.rb(self.b(x))
        return torch.cat([self.p(ra), self.p(rb)], 1)


class Handed(nn.Module):
    """ReLU and dropout that change nothing; a shortcut that is made before the branch beside it; the output doubled by what hands on."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.short, self.branch, self.drop, self.relu, self.head = (
            nn.Linear(3, 3),
            nn.Identity(),
            nn.Linear(3, 3),
            nn.Dropout(),
            nn.ReLU(),
            nn.Linear(3, 3),
        )
        nn.init.ones_(self.first.weight)

    def forward(self, x):
        y = self.first(x) * 2
        relu = self.relu(y)
        short = self.short(y)
        y = self.branch(y) + relu + short
        dropped = self.drop(y)
        z = self.head(dropped) + y
        return torch.cat([z, self.drop(z)], 1)


def sources(found):
    return {box.name: box.sources for box in found}


def test_two_branches_with_the_same_numbers():
    found = trace(Dead(), torch.rand(1, 1, 6, 6))
    assert not found["ra"].output.any()
    assert sources(found) == {
        "a": ("input",),
        "ra": ("a",),
        "b": ("input",),
        "rb": ("b",),
        "p": ("ra",),
        "p[1]": ("rb",),
        "/cat#1": ("p", "p[1]"),
        "loss": ("/cat#1",),
    }
    document = {box["name"]: [each["source"] for each in box["inputs"]] for box in found.to_json()["boxes"]}
    assert document["/cat#1"] == ["p", "p[1]"]


def test_calls_that_hand_on_what_they_got():
    torch.manual_seed(0)
    model = Handed().eval()
    model.first.bias.data.abs_()
    found = trace(model, torch.rand(2, 3), [1, 4])
    assert (found["relu"].output == found["/mul#1"].output).all(), "equal numbers, and one memory for identity and dropout"
    assert sources(found) == {
        "first": ("input",),
        "/mul#1": ("first",),
        "relu": ("/mul#1",),
        "short": ("/mul#1",),
        "branch": ("/mul#1",),
        "/add#1": ("branch", "relu"),
        "/add#2": ("/add#1", "short"),
        "drop": ("/add#2",),
        "head": ("drop",),
        "/add#3": ("head", "/add#2"),
        "drop[1]": ("/add#3",),
        "/cat#1": ("/add#3", "drop[1]"),
        "loss": ("/cat#1",),
    }


def test_parameters_with_the_same_numbers():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w1, self.w2 = nn.Parameter(torch.eye(3)), nn.Parameter(torch.eye(3))
            self.b1, self.b2 = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3))
            self.register_buffer("zeros", torch.zeros(3))

        def forward(self, x):
            return F.linear(F.linear(F.relu(F.linear(x, self.w1, self.b1)), self.w2, self.b2), self.w2, self.zeros)

    model, x = Two(), torch.tensor([[1.0, -2.0, 3.0]])
    found = trace(model, x, 2)
    assert found["/linear#1"].sources == ("input", "parameter w1", "parameter b1")
    assert found["/linear#2"].sources == ("/relu#1", "parameter w2", "parameter b2")
    assert found["/linear#3"].sources == ("/linear#2", "parameter w2", None), "a buffer is no parameter, whatever its numbers"
    F.cross_entropy(model(x), torch.tensor([2])).backward()
    for name in ("w1", "w2", "b1", "b2"):
        filed = [box.input_messages[i] for box in found for i, source in enumerate(box.sources) if source == f"parameter {name}"]
        assert np.allclose(sum(filed), getattr(model, name).grad, rtol=1e-5, atol=1e-7)


def test_writing_in_place_and_views():
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.flat = nn.Linear(4, 4), nn.Flatten()

        def forward(self, x):
            y = self.fc(x)
            kept = y * 1
            y.relu_()
            return self.flat(y) + kept.view(-1, 2, 2).flatten(1)

    model = Written()
    nn.init.constant_(model.fc.bias, 9.0)
    found = trace(model, torch.rand(2, 4))
    assert found["/relu#1"].sources == ("fc",)
    assert found["flat"].sources == ("/relu#1",)
    assert found["/flatten#1"].sources == ("/view#1",)
    assert found["/add#1"].sources == ("flat", "/flatten#1")


def test_a_module_of_functions_is_named_by_the_functions_that_are_shown():
    class Gate(nn.Module):
        def forward(self, x):
            return torch.tanh(x)

    found = trace(nn.Sequential(Gate(), nn.Linear(2, 2)), [[1.0, 2.0]])
    assert found["1"].sources == ("0/tanh#1",)
    assert trace(nn.Sequential(Gate(), nn.Linear(2, 2)), [[1.0, 2.0]], at="1")["1"].sources == ("0/tanh#1",)
