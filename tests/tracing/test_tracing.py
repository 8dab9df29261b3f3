"""`trace` on models of every make: what it holds equals torch, formulas agree, the model is left alone, and a large net is asked about first."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate.core.errors import ArgumentError, UnknownNameError
from striate.formulas.activations import ReLU
from striate.formulas.batch_norm import BatchNorm
from striate.formulas.windows import Grid
from striate.layers import Add, Concat
from striate.tracing import boxing, from_spec, running, trace
from striate.tracing.arrays import drawn
from striate.tracing.document import as_json
from striate.tracing.loss_formulas import Total


class Functional(nn.Module):
    """Calls functions, in place too, uses a parameter of its own and joins branches."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.4), nn.Linear(36, 3)
        self.weight = nn.Parameter(torch.randn(4, 2, 3, 3))

    def forward(self, x):
        y = F.relu_(self.norm(self.conv(x)))
        y = y + F.conv2d(y, self.weight, padding=1, groups=2)
        y = torch.cat([F.leaky_relu(y), torch.tanh(y)], 1)
        y = F.avg_pool2d(F.max_pool2d(y, 2), 3, stride=2, padding=1)
        return self.head(self.drop(torch.flatten(y, 1))[:, :36].repeat(1, 3)[:, :36])


class Boxes(nn.Module):
    """Named boxes, one of them called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.add, self.cat = nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), Add(), Concat()
        self.flatten, self.head = nn.Flatten(), nn.Linear(64, 3)

    def forward(self, x):
        y = self.conv(self.relu(self.conv(x)))
        return self.head(self.flatten(self.cat(self.add(x, y), y)))


def autograd(model, x, target):
    """The same numbers by plain torch, for comparison."""
    twin, x = model.double(), x.double().requires_grad_()
    loss = F.cross_entropy(twin(x), target)
    names = [name for name, _ in twin.named_parameters()]
    found = torch.autograd.grad(loss, [x, *twin.parameters()])
    return loss.item(), found[0].numpy(), dict(zip(names, (g.numpy() for g in found[1:]), strict=True))


def test_numbers_equal_plain_autograd():
    torch.manual_seed(0)
    model, x, target = Boxes(), torch.randn(2, 2, 4, 4), torch.tensor([2, 0])
    found = trace(model, x, target)
    loss, dx, gradients = autograd(model, x, target)
    assert found.loss == pytest.approx(loss, rel=1e-12)
    assert np.allclose(found["head"].gradients["weight"], gradients["head.weight"], rtol=1e-10, atol=1e-14)
    both = found["conv"].gradients["weight"] + found["conv[1]"].gradients["weight"]
    assert np.allclose(both, gradients["conv.weight"], rtol=1e-10, atol=1e-14), "each call's own share, together the whole"
    assert np.allclose(found["conv"].input_messages[0] + found["add"].input_messages[0], dx, rtol=1e-10, atol=1e-14)
    assert found["add"].sources == ("input", "conv[1]")
    assert found["cat"].sources == ("add", "conv[1]")
    assert found.agrees
    assert all(box.deviations for box in found), "every box here has a formula"
    assert "8 of 8 boxes" in found.verdict or f"{len(found)} of {len(found)} boxes" in found.verdict


def test_every_explained_number_is_the_sum_of_its_terms():
    torch.manual_seed(1)
    found = trace(Boxes(), torch.randn(2, 2, 4, 4), [1, 2])
    random = np.random.default_rng(0)
    for box in found:
        asked = [("out", box.output, {})]
        asked += [("input", back, {"branch": i}) for i, back in enumerate(box.input_messages)]
        for what, values, more in asked:
            place = tuple(int(random.integers(size)) for size in values.shape)
            options = {"sample": place[0], what: place[1:]} if values.ndim else {what: ()}
            told = box.explain(**options, **more)
            assert told.value == values[place]
            assert sum(term.value for term in told.terms) == pytest.approx(told.value, rel=1e-10, abs=1e-14)
        for name, gradient in box.gradients.items():
            place = tuple(int(random.integers(size)) for size in gradient.shape)
            told = box.explain(gradient=(name, place))
            assert told.value == gradient[place]
            assert sum(term.value for term in told.terms) == pytest.approx(told.value, rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("training", [False, True])
def test_functions_are_told_like_modules(training):
    torch.manual_seed(2)
    model = Functional().train(training)
    found = trace(model, torch.randn(2, 2, 6, 6), [0, 2])
    unknown = [box.operation for box in found if not box.deviations]
    assert found.agrees, found.verdict
    assert unknown == ["getitem", "repeat", "getitem"]
    assert f"{len(found) - 3} of {len(found)} boxes" in found.verdict
    assert "3 without a formula" in found.verdict
    assert found["/conv2d#1"].sources == ("/relu#1", "parameter weight")
    assert ("in training mode: batch statistics are the batch's own and dropout drops" in found.notes) is training
    assert any("writes into its input" in note for note in found["/relu#1"].notes)
    told = found.explain("/getitem#1", out=(3,))
    assert told.terms == ()
    assert "no formula for getitem" in told.note


def test_the_model_is_left_alone():
    torch.manual_seed(3)
    model = Functional().train()
    model.conv.weight.requires_grad_(False)
    model.head.weight.grad = torch.ones_like(model.head.weight)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    x = torch.randn(2, 2, 6, 6)
    kept = x.clone()
    torch.set_rng_state(state)
    trace(model, x, 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x, kept)
    assert model.training
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.conv.weight.requires_grad
    assert torch.equal(model.head.weight.grad, torch.ones_like(model.head.weight))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_formula_that_is_wrong_is_found_out(monkeypatch):
    monkeypatch.setattr(ReLU, "value", lambda self, x: np.maximum(x, 0.5))
    found = trace(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), [[1.0, 2.0]])
    assert found["1"].agrees is False
    assert not found.agrees
    assert found.verdict.startswith("MISMATCH: formula and torch differ in 1 of 3 boxes: 1 (output")
    assert "MISMATCH" in found["1"].notes[0]
    assert "formula and torch differ here" in found.explain("1", out=(0,)).note


CANCELLING = {
    "norm": (lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)), lambda: torch.randn(2, 3, 4, 4)),
    "norm without parameters": (lambda: nn.BatchNorm2d(3, affine=False, track_running_stats=False), lambda: torch.randn(2, 3, 4, 4)),
    "layer norm": (lambda: nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), lambda: torch.randn(3, 4)),
    "constant maps": (lambda: nn.BatchNorm2d(3), lambda: torch.full((3, 3, 7, 7), 0.1)),
    "shares": (lambda: nn.Sequential(nn.Linear(4, 4), nn.Softmax(1)), lambda: torch.randn(3, 4)),
}


@pytest.mark.parametrize("name", CANCELLING)
@pytest.mark.parametrize("seed", range(3))
def test_a_sum_that_cancels_is_no_mismatch(name, seed):
    model, x = CANCELLING[name]
    torch.manual_seed(seed)
    found = trace(nn.Sequential(model()).train(), x())
    assert abs(found["loss"].input_messages[0]).max() == 1
    assert found.agrees, found.verdict


@pytest.mark.parametrize("seed", range(4))
def test_a_spec_whose_loss_cancels(seed):
    found = from_spec("conv(2,3x3) -> batchnorm", drawn((1, 5, 5), seed), train=True, seed=seed)
    assert abs(found.loss) < 1e-12, "what a batch norm gives sums to 0"
    assert found.agrees, found.verdict


def test_a_wrong_formula_is_found_out_where_sums_cancel(monkeypatch):
    x = drawn((1, 5, 5))
    monkeypatch.setattr(Total, "forward", lambda self, x: np.asarray(np.sum(x) + 1e-6))
    assert from_spec("conv(2,3x3) -> batchnorm", x, train=True)["loss"].agrees is False
    monkeypatch.setattr(BatchNorm, "message", lambda self, delta, x, *rest: np.full(np.shape(x), 1e-6))
    assert from_spec("conv(2,3x3) -> batchnorm", x, train=True)["batchnorm1"].agrees is False


def test_a_layer_that_does_more_than_its_class_is_not_told():
    class Shifted(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1

    found = trace(nn.Sequential(Shifted(2, 2)), [[1.0, 2.0]])
    assert found["0"].agrees is None
    assert found["0"].notes == ("Shifted computes more than the layer it descends from: its numbers are torch's and autograd's",)
    assert found.agrees
    same = type("Plain", (nn.Linear,), {})
    assert trace(nn.Sequential(same(2, 2)), [[1.0, 2.0]])["0"].agrees is True


def test_a_network_of_functions_alone_is_opened():
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([[1.0, -2.0], [3.0, 4.0]]))

        def forward(self, x):
            return F.relu(F.linear(x, self.w))

    found = trace(Bare(), [[1.0, 1.0]], 1)
    assert found.names == ("/linear#1", "/relu#1", "loss")
    assert found["/relu#1"].output.tolist() == [[0, 7]]
    assert found.explain("/linear#1", input=(0,), branch=0).value == pytest.approx(
        3 * found["/relu#1"].input_messages[0][0, 1] + found["/relu#1"].input_messages[0][0, 0], rel=1e-12
    )


def test_a_network_that_insists_on_float32_is_run_in_it_and_said():
    class Insists(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x):
            return self.layer(x) @ torch.eye(2, dtype=torch.float32)

    found = trace(Insists(), torch.randn(1, 3))
    assert found.precision == "float32"
    assert found["layer"].agrees
    assert found["layer"].tolerance == 1e-4
    assert any("does not run in float64" in note for note in found.notes)


def test_losses():
    logits = np.array([[1.0, -2.0, 0.5], [0.3, 0.2, 3.0]])
    model = nn.Sequential(nn.Identity(), nn.Linear(3, 3, bias=False))
    model[1].weight.data = torch.eye(3)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)

    entropy = trace(model, logits, [0, 1])
    assert entropy.loss == pytest.approx(-np.log(shares[[0, 1], [0, 1]]).mean(), rel=1e-12)
    assert np.allclose(entropy["loss"].input_messages[0], (shares - np.eye(3)[[0, 1]]) / 2, rtol=1e-12)
    hinge = trace(model, logits, [0, 1], "hinge")
    assert hinge.loss == pytest.approx((0 + max(0, 0.5 - 1 + 1) + max(0, 0.3 - 0.2 + 1) + max(0, 3 - 0.2 + 1)) / 2, rel=1e-12)
    goal = np.array([[1.0, 0, 0], [0, 0, 1.0]])
    squared = trace(model, logits, goal)
    assert squared.loss == pytest.approx(((logits - goal) ** 2).sum() / 2, rel=1e-12)
    assert squared.loss_name == "squared_error"
    ended = trace(nn.Sequential(*model, nn.Softmax(1)), logits, [0, 1])
    assert ended.loss_name == "log_loss"
    assert ended.loss == pytest.approx(entropy.loss, rel=1e-12)
    assert np.allclose(ended["1"].message, entropy["1"].message, rtol=1e-10)
    for found in (entropy, hinge, squared, ended):
        assert found["loss"].agrees
        told = found.explain("loss", out=())
        assert sum(t.value for t in told.terms) == pytest.approx(found.loss, rel=1e-12)
        for k in range(3):
            back = found.explain("loss", sample=1, input=(k,))
            assert sum(t.value for t in back.terms) == pytest.approx(back.value, rel=1e-12, abs=1e-15)
    own = trace(model, logits, loss=lambda y: (y**3).sum())
    assert own.loss == pytest.approx((logits**3).sum(), rel=1e-12)
    assert own["loss"].deviations == {}
    assert np.allclose(own["loss"].input_messages[0], 3 * logits**2)


def test_what_cannot_be_a_loss_is_said():
    model, x = nn.Linear(2, 3), [[1.0, 2.0]]
    for arguments, told in (
        ({"loss": "entropy"}, "Did you mean cross_entropy"),
        ({"loss": "hinge"}, "needs a target"),
        ({"target": 3}, "expected class numbers from 0 to 2"),
        ({"target": [0, 1]}, "got 2 class numbers for 1 samples"),
        ({"target": True}, "true or false"),
        ({"target": 1, "loss": "sum"}, "takes none"),
        ({"target": 1, "loss": lambda y: y.sum()}, "build it into the function"),
        ({"target": [1.0, 2.0]}, "expected the output's"),
    ):
        with pytest.raises(ArgumentError, match=told):
            trace(model, x, **arguments)
    with pytest.raises(ArgumentError, match="need an output of samples x classes"):
        trace(nn.Conv2d(1, 1, 1), np.ones((1, 1, 2, 2)), 0)


def test_a_place_that_does_not_exist_is_told_with_what_does():
    found = from_spec("conv(2, 3x3) -> relu -> flatten -> linear(2)", np.ones((1, 4, 4)))
    with pytest.raises(UnknownNameError, match="conv1"):
        found.explain("conv2", out=(0, 0, 0))
    for options, told in (
        ({"out": (2, 0, 0)}, r"no place \(0, 2, 0, 0\); its shape is \(1, 2, 2, 2\)"),
        ({"out": (0, 0)}, "its shape is"),
        ({"out": (0, 0, 0), "sample": 1}, "its shape is"),
        ({"gradient": ("wieght", (0, 0, 0, 0))}, "Did you mean weight"),
        ({"gradient": ("weight", (0,))}, "its shape is"),
        ({"input": (0, 0, 0), "branch": 1}, "has 1 input"),
        ({}, "say which number"),
        ({"out": (0, 0, 0), "input": (0, 0, 0)}, "say which number"),
    ):
        with pytest.raises(ArgumentError, match=told):
            found.explain("conv1", **options)
    with pytest.raises(ArgumentError, match="has no parameters"):
        found.explain("relu1", gradient=("weight", (0,)))


def test_a_large_network_asks_for_a_layer_and_says_why():
    stem = nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, 4, 3), relu1=nn.ReLU()))
    model = nn.Sequential(OrderedDict(stem=stem, flatten=nn.Flatten(), fc=nn.Linear(4 * 36, 4000)))
    x = torch.rand(1, 3, 8, 8)
    with pytest.raises(ArgumentError) as caught:
        trace(model, x)
    told = str(caught.value)
    assert f"{112 + 4 * 36 * 4000 + 4000:,} parameters" in told
    assert 'at="stem.conv1"' in told
    assert ".explain(" in told
    found = trace(model, x, 3, at="stem")
    assert found.names == ("stem.conv1", "stem.relu1", "loss")
    assert not found.whole
    assert found.agrees
    assert len(found.explain("stem.conv1", out=(2, 3, 3)).terms) == 3 * 9 + 1
    with pytest.raises(UnknownNameError, match=r"stem\.conv1"):
        trace(model, x, at="stem.cnv1")


def test_a_network_of_few_parameters_and_many_numbers_asks_too(monkeypatch):
    monkeypatch.setattr(running, "LIMIT", 10_000)
    x = np.random.default_rng(0).normal(size=(1, 1, 90, 90))
    model = nn.Sequential(nn.Conv2d(1, 2, 3))
    with pytest.raises(ArgumentError, match=f"20 parameters and their gradients and {2 * (8100 + 2 * 88 * 88):,} inputs, outputs and messages"):
        trace(model, x)
    found = trace(model, x, at="0")
    assert found["0"].agrees
    assert "checked at up to 12 places of each array" in found["0"].notes[0]
    with pytest.raises(ArgumentError, match="too many for a document"):
        as_json(found, largest=10_000)


def test_a_wrong_formula_of_a_large_box_is_found_out_too(monkeypatch):
    monkeypatch.setattr(boxing, "WHOLE", 10)
    model, x = nn.Sequential(nn.Conv2d(2, 3, 3, stride=2)), np.random.default_rng(0).normal(size=(1, 2, 7, 7))
    assert trace(model, x).agrees
    monkeypatch.setattr(Grid, "position", lambda self, place, tap: tuple(place[a] + tap[a] for a in range(2)))
    assert trace(model, x)["0"].agrees is False


def test_two_inputs_and_an_odd_output():
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add = Add()

        def forward(self, a, b):
            return {"sum": self.add(a, b)}

    found = trace(Pair(), ([[1.0, 2.0]], [[3.0, 4.0]]), loss=lambda out: out["sum"].prod())
    assert found.loss == 24
    assert found["add"].input_messages[1].tolist() == [[6, 4]]
    with pytest.raises(ArgumentError, match="gives dict, not one array"):
        trace(Pair(), ([[1.0, 2.0]], [[3.0, 4.0]]))


def test_text_has_every_number_of_a_small_net():
    text = str(from_spec("conv(1, 2x2) -> relu", [[1, -2, 3], [0, 1, 0]], parameters={"conv1.weight": [[1, 2], [3, 4]], "conv1.bias": 0.5}))
    assert "conv1  Conv2d  1x1x2x3 -> 1x1x1x2" in text
    assert "       1 −2  3\n       0  1  0\n" in text
    assert "   bias: 0.5\n" in text
    assert "      1.5 7.5\n" in text
    assert text.index("FORWARD") < text.index("BACKWARD")
    assert "input: the output of conv1" in text
