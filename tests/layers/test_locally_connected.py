"""Row O2: the parameters of locally connected layers, what they compute beside a convolution, and what sharing weights means."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from striate.core.errors import ArgumentError
from striate.layers import LocallyConnected1d, LocallyConnected2d
from striate.layers.locally_connected import FEW


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_parameters_of_the_course():
    assert parameters(LocallyConnected2d(1, 1, 32, 3)) == 30**2 * (3**2 + 1) == 9_000
    assert parameters(LocallyConnected2d(3, 1, (32, 32), 3)) == 30**2 * (3 * 3**2 + 1) == 25_200


def test_seven_inputs_to_three_nodes_dense_local_shared():
    local = LocallyConnected1d(1, 1, 7, 3, stride=2, bias=False)
    shared, dense = nn.Conv1d(1, 1, 3, stride=2, bias=False), nn.Linear(7, 3, bias=False)
    x = torch.randn(2, 1, 7)
    assert local(x).shape == shared(x).shape == dense(x).shape == (2, 1, 3)
    assert [parameters(layer) for layer in (dense, local, shared)] == [21, 9, 3]
    with torch.no_grad():  # local is the dense layer whose other weights are 0
        dense.weight.zero_()
        for node in range(3):
            dense.weight[node, 2 * node : 2 * node + 3] = local.weight[node, 0, 0]
    assert torch.allclose(local(x), dense(x), atol=1e-6)


def sides(draw, *, strides=3):
    kernel, dilation, padding = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(0, 3))
    least = max(1, dilation * (kernel - 1) + 1 - 2 * padding)
    return draw(st.integers(least, least + 6)), kernel, draw(st.integers(1, strides)), padding, dilation


@st.composite
def cases(draw):
    (h, kh, sh, ph, dh), (w, kw, sw, pw, dw) = sides(draw), sides(draw)
    options = {"stride": (sh, sw), "padding": (ph, pw), "dilation": (dh, dw)}
    return draw(st.sampled_from([1, 3, FEW, FEW + 1])), draw(st.integers(1, 3)), draw(st.integers(1, 3)), (h, w), (kh, kw), options


@settings(max_examples=25)
@given(cases(), st.booleans(), st.booleans())
def test_with_the_same_weights_everywhere_it_is_the_convolution(case, bias, last):
    samples, channels, filters, size, kernel, options = case
    shared = nn.Conv2d(channels, filters, kernel, bias=bias, **options).double()
    local = LocallyConnected2d(channels, filters, size, kernel, bias=bias, **options).double()
    with torch.no_grad():
        local.weight.copy_(shared.weight.expand_as(local.weight))
        if bias:
            local.bias.copy_(shared.bias.expand_as(local.bias))
    x = torch.randn(samples, channels, *size, dtype=torch.float64)
    if last:
        x = x.to(memory_format=torch.channels_last)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    got, wanted = local(a), shared(b)
    assert got.shape == wanted.shape
    assert torch.allclose(got, wanted, rtol=1e-10, atol=1e-10)
    delta = torch.randn_like(wanted)
    got.backward(delta)
    wanted.backward(delta)
    assert torch.allclose(a.grad, b.grad, rtol=1e-10, atol=1e-10)
    assert torch.allclose(local.weight.grad.sum((0, 1)), shared.weight.grad, rtol=1e-10, atol=1e-10), "sharing adds the places' gradients"


@settings(max_examples=15)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2))
def test_same_padding_is_that_of_torch(kernel, dilation, channels):
    shared = nn.Conv1d(channels, 2, kernel, padding="same", dilation=dilation, bias=False)
    local = LocallyConnected1d(channels, 2, 9, kernel, padding="same", dilation=dilation, bias=False)
    with torch.no_grad():
        local.weight.copy_(shared.weight.expand_as(local.weight))
    x = torch.randn(2, channels, 9)
    assert torch.allclose(local(x), F.conv1d(F.pad(x, local._zeros[0]), shared.weight, dilation=dilation), atol=1e-5)
    if dilation * (kernel - 1) % 2 == 0:  # torch warns of a copy where it pads unevenly
        assert torch.allclose(local(x), shared(x), atol=1e-5)


@settings(max_examples=15)
@given(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 2**31))
def test_convolution_moves_with_its_input_and_the_local_layer_does_not(down, right, seed):
    torch.manual_seed(seed)
    shared, local = nn.Conv2d(2, 3, 3).double(), LocallyConnected2d(2, 3, 14, 3).double()
    x = torch.zeros(1, 2, 14, 14, dtype=torch.float64)
    x[:, :, 5:9, 5:9] = torch.randn(1, 2, 4, 4, dtype=torch.float64)  # far enough from the edge that nothing is lost
    moved = x.roll((down, right), (2, 3))
    assert torch.allclose(shared(moved), shared(x).roll((down, right), (2, 3)), rtol=1e-10, atol=1e-10)
    equal = torch.allclose(local(moved), local(x).roll((down, right), (2, 3)))
    assert equal == (down == right == 0)


def test_a_place_that_is_not_seen_gets_no_message_and_one_picture_is_a_batch_of_one():
    local = LocallyConnected2d(1, 2, 5, 2, stride=2).double()
    x = torch.randn(1, 5, 5, dtype=torch.float64, requires_grad=True)
    out = local(x)
    assert torch.equal(out, local(x[None])[0])
    out.sum().backward()
    assert local(x[None][:0]).shape == (0, 2, 2, 2)
    assert not x.grad[0, 4].any()
    assert not x.grad[0, :, 4].any()
    assert x.grad[0, :4, :4].all()


def test_output_keeps_the_memory_format():
    local, x = LocallyConnected2d(3, 4, 6, 3), torch.randn(2, 3, 6, 6)
    assert local(x).is_contiguous()
    assert local(x.to(memory_format=torch.channels_last)).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"kernel_size": 6},
            r"kernel_size: got \(6, 6\), which reaches over \[6, 6\] places, expected no more than .*\[5, 5\]; take a smaller kernel",
        ),
        ({"kernel_size": 3, "dilation": 3}, r"which reaches over \[7, 7\] places"),
        ({"kernel_size": 3, "padding": "same", "stride": 2}, r"padding: 'same' keeps the size at stride 1 only, got stride \(2, 2\)"),
        ({"kernel_size": 3, "padding": "full"}, "padding: got 'full', expected one of valid, same"),
        ({"kernel_size": 0}, "kernel_size: got 0, expected a whole number or 2 of them, at least 1"),
        ({"kernel_size": (3, 3, 3)}, r"kernel_size: got \(3, 3, 3\)"),
        ({"kernel_size": 3, "padding": -1}, "padding: got -1, expected .* at least 0"),
        ({"kernel_size": 3, "in_channels": 2.5}, "in_channels: got 2.5, expected a whole number, at least 1"),
    ],
)
def test_constructor_names_what_it_refuses(options, words):
    with pytest.raises(ArgumentError, match=words):
        LocallyConnected2d(**{"in_channels": 1, "out_channels": 1, "input_size": 5} | options)


def test_repr_says_what_matters():
    made = LocallyConnected2d(2, 3, (5, 4), 3, padding="same", bias=False)
    assert repr(made) == "LocallyConnected2d(2, 3, input_size=(5, 4), kernel_size=(3, 3), stride=(1, 1), padding='same', bias=False)"
