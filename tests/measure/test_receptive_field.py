"""Receptive fields against the gradient: which input pixels really reach one unit of a network with positive weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from striate import zoo
from striate.layers import Add, Concat, PadShortcut, Subsampling
from striate.measure import summary

SIDE = 33


def positive(model: nn.Module) -> nn.Module:
    """Make every pixel that can count, count: weights of one, no dead unit."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    return model.double().eval()


def reach(model: nn.Module, shape: tuple[int, ...], places: tuple[int, ...]) -> list[tuple[int, int]]:
    """First and last input position along each axis with a gradient from the unit at `places`."""
    x = torch.rand(1, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    x.requires_grad_()
    y = positive(model)(x)
    y[(0, slice(None), *places)].sum().backward()
    seen = x.grad[0].abs().sum(0).nonzero()
    return [(int(seen[:, axis].min()), int(seen[:, axis].max())) if len(seen) else None for axis in range(len(shape) - 1)]


def told(field, places):
    """The same positions by the algebra."""
    firsts = [int(offset + place * stride) for stride, offset, place in zip(field.stride, field.offset, places, strict=True)]
    return [(first, first + size - 1) for first, size in zip(firsts, field.size, strict=True)]


def check(model, shape=(1, SIDE, SIDE)):
    """Compare at the first, the middle and the last unit of the last map; at the edges the gaps of dilated kernels may hide pixels."""
    found = summary(model, shape)
    last = found.boxes[-1]
    sizes = last.output_shape[2:]
    for share in (0.0, 0.5, 1.0):
        places = tuple(int((size - 1) * share) for size in sizes)
        for by_algebra, by_gradient, side in zip(told(last.receptive_field, places), reach(model, shape, places), shape[1:], strict=True):
            if by_algebra[0] >= 0 and by_algebra[1] < side:
                assert by_algebra == by_gradient, (share, last)
            elif by_gradient is not None:
                assert by_algebra[0] <= by_gradient[0], (share, last)
                assert by_gradient[1] <= by_algebra[1], (share, last)
    return last.receptive_field


@st.composite
def chains(draw):
    layers, size = [], SIDE
    for _ in range(draw(st.integers(1, 5))):
        kernel, stride, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
        extent = dilation * (kernel - 1) + 1
        padding = draw(st.integers(0, extent // 2))
        if size + 2 * padding < extent + 2 * stride:
            break
        kind = draw(st.sampled_from(["conv", "average", "depthwise"]))
        if kind == "average" and padding <= kernel // 2:
            layers.append(nn.AvgPool2d(kernel, stride, padding))
            extent = kernel
        else:
            layers.append(nn.Conv2d(1, 1, kernel, stride, padding, dilation))
        size = (size + 2 * padding - extent) // stride + 1
    return nn.Sequential(*layers, nn.ReLU())


@settings(max_examples=25)
@given(model=chains())
def test_chains(model):
    check(model)


class Branches(nn.Module):
    """A residual sum over unequal branches, then a concatenation, with functional calls between."""

    def __init__(self, join):
        super().__init__()
        self.wide = nn.Conv2d(1, 1, 7, padding=3)
        self.narrow = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.Conv2d(1, 1, 3, padding=1))
        self.join, self.after = join, nn.LazyConv2d(1, 3, stride=2)

    def forward(self, x):
        both = self.join(self.wide(x), F.relu(self.narrow(x)))
        return self.after(F.avg_pool2d(both, 2, 1) + 0.5)


@pytest.mark.parametrize("join", [Add(), Concat(), lambda a, b: a + b, lambda a, b: torch.cat([a, b], 1)])
def test_branches(join):
    model = Branches(join)
    model(torch.zeros(1, 1, SIDE, SIDE))
    field = check(model)
    assert field.size == (10, 10), "7 of the wide branch, 1 more by the pool, 2 by the convolution"


class Odd(nn.Module):
    """One way of moving pixels about."""

    def __init__(self, move):
        super().__init__()
        self.first, self.move, self.last = nn.Conv2d(1, 1, 3, padding=1), move, nn.Conv2d(1, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.move(self.first(x)))


MOVES = {
    "sliced": lambda x: x[:, :, 3::2, ::3],
    "ellipsis": lambda x: x[..., 2:-4, 1:],
    "padded": lambda x: F.pad(x, (2, 1, 0, 3)),
    "transposed": lambda x: x.transpose(2, 3)[:, :, ::2].transpose(-1, -2),
    "permuted": lambda x: x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
    "reshaped": lambda x: x.view(x.shape[0], 1, 1, *x.shape[2:]).squeeze(1),
    "in place": lambda x: F.relu_(x.mul_(2.0)),
    "shortcut": PadShortcut(0, 2),
    "subsampling": Subsampling(1),
    "edges": nn.ReplicationPad2d(0),
    "same": nn.Conv2d(1, 1, 5, padding="same"),
    "unfolded twice": nn.Sequential(nn.ReLU(), nn.ReLU()),
}


@pytest.mark.parametrize("move", MOVES)
def test_moves(move):
    check(Odd(MOVES[move]))


def test_one_dimension_and_rectangles():
    check(nn.Sequential(nn.Conv1d(2, 3, 5, 2), nn.ReLU(), nn.AvgPool1d(3, 2, 1)), (2, 40))
    field = check(nn.Sequential(nn.Conv2d(1, 2, (3, 5), (1, 2), (1, 0)), nn.Conv2d(2, 1, (1, 3))))
    assert field.size == (3, 9)
    assert field.stride == (1, 2)


def test_upsampling_steps_by_less_than_a_pixel():
    found = summary(nn.Sequential(nn.Conv2d(1, 1, 3, 2, 1), nn.ConvTranspose2d(1, 1, 4, 2, 1), nn.Upsample(scale_factor=2)), (1, 32, 32))
    steps = [box.receptive_field.stride for box in found.boxes]
    assert steps == [(1, 1), (2, 2), (1, 1), (0.5, 0.5)]
    model = nn.Sequential(nn.Conv2d(1, 1, 3, 2, 1), nn.ConvTranspose2d(1, 1, 4, 2, 1))
    (first, last), _ = reach(model, (1, 32, 32), (15, 15))
    assert summary(model, (1, 32, 32)).boxes[-1].receptive_field.size[0] == last - first + 1


def test_dense_layers_and_global_pools_see_everything():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2 * 8 * 8, 5))
    assert summary(net, (1, 16, 16)).boxes[-1].receptive_field.size == (18, 18), "8 windows of 2 pixels, and one of padding on either side"
    means = summary(Odd(lambda x: x.mean((2, 3), keepdim=True).expand(-1, -1, 3, 3)), (1, 16, 16))
    assert means["/mean#1"].receptive_field.size == (18, 18)
    gated = summary(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), Gate()), (1, 16, 16))
    assert gated.boxes[-1].receptive_field.size == (18, 18), "a gate computed from the whole map makes every unit see all of it"
    assert gated.boxes[-1].receptive_field.stride == (1, 1)


