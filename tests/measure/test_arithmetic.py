"""Window arithmetic against torch: places, what the floor leaves unseen (by the gradient), and what would fit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from striate.core.errors import ArgumentError
from striate.measure import arithmetic
from striate.measure.operations import convolution, linear, locally_connected, pool

WINDOWS = {
    "size": st.integers(1, 40),
    "kernel": st.integers(1, 7),
    "stride": st.integers(1, 9),
    "padding": st.integers(0, 3),
    "dilation": st.integers(1, 3),
}


def convolved(size, kernel, stride, padding, dilation):
    """The number of places and how many times each padded position is read, by torch."""
    x = torch.zeros(1, 1, size + 2 * padding, requires_grad=True)
    y = F.conv1d(x, torch.ones(1, 1, kernel), stride=stride, dilation=dilation)
    y.sum().backward()
    return y.shape[-1], x.grad[0, 0]


@given(**WINDOWS)
def test_places_and_losses_are_those_of_a_real_convolution(size, kernel, stride, padding, dilation):
    extent = dilation * (kernel - 1) + 1
    settings = {"stride": stride, "padding": padding, "dilation": dilation}
    if size + 2 * padding < extent:
        with pytest.raises(ArgumentError, match=f"kernel {kernel} .*does not fit into {size} pixels"):
            arithmetic.output_size(size, kernel, **settings)
        return
    places, reads = convolved(size, kernel, stride, padding, dilation)
    found = arithmetic.fits(size, kernel, **settings)
    assert arithmetic.output_size(size, kernel, **settings) == found.places == places
    last = int(reads.nonzero().max())
    assert found.unseen == len(reads) - 1 - last
    assert found.exact == (found.unseen == 0)
    for s in found.strides:
        assert (size + 2 * padding - extent) % s == 0
    for p in found.paddings:
        assert arithmetic.fits(size, kernel, stride=stride, padding=p, dilation=dilation).exact
    for n in found.sizes:
        assert arithmetic.fits(n, kernel, **settings).exact
    nearer = range(min(found.sizes, default=size) + 1, size) if found.sizes and found.sizes[0] < size else ()
    assert not any(n + 2 * padding >= extent and arithmetic.fits(n, kernel, **settings).exact for n in nearer if n != size)
    if stride <= extent and not found.exact:
        assert found.lost == max(0, found.unseen - padding), "real pixels are lost only beyond the padding"


@given(size=st.integers(1, 30), kernel=st.integers(1, 6), stride=st.integers(1, 6), padding=st.integers(0, 3))
def test_ceil_mode_is_torchs(size, kernel, stride, padding):
    if padding > kernel // 2 or size + 2 * padding < kernel:
        return
    wanted = F.max_pool1d(torch.zeros(1, 1, size), kernel, stride, padding, ceil_mode=True).shape[-1]
    assert arithmetic.output_size(size, kernel, stride=stride, padding=padding, ceil=True) == wanted


@given(kernel=st.integers(1, 6), padding=st.integers(0, 6))
def test_a_pools_padding_is_refused_where_torch_refuses_it(kernel, padding):
    try:
        places = F.max_pool1d(torch.zeros(1, 1, 9), kernel, padding=padding).shape[-1]
    except RuntimeError:
        with pytest.raises(ArgumentError, match=f"padding: got {padding} for a window of {kernel}, expected at most half of it"):
            pool((9, 1), kernel, padding=padding)
    else:
        assert pool((9, 1), kernel, padding=padding).shape == (places, 1)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even")
@given(kernel=st.integers(1, 7), dilation=st.integers(1, 3), size=st.integers(20, 30))
def test_same_padding_is_torchs_and_keeps_the_size(kernel, dilation, size):
    x, w = torch.zeros(1, 1, size, requires_grad=True), torch.ones(1, 1, kernel)
    y = F.conv1d(x, w, padding="same", dilation=dilation)
    assert arithmetic.output_size(size, kernel, padding="same", dilation=dilation) == y.shape[-1] == size
    y[0, 0, 0].backward()
    window = arithmetic.window(kernel, padding="same", dilation=dilation)
    assert int(x.grad[0, 0].nonzero().max()) == window.extent - 1 - window.before, "the odd pixel of padding stands last"


def test_the_course_example_names_what_fits():
    found = arithmetic.fits(7, 3, stride=3)
    assert (found.places, found.lost, found.strides, found.paddings, found.sizes) == (2, 1, (1, 2, 4), (1,), (6, 9))
    assert found.sentence("7x7") == (
        "7x7 does not fit kernel 3, stride 3: (7 − 3)/3 + 1 = 2.333, so 2 places; the last pixel is never seen. "
        "What fits: strides 1, 2 or 4; padding 1; sizes 6 or 9"
    )
    assert [arithmetic.output_size(7, 3, stride=s) for s in (1, 2)] == [5, 3]
    assert arithmetic.fits(7, 3, stride=2).exact
    assert not arithmetic.fits(224, 11, stride=4).exact, "the slide's AlexNet: 54.25"
    assert arithmetic.fits(227, 11, stride=4).places == 55
    stem = arithmetic.fits(224, 7, stride=2, padding=3)
    assert (stem.unseen, stem.lost) == (1, 0)
    assert "no pixel of the picture is lost" in stem.sentence()


def test_rows_o1_to_o3():
    assert linear((32, 32), 32 * 32).parameters == 32**2 * (32**2 + 1) == 1_049_600
    assert locally_connected((32, 32, 1), 3).parameters == 9_000
    assert locally_connected((32, 32, 3), 3).parameters == 25_200
    signal = (7, 1)
    counts = [linear(signal, 3, bias=False), locally_connected(signal, 3, stride=2, bias=False), convolution(signal, 1, 3, stride=2, bias=False)]
    assert [figures.parameters for figures in counts] == [21, 9, 3]
    assert {figures.shape[0] for figures in counts} == {3}
    assert [convolution((32, 32, 3), k, 3).parameters for k in (1, 4)] == [28, 112]
    ten = convolution((32, 32, 3), 10, 5, padding=2)
    assert (ten.shape, ten.parameters, ten.activations, ten.bytes) == ((32, 32, 10), 760, 10_240, 40_960)
    first = convolution((32, 32, 3), 6, 5)
    assert (first.shape, convolution(first.shape, 10, 3).shape) == ((28, 28, 6), (26, 26, 10))
    assert all(convolution((19, 23, 2), 5, f, padding=(f - 1) // 2).shape == (19, 23, 5) for f in (1, 3, 5, 7))
    assert convolution((56, 56, 64), 32, 1).shape == (56, 56, 32)
    assert pool((224, 224, 64), 2).shape == (112, 112, 64)
    assert pool((6, 6, 1), 2).parameters == 0


@settings(max_examples=40)
@given(
    space=st.tuples(st.integers(7, 15), st.integers(7, 15)),
    groups=st.integers(1, 3),
    factors=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    bias=st.booleans(),
)
def test_a_convolutions_figures_are_torchs(space, groups, factors, kernel, stride, padding, bias):
    channels, filters = groups * factors[0], groups * factors[1]
    layer = torch.nn.Conv2d(channels, filters, kernel, stride, padding, groups=groups, bias=bias, device="meta")
    x = torch.empty(1, channels, *space, device="meta")
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        y = layer(x)
    found = convolution((*space, channels), filters, kernel, stride=stride, padding=padding, groups=groups, bias=bias)
    assert found.shape == (*y.shape[2:], filters)
    assert found.parameters == sum(p.numel() for p in layer.parameters())
    assert found.multiply_adds == counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (lambda: arithmetic.output_size(0, 3), "size: got 0, expected a whole number of 1 or more"),
        (lambda: arithmetic.output_size(5, 3, padding="full"), "padding: got 'full', expected a number, same or valid"),
        (lambda: arithmetic.output_size(5, 3, stride=2, padding="same"), "same needs stride 1, got stride 2; for an odd kernel give the number 1"),
        (lambda: arithmetic.output_size(3, 5), "it needs 5 and there are 3"),
        (lambda: arithmetic.output_size(3, 3, dilation=2, padding=0), "with dilation 2 spans 5 pixels"),
        (lambda: convolution((8, 8, 3), 4, 3, groups=2), "divides both the 3 input channels and the 4 filters"),
        (lambda: convolution((8, 8, 3), 0, 3), "filters: got 0"),
        (lambda: convolution((8, 8, 3), 4, (3, 3, 3)), "size: got"),
        (lambda: convolution((8,), 4, 3), "input: got 8, expected height x width x channels"),
    ],
)
def test_errors_name_the_argument(action, text):
    with pytest.raises(ArgumentError, match=text):
        action()
