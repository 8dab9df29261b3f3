"""Activations, gradients, codes and taps at named layers, against plain torch on the same net; and the names that are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from striate import probe
from striate.core.errors import ArgumentError, UnknownNameError


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.conv2(self.relu(self.conv1(x)))
        y += x
        return self.relu(y)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block1, self.block2, self.fc = nn.Conv2d(2, 3, 1), Block(), Block(), nn.Linear(3, 2)

    def forward(self, x):
        x = F.relu_(self.stem(x))
        return self.fc(F.dropout(self.block2(self.block1(x)).mean((2, 3)), 0.5, self.training))


@pytest.fixture(scope="module")
def case():
    torch.manual_seed(1)
    model, x = Net().double().eval(), torch.randn(4, 2, 5, 5, dtype=torch.float64)
    given = x.clone().requires_grad_()
    seen = {"input": given}
    seen["stem"] = model.stem(given)
    h = seen["stem"].relu()
    for name in ("block1", "block2"):
        block = getattr(model, name)
        seen[f"{name}.conv1"] = block.conv1(h)
        seen[f"{name}.relu[0]"] = seen[f"{name}.conv1"].relu()
        seen[f"{name}.conv2"] = block.conv2(seen[f"{name}.relu[0]"])
        seen[f"{name}/add#1"] = seen[f"{name}.conv2"] + h
        seen[f"{name}.relu[1]"] = h = seen[f"{name}/add#1"].relu()
    seen["/mean#1"] = h.mean((2, 3))
    logits = model.fc(seen["/mean#1"])
    back = dict(zip(seen, torch.autograd.grad(logits[:, 1].sum(), list(seen.values())), strict=True))
    return model, x, {name: value.detach() for name, value in seen.items()}, back


def test_activations_and_gradients(case):
    model, x, seen, back = case
    found = probe.gradients(model, x, at=tuple(seen), of=lambda output: output[:, 1])
    for name in seen:
        torch.testing.assert_close(found.activations[name], seen[name], rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(found.gradients[name], back[name], rtol=1e-12, atol=1e-14)
    names = [name for name in seen if name != "input"]
    for name, value in probe.activations(model, x, at=names).items():
        assert torch.equal(value, found.activations[name])


def test_blocks_and_paper_names(case):
    model, x, seen, _ = case
    found = probe.activations(model, x, at=["conv2_x", "block2"], names={"conv2_x": "block1"})
    torch.testing.assert_close(found["conv2_x"], seen["block1.relu[1]"])
    torch.testing.assert_close(found["block2"], seen["block2.relu[1]"])


def test_codes_join_batches_and_run_in_eval_mode(case):
    model, x, seen, _ = case
    at = ["block1.relu[0]", "stem", "block1/add#1"]
    model.train()
    try:
        found = probe.codes(model, [x[:3], (x[3:], torch.zeros(1))], at)
        late = probe.codes(model, [x[:3], x[3:]], "/mean#1")
    finally:
        model.eval()
    assert list(found) == at
    for name in at:
        np.testing.assert_allclose(found[name], seen[name].numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(late["/mean#1"], seen["/mean#1"].numpy(), rtol=1e-12, atol=1e-14)


def test_the_pass_ends_after_the_last_layer_asked_for(case):
    model, x, _, _ = case
    ran = []
    handle = model.block2.register_forward_pre_hook(lambda *_: ran.append(1))
    try:
        probe.codes(model, [x, x, x], "block1")
    finally:
        handle.remove()
    assert len(ran) == 1  # the first pass learns how often each layer is called


def test_bf16_codes_are_float32():
    model = nn.Sequential(nn.Linear(2, 2)).bfloat16()
    assert probe.codes(model, [torch.ones(1, 2, dtype=torch.bfloat16)], "0")["0"].dtype == np.float32


def test_taps_carry_the_graph_and_survive_in_place(case):
    model, x, seen, _ = case
    given = x.clone().requires_grad_()
    with probe.tapped(model, ["stem", "block1/add#1", "block2.relu[1]"]) as taps:
        with pytest.raises(ArgumentError, match="not called yet"):
            taps["stem"]
        for _ in range(2):  # a later pass replaces an earlier one
            taps.model(given)
        torch.testing.assert_close(taps["stem"], seen["stem"])
        torch.testing.assert_close(taps["block1/add#1"], seen["block1/add#1"])
        objective = taps["stem"].square().sum()
        (back,) = torch.autograd.grad(objective, given)
    wanted = 2 * torch.einsum("nkij,kc->ncij", seen["stem"], model.stem.weight[:, :, 0, 0])
    torch.testing.assert_close(back, wanted)


def test_names_that_are_refused(case):
    model, x, _, _ = case
    with pytest.raises(UnknownNameError, match=r"unknown layer 'block1\.conv3'. Did you mean block1\.conv2 or block1\.conv1"):
        probe.activations(model, x, at="block1.conv3")
    with pytest.raises(UnknownNameError, match=r"Did you mean block1/add#1"):
        probe.activations(model, x, at="block1/add#2")
    with pytest.raises(ArgumentError, match=r"block1\.relu is called 2 times; say which: block1\.relu\[0\] to block1\.relu\[1\]"):
        probe.codes(model, [x], "block1.relu")
    with pytest.raises(ArgumentError, match=r"called 2 times, so the last turn is \[1\]"):
        probe.activations(model, x, at="block1.relu[2]")
    with pytest.raises(ArgumentError, match="got no layer"):
        probe.activations(model, x, at=())
    with pytest.raises(ArgumentError, match="batches: got none"):
        probe.codes(model, [], "stem")
    with pytest.raises(ArgumentError, match="batches: got dict"):
        probe.codes(model, [{}], "stem")
    with pytest.raises(ArgumentError, match=r"of: expected a tensor that depends"):
        probe.gradients(model, x, at="stem", of=lambda output: output.detach())
    with pytest.raises(ArgumentError, match="holds this module but did not call it"):
        probe.activations(Unused(), x, at="spare")


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(1, 1)

    def forward(self, x):
        return x + 1


def test_a_layer_the_objective_does_not_read_has_a_gradient_of_zeros():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            return self.a(x), self.b(x)

    found = probe.gradients(Two(), torch.ones(1, 2), at=["a", "b"], of=lambda output: output[0])
    assert found.gradients["b"].tolist() == [[0, 0]]
    assert found.gradients["a"].tolist() == [[1, 1]]


def test_edited_changes_what_goes_on_and_only_inside(case):
    model, x, seen, _ = case
    plain = model(x)
    with probe.edited(model, {"block1/add#1": lambda y: y * 0, "fc": lambda y: y + 1}) as changed:
        got = changed(x)
        again = changed(x)
    h = torch.zeros_like(seen["block1/add#1"])
    for conv in (model.block2.conv1, model.block2.conv2):
        h = conv(h.relu())
    wanted = model.fc(h.relu().mean((2, 3))) + 1
    torch.testing.assert_close(got, wanted)
    assert torch.equal(got, again)
    assert torch.equal(model(x), plain)


def test_readers_follow_values_not_names(case):
    model, x, _, _ = case
    recording = probe.record(model, x)
    stem = recording["stem"]
    assert [call.key for call in recording.readers(stem)] == ["/relu#1"]
    assert [call.key for call in recording.readers(recording["/relu#1"])] == ["block1.conv1", "block1/add#1"]
    assert recording.readers(recording["fc"]) == ()