class Two(nn.Module):
    """Two convolutions, and what is made of both."""

    def __init__(self, make):
        super().__init__()
        self.c, self.d, self.make = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1), make

    def forward(self, x):
        return self.make(self.c(x), self.d(x))


REDUCTIONS = {
    "axis": (lambda c, d: c.mean(axis=1) + d.sum(1), (3, 3)),
    "kept axis": (lambda c, d: c.mean(axis=1, keepdim=True) + d.max(axis=1, keepdim=True)[0], (3, 3)),
    "axes": (lambda c, d: c.mean(axis=(1, 3), keepdim=True) + d, (3, 18)),
    "larger of two": (torch.max, (3, 3)),
    "smaller of two": (lambda c, d: c.min(other=d), (3, 3)),
    "maximum over a dimension": (lambda c, d: torch.max(c + d, 2, keepdim=True)[0], (18, 3)),
    "over all": (lambda c, d: torch.max(c + d), (18, 18)),
    "norm over channels": (lambda c, d: (c + d).norm(2, 1), (3, 3)),
    "norm over all": (lambda c, d: (c + d).norm(2), (18, 18)),
    "normalised over channels": (lambda c, d: F.normalize(c + d), (3, 3)),
    "normalised along a row": (lambda c, d: F.normalize(c + d, dim=-1), (3, 18)),
    "normalised, by number": (lambda c, d: F.normalize(c + d, 2.0, 2), (18, 3)),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_see_along_their_dimensions_and_no_others(name):
    make, size = REDUCTIONS[name]
    found = summary(Two(make), (3, 16, 16))
    assert found.boxes[-1].receptive_field.size == size
    assert found.notes == ()
    torch.manual_seed(0)
    model, reached = Two(make), torch.zeros(16, 16)
    for _ in range(60):  # a maximum sends its gradient to one place, another one each time
        x = torch.rand(1, 3, 16, 16, requires_grad=True)
        y = model(x)
        middle = [n // 2 for n in y.shape[-2:]] if y.ndim > 2 else []
        y[(..., *middle)].sum().backward()
        reached += x.grad[0].abs().sum(0)
    seen = reached.nonzero()
    spans = (seen.max(0).values - seen.min(0).values + 1).tolist()
    assert spans == [min(side, 16) for side in size], "18 is all 16 and one of padding on either side"


class Attention(nn.Module):
    """The spatial half of CBAM (Woo et al. 2018)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x):
        pooled = torch.cat([x.mean(axis=1, keepdim=True), x.max(axis=1, keepdim=True)[0]], 1)
        return x * torch.sigmoid(self.conv(pooled))


def test_spatial_attention_sees_what_its_window_does():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), Attention())
    torch.manual_seed(0)
    reached = torch.zeros(64, 64)
    for _ in range(60):
        x = torch.rand(1, 3, 64, 64, requires_grad=True)
        model(x)[0, :, 32, 32].sum().backward()
        reached += x.grad[0].abs().sum(0)
    seen = reached.nonzero()
    by_gradient = tuple((seen.max(0).values - seen.min(0).values + 1).tolist())
    assert summary(model, (3, 64, 64)).boxes[-1].receptive_field.size == by_gradient == (9, 9)


def test_noise_is_no_lost_field():
    found = summary(Two(lambda c, d: c + d * torch.randn_like(d) + c.new_zeros(1)), (3, 16, 16))
    assert found.boxes[-1].receptive_field.size == (3, 3)
    assert found.notes == ()


class Gate(nn.Module):
    """Squeeze and excite."""

    def __init__(self):
        super().__init__()
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Conv2d(1, 1, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc(self.pool(x)))


PUBLISHED = {"vgg16": ("features.30", 212), "alexnet": ("features.12", 195), "resnet18": ("layer4.1.relu2", 435), "resnet50": ("layer4.2.relu3", 427)}
"""Araujo, Norris, Sim: Computing receptive fields of convolutional neural networks, 2019 its ResNet-50 of 483 strides elsewhere: the sum is

    7 + 2·2 + 3·(2·4) + (2·4 + 3·2·8) + (2·8 + 5·2·16) + (2·16 + 2·2·32) = 427 with torchvision's strides, and likewise 435 for ResNet-18.
"""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_fields(name):
    if name not in zoo.names():
        pytest.skip(f"the zoo has no {name} yet")
    address, size = PUBLISHED[name]
    card = zoo.card(name)
    found = summary(lambda: zoo.build(name, classes=card.classes, input=card.input), card.input)
    assert found[address].receptive_field.size == (size, size)


def test_what_cannot_be_followed_is_said():
    found = summary(Odd(lambda x: torch.fft.fft2(x).real), (1, 16, 16))
    assert found.boxes[-1].receptive_field is None
    assert any(note.startswith("receptive fields cannot be followed through fft") for note in found.notes)
