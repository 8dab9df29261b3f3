"""Hooks people put on their network: functions do not run, objects that were copied with it are followed honestly."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.tracing import trace

X = torch.rand(2, 3)


def test_functions_hooked_to_a_network_do_not_run_and_it_is_said():
    model, seen = nn.Sequential(nn.Linear(3, 2), nn.ReLU()), []
    expected = model(X).sum().item()
    model[0].register_forward_hook(lambda module, args, output: seen.append(output))
    model[0].register_full_backward_hook(lambda module, sent, came: seen.append(came))
    model[1].register_forward_hook(lambda module, args, output: output * 2)
    found = trace(model, X)
    assert not seen
    assert found.agrees
    assert found.loss == pytest.approx(expected, rel=1e-5)
    assert "3 hooks of the model did not run while it was traced" in found.notes
    model(X)
    assert len(seen) == 1, "the network's own hooks are where they were"


class Doubled:
    def __call__(self, module, args, output):
        return output * 2


def test_a_hook_that_is_an_object_is_followed():
    model = nn.Sequential(nn.Linear(3, 2), nn.Flatten())
    model[0].register_forward_hook(Doubled())
    found = trace(model, X)
    assert found.output == pytest.approx(model(X).detach().numpy(), rel=1e-5)
    assert found.agrees, found.verdict
    assert "a hook changes what Linear does: its numbers are torch's and autograd's" in found["0"].notes


def test_normalised_weights_are_followed():
    model = nn.Sequential(torch.nn.utils.spectral_norm(nn.Linear(3, 3)))
    found = trace(model, X)
    assert found.agrees, found.verdict
    assert not any("did not run" in note for note in found.notes)
