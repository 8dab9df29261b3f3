"""What single layers promise beyond the contract that all of them keep."""

import math

import numpy as np
import pytest
import torch

from striate.core.errors import ArgumentError
from striate.layers import (
    Add,
    BatchShift,
    Concat,
    DropPath,
    LocalResponseNorm,
    MaxNormLinear,
    PadShortcut,
    PartialConv2d,
    Scale,
    ScaledTanh,
    Subsampling,
    WhitenedConv2d,
)


def test_subsampling_sums_weighs_and_shifts():
    made = Subsampling(2)
    with torch.no_grad():
        made.weight.copy_(torch.tensor([0.5, -1.0]))
        made.bias.copy_(torch.tensor([1.0, 0.0]))
    x = torch.stack([torch.arange(8.0).reshape(2, 4), torch.ones(2, 4)])[None]
    assert made(x).flatten().tolist() == [0.5 * (0 + 1 + 4 + 5) + 1, 0.5 * (2 + 3 + 6 + 7) + 1, -4.0, -4.0]
    assert torch.equal(Subsampling(2)(x), torch.nn.functional.avg_pool2d(x, 2)), "it starts as plain averaging"


def test_drop_path_keeps_whole_samples_and_the_expectation():
    made, x = DropPath(0.25), torch.ones(20_000, 3, 1, 2)
    torch.manual_seed(0)
    out = made.train()(x).flatten(1)
    assert set(out.unique().tolist()) == {0.0, 4.0}
    assert (out == out[:, :1]).all(), "a sample's branch is there or not, as a whole"
    spread = math.sqrt(0.25 * 0.75 / 20_000) * 4
    assert abs(out.mean().item() - 1) < 4 * spread
    assert torch.equal(made.eval()(x), x)
    assert torch.equal(DropPath(1.0).train()(x), x)
    for survival in (0, 1.5, -0.1, "0.5", None, [0.5]):
        with pytest.raises(ArgumentError, match="survival"):
            DropPath(survival)


def test_scaled_tanh_maps_one_to_one():
    made = ScaledTanh()(torch.tensor([-1.0, 0.0, 1.0, 3.0]))
    assert made.tolist() == pytest.approx([-1.7159 * math.tanh(2 / 3), 0, 1.7159 * math.tanh(2 / 3), 1.7159 * math.tanh(2)], rel=1e-6)
    assert made[2].item() == pytest.approx(1, abs=1e-4)


def test_partial_convolution_equals_one_convolution_a_map():
    made = PartialConv2d(3, ((0, 2), (1,), (0, 1, 2)), 3).double()
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    start, maps = 0, []
    for j, sources in enumerate(made.table):
        kernels = made.weight[start : start + len(sources)][None]
        maps.append(torch.nn.functional.conv2d(x[:, list(sources)], kernels, made.bias[j : j + 1]))
        start += len(sources)
    assert torch.allclose(made(x), torch.cat(maps, 1), rtol=1e-12, atol=1e-12)
    assert sum(p.numel() for p in made.parameters()) == 6 * 9 + 3


@pytest.mark.parametrize("table", [((0, 3),), ((0, 0),), ((),), ((-1,),)])
def test_partial_convolution_refuses_a_wrong_table(table):
    with pytest.raises(ArgumentError, match="table: output map 0 lists"):
        PartialConv2d(3, table, 3)


@pytest.mark.parametrize("table", [[0, 1], 3, ["01"], [(0, 1.5)], [], None])
def test_partial_convolution_refuses_what_is_no_table(table):
    with pytest.raises(ArgumentError, match=r"table: .*expected .* the input maps it sees"):
        PartialConv2d(3, table, 3)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: WhitenedConv2d(3, "2"), "kernel: got '2', expected a whole number, at least 1"),
        (lambda: WhitenedConv2d(-1), "channels: got -1, expected a whole number"),
        (lambda: PartialConv2d("3", ((0,),), 3), "channels: got '3', expected a whole number"),
        (lambda: PartialConv2d(3, ((0,),), [3]), r"kernel: got \[3\], expected a whole number"),
        (lambda: BatchShift(1.5), "channels: got 1.5, expected a whole number"),
        (lambda: MaxNormLinear(-1, 2), "in_features: got -1, expected a whole number"),
        (lambda: LocalResponseNorm([1]), r"size: got \[1\], expected a whole number"),
        (lambda: LocalResponseNorm(True), "size: got True, expected a whole number"),
    ],
)
def test_constructors_refuse_what_is_no_whole_number(build, words):
    with pytest.raises(ArgumentError, match=words):
        build()


def test_whole_numbers_of_numpy_are_whole_numbers():
    assert WhitenedConv2d(np.int64(3), np.int32(2)).weight.shape == (24, 3, 2, 2)
    assert MaxNormLinear(np.int64(4), np.int64(2)).weight.shape == (2, 4)


def test_pad_shortcut_takes_every_second_pixel_and_appends_zeros():
    x = torch.arange(15.0).reshape(1, 1, 3, 5)
    out = PadShortcut(2, 2)(x)
    assert out[0, 0].tolist() == [[0, 2, 4], [10, 12, 14]]
    assert out.shape == (1, 3, 2, 3)
    assert not out[:, 1:].any()


def test_batch_shift_is_a_batch_norm_whose_scale_is_one():
    x = torch.randn(8, 3, 4, 4, dtype=torch.float64) * 3 + 1
    made = BatchShift(3, eps=1e-12, momentum=0.4).double()
    with torch.no_grad():
        made.bias.copy_(torch.tensor([0.0, 1.0, -2.0]))
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, correction=0)
    wanted = (x - mean) / variance.sqrt() + made.bias[:, None, None]
    assert torch.allclose(made(x), wanted, rtol=1e-9, atol=1e-9)
    assert torch.allclose(made.running_mean, 0.4 * mean.flatten())
    assert [name for name, _ in made.named_parameters()] == ["bias"]


def test_whitened_outputs_are_uncorrelated_and_equally_strong():
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(64, 3, 12, 12, generator=generator).cumsum(3) + torch.randn(64, 1, 12, 12, generator=generator)
    made = WhitenedConv2d(3)
    made.set_from_patches(pictures, eps=0.0)
    with torch.no_grad():
        made.bias.zero_()
        out = made(pictures).double().permute(1, 0, 2, 3).flatten(1)
    second_moment = out[:12] @ out[:12].T / out.shape[1]
    assert torch.allclose(second_moment, torch.eye(12, dtype=torch.float64), atol=1e-3)
    assert torch.equal(made.weight[:12], -made.weight[12:])
    assert made.weight[0].norm() < made.weight[11].norm(), "the strongest axis comes first and is divided most"
    assert not made.weight.requires_grad
    assert made.bias.requires_grad


def test_whitening_refuses_what_it_cannot_measure():
    with pytest.raises(ArgumentError, match=r"expected N x 3 x H x W of at least 2x2"):
        WhitenedConv2d(3).set_from_patches(torch.zeros(4, 1, 8, 8))


def test_joins():
    a, b = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    assert torch.equal(Add()(a, b), a + b)
    assert torch.equal(Concat()(a, b)[:, 3:], b)
    assert torch.equal(Scale(0.5)(a), a / 2)
