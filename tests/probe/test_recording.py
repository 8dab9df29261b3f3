"""`record`: values and gradients of every call equal what plain autograd says, in place or not, and nothing is left behind."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from striate import probe
from striate.core.errors import ArgumentError


class Tangle(nn.Module):
    """Module, functional and in-place ReLU, a reused module, `+=`, concatenation, an overlapping pool, a parameter outside any layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.relu = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True)
        self.head, self.scale = nn.Linear(24, 4), nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        x = self.relu(self.first(x))
        y = self.second(x)
        y += x
        y = F.relu(y, inplace=True)
        y = F.max_pool2d(torch.cat([y, x], 1), 3, 2, 1)
        y = self.relu(y - 0.5) * self.scale
        return self.head(y.flatten(1))


def test_order_addresses_turns_and_operations():
    recording = probe.record(Tangle(), torch.randn(2, 2, 4, 4))
    assert [call.key for call in recording] == [
        *("first", "relu", "second", "/add#1", "/relu#1", "/cat#1", "/max_pool2d#1", "/sub#1", "relu[1]", "/mul#1", "/flatten#1", "head")
    ]
    assert [call.in_place for call in recording] == [False, True, False, True, True, False, False, False, True, False, False, False]
    assert recording["first"].operation == "Conv2d"


def test_values_survive_in_place_writes():
    torch.manual_seed(0)
    model, x = Tangle().double(), torch.randn(2, 2, 4, 4, dtype=torch.float64)
    recording = probe.record(model, x)
    first = model.first(x)
    torch.testing.assert_close(recording["first"].output, first, rtol=0, atol=0)
    torch.testing.assert_close(recording["relu[0]"].args[0], first, rtol=0, atol=0)
    second = model.second(first.relu())
    torch.testing.assert_close(recording["second"].output, second, rtol=0, atol=0)
    added = recording["/add#1"]
    torch.testing.assert_close(added.args[0], second, rtol=0, atol=0)
    torch.testing.assert_close(added.output, second + first.relu(), rtol=0, atol=0)
    torch.testing.assert_close(recording["/relu#1"].output, (second + first.relu()).relu(), rtol=0, atol=0)
    torch.testing.assert_close(recording.output, model(x), rtol=0, atol=0)


def test_gradients_equal_autograd():
    torch.manual_seed(0)
    model, x = Tangle().double(), torch.randn(2, 2, 4, 4, dtype=torch.float64)
    recording = probe.record(model, x, loss=lambda output: output.square().sum())
    # the same network written without a single in-place step, with every intermediate kept
    given = x.clone().requires_grad_()
    first = model.first(given)
    a = first.relu()
    second = model.second(a)
    total = second + a
    b = total.relu()
    joined = torch.cat([b, a], 1)
    pooled = F.max_pool2d(joined, 3, 2, 1)
    lower = pooled - 0.5
    c = lower.relu()
    scaled = c * model.scale
    flat = scaled.flatten(1)
    out = model.head(flat)
    loss = out.square().sum()
    kept = {"first": first, "relu[0]": a, "second": second, "/add#1": total, "/relu#1": b, "/cat#1": joined, "/max_pool2d#1": pooled, "/sub#1": lower}
    kept |= {"relu[1]": c, "/mul#1": scaled, "/flatten#1": flat, "head": out}
    for (address, _), wanted in zip(kept.items(), torch.autograd.grad(loss, list(kept.values()), retain_graph=True), strict=True):
        torch.testing.assert_close(recording[address].message, wanted, rtol=1e-12, atol=1e-14)
    for name, parameter in model.named_parameters():
        layer, _, short = name.rpartition(".")
        share = recording[layer].parameter_gradients[short] if layer else recording["/mul#1"].parameter_gradients["scale"]
        torch.testing.assert_close(share, torch.autograd.grad(loss, parameter, retain_graph=True)[0], rtol=1e-12, atol=1e-14)
    # what each call alone sends back: the two readers of `a` besides the in-place sum
    joined_message = recording["/cat#1"].message
    torch.testing.assert_close(recording["/cat#1"].input_messages[1], joined_message[:, 3:], rtol=0, atol=0)
    torch.testing.assert_close(recording["/add#1"].input_messages, (recording["/add#1"].message,) * 2, rtol=0, atol=0)
    torch.testing.assert_close(recording["relu[0]"].input_messages[0], recording["relu[0]"].message * (first > 0), rtol=0, atol=0)
    torch.testing.assert_close(recording["first"].input_messages[0], torch.autograd.grad(loss, given)[0], rtol=1e-12, atol=1e-14)


