"""Deconvnet and guided backpropagation against closed forms and against a network written out by hand, switches and all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import striate.understand as u
from striate.core.errors import ArgumentError, UnknownNameError
from striate.probe.conformance import Explicit
from striate.understand.projecting import on_grey


class OneReLU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 6, 3, bias=False), nn.Linear(6, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(F.relu(self.conv(x)).sum((2, 3)))


class Pooled(nn.Module):
    """Two max pools of 3 over 2: windows overlap."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 5, 3, padding=1)
        self.fc = nn.Linear(5 * 3 * 3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 3, 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 3, 2)
        return self.fc(x.flatten(1))

    def by_hand(self, rule: str, pixels: np.ndarray, target: int) -> np.ndarray:
        net = Explicit(rule)
        start = net.node(pixels)
        x = net.max_pool(net.relu(net.conv(start, self.conv1.weight, self.conv1.bias, 1)), 3, 2)
        x = net.max_pool(net.relu(net.conv(x, self.conv2.weight, self.conv2.bias, 1)), 3, 2)
        net.send(net.linear(x, self.fc.weight, self.fc.bias), target)
        return start.message


def made(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(11)
    return kind().double()


def pictures(count: int = 3, side: int = 15) -> torch.Tensor:
    return torch.rand(count, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def test_one_relu_is_the_clamped_gradient_and_the_transposed_convolution() -> None:
    net, x = made(OneReLU), pictures()
    target = [0, 3, 1]
    sent = net.fc.weight.detach()[target][:, :, None, None].clamp(min=0).expand(-1, -1, 13, 13)
    on = (F.conv2d(x, net.conv.weight) > 0).detach()
    for name, above in (("guided", sent * on), ("deconvnet", sent)):
        expected = F.conv_transpose2d(above, net.conv.weight.detach()).numpy()
        found = getattr(u, name)(net, x, target=target, preprocess="identity")
        np.testing.assert_allclose(found.arrays["signal"], expected, rtol=0, atol=1e-6 * np.abs(expected).max())
        np.testing.assert_allclose(found.arrays["map"], np.abs(expected).max(1), rtol=1e-12)
        assert found.receipts["relus"] == 1
        assert found.target == (0, 3, 1)


@pytest.mark.parametrize("name", ["guided", "deconvnet"])
def test_overlapping_pools_against_explicit_switches(name: str) -> None:
    net, x = made(Pooled), pictures()
    expected = net.by_hand(name, x.numpy(), 2)
    found = getattr(u, name)(net, x, target=2, preprocess="identity")
    np.testing.assert_allclose(found.arrays["map"], np.abs(expected).max(1), rtol=0, atol=1e-10 * np.abs(expected).max())
    assert found.receipts["relus"] == 2
    assert found.receipts["pools"] == (2 if name == "deconvnet" else 0)


def test_switches_are_not_the_pooling_gradient_where_windows_overlap() -> None:
    net, x = made(Pooled), pictures()
    x = x.clone()
    x[:, :, 7, 7] = 1.0  # bright: several windows choose it
    conv = net.conv1
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[:, :, 1, 1] = 1.0
    by_switch = u.deconvnet(net, x, target=2, preprocess="identity").arrays["signal"]
    from striate.probe import rules

    with rules(net, relu="deconvnet", pool="gradient") as active:
        leaf = x.clone().requires_grad_()
        active.model.eval()
        added = torch.autograd.grad(active.model(leaf)[:, 2].sum(), leaf)[0].numpy()
    assert np.abs(by_switch - added).max() > 0.01 * np.abs(added).max()


def test_a_unit_is_the_strongest_of_its_layer_and_sees_its_field_only() -> None:
    net, x = made(Pooled), pictures(side=15)
    seen = F.conv2d(F.max_pool2d(F.relu(net.conv1(x)), 3, 2), net.conv2.weight, net.conv2.bias, padding=1).detach().numpy()
    whole = u.deconvnet(net, x, layer="conv2", preprocess="identity")
    one = u.deconvnet(net, x, layer="conv2", channel=3, preprocess="identity")
    for number in range(len(x)):
        assert tuple(whole.arrays["unit"][number]) == np.unravel_index(seen[number].argmax(), seen[number].shape)
        channel, row, column = one.arrays["unit"][number]
        assert channel == 3
        assert (row, column) == np.unravel_index(seen[number, 3].argmax(), seen[number, 3].shape)
        outside = np.ones((15, 15), dtype=bool)  # conv2's field: 3 cells of stride 2, each a 3-pool of 3-convolutions: 9 pixels from 2·row - 3 on
        outside[max(2 * row - 3, 0) : 2 * row + 6, max(2 * column - 3, 0) : 2 * column + 6] = False
        assert np.abs(one.arrays["map"][number][outside]).max(initial=0) == 0
        assert one.arrays["map"][number].max() > 0
    assert whole.target is None


def test_other_activations_are_counted_and_told() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(4 * 11 * 11, 3))
    found = u.guided(net, pictures(1).float(), preprocess="identity")
    assert found.notes[-1] == "1 x gelu: no ReLU, left with its own derivative"


def test_errors_say_what_is_wrong() -> None:
    net, x = made(Pooled), pictures()
    with pytest.raises(ArgumentError, match="the gradient passed no ReLU"):
        u.guided(nn.Sequential(nn.Flatten(), nn.Linear(675, 3)).double(), x, preprocess="identity")
    with pytest.raises(ArgumentError, match="it belongs to a layer"):
        u.deconvnet(net, x, channel=1)
    with pytest.raises(ArgumentError, match="conv2 has channels 0 to 4"):
        u.deconvnet(net, x, layer="conv2", channel=5)
    with pytest.raises(UnknownNameError, match="conv2"):
        u.deconvnet(net, x, layer="conv3")


def test_a_signal_on_grey_keeps_its_sign_and_zero_is_grey() -> None:
    signal = np.array([[[0.0, 2.0, -1.0]]])
    np.testing.assert_allclose(on_grey(signal), [[[0.5, 1.0, 0.25]]])
    np.testing.assert_allclose(on_grey(signal, 4.0), [[[0.5, 0.75, 0.375]]])
    np.testing.assert_allclose(on_grey(np.zeros((3, 2, 2))), np.full((3, 2, 2), 0.5))
    assert u.guided(made(Pooled), pictures(1), target=2, preprocess="identity").figure().title == (
        "What in the picture lifts class 2, by guided backpropagation"
    )
