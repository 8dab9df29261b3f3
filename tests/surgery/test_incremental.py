"""Running a network again only where its input changed: the same scores as running it whole, for any step a network is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from striate import zoo
from striate.core.errors import ArgumentError
from striate.surgery import Incremental
from striate.surgery.patches import Slide


@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.integers(8, 20), st.integers(0, 19), st.integers(1, 8))
@settings(max_examples=200, deadline=None)
def test_outputs_that_an_input_reaches(kernel: int, stride: int, padding: int, dilation: int, size: int, start: int, length: int) -> None:
    """Against the definition: an output is reached if its window holds one of the changed inputs."""
    start = min(start, size - 1)
    length = min(length, size - start)
    slide = Slide(kernel, stride, padding, dilation)
    out = (size + 2 * padding - slide.reach) // stride + 1
    if out < 1:
        return
    windows = [{place * stride - padding + tap * dilation for tap in range(kernel)} for place in range(out)]
    touched = [place for place, window in enumerate(windows) if window & set(range(start, start + length))]
    first, count = slide.reached(np.array([start]), length, out)
    assert first[0] >= 0
    assert first[0] + count <= out
    assert set(touched) <= set(range(int(first[0]), int(first[0]) + count))


def variations(seed: int, size: int, count: int = 6, window: int = 4) -> tuple[Tensor, Tensor]:
    """A picture, and copies that differ from it in a window each: corners, edges and anywhere, and one that does not differ."""
    generator = torch.Generator().manual_seed(seed)
    known = torch.rand(1, 3, size, size, generator=generator)
    inputs = known.repeat(count, 1, 1, 1)
    last = size - window
    places = [(0, 0), (last, last), (0, last), *torch.randint(0, last + 1, (count - 4, 2), generator=generator).tolist()]
    for number, (top, left) in enumerate(places):
        inputs[number, :, top : top + window, left : left + window] = torch.rand(3, window, window, generator=generator)
    return known, inputs


class Crossing(nn.Module):
    """Steps of every kind: strides, dilation, groups, pools that round up, sums and joins of branches, functions, numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, stride=2, padding=2)
        self.bn = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.one = nn.Conv2d(8, 8, 1)
        self.three = nn.Conv2d(8, 8, 3, padding="same", groups=4)
        self.wide = nn.Conv2d(8, 8, 3, padding=2, dilation=2)
        self.lrn = nn.LocalResponseNorm(3)
        self.average = nn.AvgPool2d(2, 2)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.bn(self.stem(x))))
        x = x + F.max_pool2d(self.three(self.one(x)), 3, 1, 1)
        x = torch.cat([self.lrn(self.wide(x)), 2 * x], 1)
        return self.head(self.average(x).relu().mean((2, 3)))


def test_every_kind_of_step() -> None:
    torch.manual_seed(0)
    network = Crossing()
    network.train()(torch.rand(8, 3, 64, 64))
    network.eval()
    again = Incremental(network)
    for size in (61, 64, 75):
        known, inputs = variations(size, size)
        with torch.no_grad():
            wanted = network(inputs)
            again.around(known)
            found = again(inputs)
        assert again.work.steps >= 10
        assert again.work.spared > 0
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["squeezenet1_1", *(pytest.param(name, marks=pytest.mark.slow) for name in ("resnet18", "densenet121", "googlenet", "vgg11_bn", "nin"))]
)
def test_architectures_in_float64(name: str) -> None:
    """Float64 leaves no room for an edge that is a little wrong."""
    torch.manual_seed(0)
    network = zoo.build(name, classes=5, input=(3, 96, 96)).double()
    with torch.no_grad():
        network.train()(torch.rand(4, 3, 96, 96, dtype=torch.float64))
    network.eval()
    known, inputs = (each.double() for each in variations(1, 96, 5, 6))
    again = Incremental(network)
    with torch.no_grad():
        wanted = network(inputs)
        again.around(known)
        found = again(inputs)
    assert again.work.steps > 0
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


def test_larger_differences_and_none() -> None:
    """A picture that differs everywhere is run whole; one that is the known one gives its scores; without a known one everything is whole."""
    torch.manual_seed(0)
    network = Crossing().eval()
    again = Incremental(network)
    known, other = torch.rand(1, 3, 64, 64), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        again.around(known)
        torch.testing.assert_close(again(other), network(other))
        assert again.work.steps == 0
        torch.testing.assert_close(again(known.repeat(3, 1, 1, 1)), network(known).repeat(3, 1), rtol=1e-5, atol=1e-6)
        assert again.work.steps > 0
        torch.testing.assert_close(again(torch.rand(2, 3, 48, 48)).shape, torch.Size([2, 5]))
        again.around(None)
        torch.testing.assert_close(again(other), network(other))


def test_a_changed_forward_is_respected() -> None:
    """A layer that somebody hooked, or gave a forward of its own, is called, not its weights."""
    torch.manual_seed(0)
    network = Crossing().eval()
    network.three.register_forward_hook(lambda module, args, output: output * 3)
    known, inputs = variations(3, 64)
    again = Incremental(network)
    with torch.no_grad():
        again.around(known)
        torch.testing.assert_close(again(inputs), network(inputs), rtol=1e-5, atol=1e-6)


def test_networks_that_cannot_be_run_again() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ArgumentError, match="several inputs"):
        Incremental(Two().eval())
    with pytest.raises(ArgumentError, match="cannot be followed"):
        Incremental(Branching().eval())
    with pytest.raises(ArgumentError, match="training mode"):
        Incremental(Crossing())


def test_joins_spelled_by_name() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat(tensors=[self.conv(x), x], dim=1)

    network = Named().eval()
    known, inputs = variations(5, 48)
    again = Incremental(network)
    with torch.no_grad():
        again.around(known)
        torch.testing.assert_close(again(inputs), network(inputs))
    assert again.work.steps == 2