def test_a_reused_layer_has_its_own_share_each_turn():
    layer = nn.Linear(3, 3).double()
    x = torch.randn(2, 3, dtype=torch.float64)
    recording = probe.record(nn.Sequential(layer, nn.Tanh(), layer), x, loss=torch.sum)
    first, second = recording["0[0]"], recording["0[1]"]
    torch.testing.assert_close(second.parameter_gradients["weight"], second.message.T @ second.args[0])
    torch.testing.assert_close(first.parameter_gradients["weight"], first.message.T @ x)
    layer(layer(x).tanh()).sum().backward()
    torch.testing.assert_close(first.parameter_gradients["weight"] + second.parameter_gradients["weight"], layer.weight.grad)


def test_fake_tensors_and_frozen_parameters():
    model = Tangle()
    with FakeTensorMode(allow_non_fake_inputs=True):
        recording = probe.record(model, torch.empty(2, 2, 4, 4), loss=torch.sum)
    assert tuple(recording["/cat#1"].output.shape) == (2, 6, 4, 4)
    assert tuple(recording["first"].parameter_gradients["weight"].shape) == (3, 2, 3, 3)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    recording = probe.record(model, torch.randn(2, 2, 4, 4), loss=torch.sum)
    assert set(recording["head"].parameter_gradients) == {"weight", "bias"}
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_blocks_own_layers_and_networks_of_the_zoo_agree_with_autograd():
    """A residual network with blocks, strides and batch norm: every parameter's share adds up to its gradient."""
    from striate import zoo

    torch.manual_seed(0)
    model = zoo.build("resnet20", classes=3, input=(3, 16, 16)).double()
    x, y = torch.randn(3, 3, 16, 16, dtype=torch.float64), torch.tensor([0, 2, 1])
    recording = probe.record(model, x, loss=lambda logits: F.cross_entropy(logits, y))
    F.cross_entropy(model(x), y).backward()
    for name, parameter in model.named_parameters():
        layer, _, short = name.rpartition(".")
        torch.testing.assert_close(recording[layer].parameter_gradients[short], parameter.grad, rtol=1e-9, atol=1e-12)
    assert {call.address for call in recording.blocks} >= {"layer1", "layer3.2"}
    torch.testing.assert_close(recording["layer1"].input_messages[0], recording["layer1.0"].input_messages[0])


def test_a_users_own_leaf_shows_its_functions_inside():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.gain = nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.ones(()))

        def forward(self, x):
            return torch.relu_(F.linear(x, self.weight)) * self.gain

    x = torch.randn(4, 2)
    call = probe.record(nn.Sequential(Own()), x, loss=torch.sum)["0"]
    assert [each.address for each in call.inside] == ["0/linear#1", "0/relu#1", "0/mul#1"]
    linear, relu, mul = call.inside
    torch.testing.assert_close(linear.parameter_gradients["0.weight"], linear.message.T @ x)
    torch.testing.assert_close(call.parameter_gradients["weight"], linear.parameter_gradients["0.weight"])
    torch.testing.assert_close(mul.parameter_gradients["0.gain"], relu.output.sum())
    assert [each.address for each in probe.record(Own(), x)] == ["/linear#1", "/relu#1", "/mul#1"]


def test_token_models_and_several_outputs():
    class Text(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.lstm, self.fc = nn.Embedding(7, 4), nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 2)

        def forward(self, tokens):
            steps, _ = self.lstm(self.embed(tokens))
            return self.fc(steps[:, -1])

    model, tokens = Text(), torch.tensor([[1, 2, 3], [3, 3, 0]])
    recording = probe.record(model, tokens, loss=torch.sum)
    assert [call.address for call in recording] == ["embed", "lstm", "/getitem#1", "fc"]
    model(tokens).sum().backward()
    for name, parameter in model.named_parameters():
        layer, _, short = name.rpartition(".")
        torch.testing.assert_close(recording[layer].parameter_gradients[short], parameter.grad)
    assert recording["embed"].input_messages == (None,)
    assert len(recording["lstm"].message) == 3


@pytest.mark.parametrize(
    ("loss", "said"), [(lambda o: o, "a tensor of shape"), (lambda _: 1.0, "returned float"), (lambda _: torch.ones(()), "depends neither")]
)
def test_losses_that_are_refused(loss, said):
    with pytest.raises(ArgumentError, match=said):
        probe.record(nn.Linear(2, 2), torch.ones(1, 2), loss=loss)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_scripted_parts_are_counted_not_passed_over():
    scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
    model, x = nn.Sequential(scripted, nn.Linear(3, 2)), torch.randn(2, 3)
    recording = probe.record(model, x, loss=torch.sum)
    assert [call.address for call in recording] == ["1"]
    assert "1 scripted modules could not be watched" in recording.notes[0]
    with probe.guided(model) as active:  # the rules reach inside all the same
        got = probe.gradients(model, x, at="input", of=torch.sum).gradients["input"]
    first = getattr(scripted, "0")
    back = (torch.ones(2, 2) @ model[1].weight).clamp(min=0) * (first(x) > 0)
    torch.testing.assert_close(got, back @ first.weight)
    assert active.relus == 1
