"""Decoders tied to their encoders: the transpose exactly, one set of weights whatever is done to the network."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from striate.core.errors import ArgumentError
from striate.layers import TiedConvTranspose2d, TiedLinear


class Tied(nn.Module):
    """An encoder and its tied decoder, of both kinds."""

    def __init__(self):
        super().__init__()
        self.encoder, self.conv = nn.Linear(6, 3), nn.Conv2d(1, 2, 3, stride=2, padding=1)
        self.decoder, self.deconv = TiedLinear(self.encoder), TiedConvTranspose2d(self.conv, output_padding=1)

    def tied(self):
        return self.decoder.weight is self.encoder.weight and self.deconv.weight is self.conv.weight


def test_ties_survive_state_dict_copy_move_and_training():
    net, other = Tied(), Tied()
    other.load_state_dict(net.state_dict())
    assert other.tied()
    assert torch.equal(other.decoder(torch.ones(3)), net.decoder(torch.ones(3)))
    assert copy.deepcopy(net).tied()
    assert copy.deepcopy(net).double().to(memory_format=torch.channels_last).tied()
    assert len(list(net.parameters())) == 6, "weights count once, each layer has its own bias"
    before = net.encoder.weight.clone()
    x = torch.randn(5, 6)
    (net.decoder(net.encoder(x)) - x).square().sum().backward()
    torch.optim.SGD(net.parameters(), lr=0.01).step()
    assert net.tied()
    assert not torch.equal(net.encoder.weight, before)
    assert torch.equal(net.decoder.weight, net.encoder.weight)


def test_gradient_of_tied_weights_comes_from_both_sides():
    net, x = Tied().double(), torch.randn(4, 6, dtype=torch.float64)
    code = net.encoder(x)
    out = net.decoder(code)
    delta = torch.randn_like(out)
    out.backward(delta)
    encoder_side = (delta @ net.encoder.weight.t()).t() @ x
    decoder_side = code.t() @ delta
    assert torch.allclose(net.encoder.weight.grad, encoder_side + decoder_side)


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 1), st.integers(1, 2), st.sampled_from([1, 2]), st.integers(0, 3))
def test_without_its_bias_it_is_the_message_of_the_convolution(kernel, stride, padding, dilation, groups, more):
    conv = nn.Conv2d(2, 4, kernel, stride, padding, dilation, groups, bias=False).double()
    size = dilation * (kernel - 1) + 1 + more
    x = torch.randn(2, 2, size, size + 1, dtype=torch.float64, requires_grad=True)
    out = conv(x)
    delta = torch.randn_like(out)
    (message,) = torch.autograd.grad(out, x, delta)
    tied = TiedConvTranspose2d(conv, bias=False)
    assert torch.allclose(tied(delta, output_size=x.shape), message, rtol=1e-10, atol=1e-10)


def test_same_padding_is_transposed_too_where_it_is_even():
    conv = nn.Conv2d(1, 2, (3, 5), padding="same", bias=False)
    x = torch.randn(1, 1, 6, 7, requires_grad=True)
    out = conv(x)
    (message,) = torch.autograd.grad(out, x, torch.ones_like(out))
    assert torch.allclose(TiedConvTranspose2d(conv, bias=False)(torch.ones_like(out)), message, atol=1e-5)


def test_what_cannot_be_tied_is_refused():
    with pytest.raises(ArgumentError, match=r"source: got Conv2d, expected the nn\.Linear whose weights are shared"):
        TiedLinear(nn.Conv2d(1, 1, 1))
    with pytest.raises(ArgumentError, match=r"source: got Linear, expected the nn\.Conv2d"):
        TiedConvTranspose2d(nn.Linear(1, 1))
    with pytest.raises(ArgumentError, match="padding_mode 'reflect', expected 'zeros'"):
        TiedConvTranspose2d(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"))
    with pytest.raises(ArgumentError, match="padding 'same' with kernel_size"):
        TiedConvTranspose2d(nn.Conv2d(1, 1, 2, padding="same"))
    tied = TiedConvTranspose2d(nn.Conv2d(1, 1, 3, stride=2))
    with pytest.raises(ArgumentError, match=r"output_size: got \(9, 5\), expected 5 x 5 to 6 x 6 for an input of 1 x 1 x 2 x 2"):
        tied(torch.zeros(1, 1, 2, 2), output_size=(9, 5))
    with pytest.raises(ArgumentError, match=r"TiedConvTranspose2d: output_size: got \(4,\), expected height and width"):
        tied(torch.zeros(1, 1, 2, 2), output_size=(4,))
