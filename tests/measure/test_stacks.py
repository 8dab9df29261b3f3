"""Chains and branches on one line: row O12's numbers, and the same networks built in torch."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from striate.core.errors import ArgumentError
from striate.measure.stacks import inception, parse, stack

NAIVE = ("conv(128, 1x1)", "conv(192, 3x3)", "conv(96, 5x5)", "maxpool(3x3)")
BOTTLENECKED = ("conv(128, 1x1)", "conv(64, 1x1) -> conv(192, 3x3)", "conv(64, 1x1) -> conv(96, 5x5)", "maxpool(3x3) -> conv(64, 1x1)")
MODULE = (28, 28, 256)


def sees(chain: str) -> int:
    (size,) = {field.size for field in stack(chain, (64, 64, 1)).fields}
    return size


def test_what_stacked_filters_see():
    assert [sees(chain) for chain in ("3 * conv(1, 3x3)", "5 * conv(1, 3x3)", "conv(1, 5x5) -> conv(1, 3x3)")] == [7, 11, 7]


def test_inception_modules_cost_what_the_formula_says():
    naive, thrifty = inception(NAIVE, MODULE), inception(BOTTLENECKED, MODULE)
    places, c = 28 * 28, 256
    assert naive.multiply_adds == places * c * (128 + 9 * 192 + 25 * 96)
    assert thrifty.multiply_adds == places * (c * (128 + 64 + 64 + 64) + 64 * (9 * 192 + 25 * 96))
    assert [round(n / 1e6) for n in (naive.multiply_adds, thrifty.multiply_adds)] == [854, 271]
    assert (naive.shape, thrifty.shape) == ((28, 28, 672), (28, 28, 480))
    assert {field.size for field in thrifty.fields} == {5}


class Inception(nn.Module):
    """The bottlenecked module in torch."""

    def __init__(self):
        super().__init__()
        self.branches = nn.ModuleList(
            [
                nn.Conv2d(256, 128, 1),
                nn.Sequential(nn.Conv2d(256, 64, 1), nn.Conv2d(64, 192, 3, padding=1)),
                nn.Sequential(nn.Conv2d(256, 64, 1), nn.Conv2d(64, 96, 5, padding=2)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(256, 64, 1)),
            ]
        )

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


def test_the_same_module_in_torch_and_measured():
    from striate.measure import summary

    made, module = inception(BOTTLENECKED, MODULE), summary(Inception, (256, 28, 28))
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        y = Inception()(torch.empty(1, 256, 28, 28))
    assert made.shape == (*y.shape[2:], y.shape[1])
    assert made.multiply_adds == module.totals.multiply_adds == counter.get_total_flops() // 2
    assert made.parameters == module.totals.parameters
    assert module.boxes[-1].operation == "cat"
    assert module.boxes[-1].receptive_field.size == (5, 5)


def test_the_11x11_exercise_on_equal_and_on_real_channel_counts():
    for channels in (64, 96):
        five = stack(f"5 * conv({channels}, 3x3, bias=false)", (227, 227, channels))
        one = stack(f"conv({channels}, 11x11, bias=false)", (227, 227, channels))
        assert (five.parameters, one.parameters) == (45 * channels**2, 121 * channels**2)
        assert five.fields == one.fields
        assert five.shape == one.shape
    five, one = (stack(chain, (227, 227, 3)).parameters for chain in ("5 * conv(96, 3x3, bias=false)", "conv(96, 11x11, bias=false)"))
    assert (five, one) == (334_368, 34_848), "on AlexNet's first layer five small filters cost more"


def test_a_chain_is_the_network_it_spells():
    chain = "conv(6, 5x5, padding=2) -> relu -> maxpool(2) -> conv(16, 5x5) -> tanh -> avgpool(2) -> flatten -> linear(120) -> relu -> linear(10)"
    found = stack(chain, (28, 28, 1))
    with torch.device("meta"):
        net = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(400, 120),
            nn.Linear(120, 10),
        )
        with FlopCounterMode(display=False) as counter:
            y = net(torch.empty(1, 1, 28, 28))
    assert found.shape == tuple(y.shape[1:])
    assert found.parameters == sum(p.numel() for p in net.parameters())
    assert found.multiply_adds == counter.get_total_flops() // 2
    assert [part.title for part in found.parts] == [piece.strip() for piece in chain.split("->") if "(" in piece]


def test_a_batch_norm_has_its_parameters_and_its_row():
    from striate.measure import summary

    found = stack("conv(8, 3, bias=no) -> batchnorm -> leaky(0.1) -> gap -> linear(10) -> batchnorm -> elu -> linear(5)", (28, 28, 3))
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.LeakyReLU(0.1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
        nn.BatchNorm1d(10),
        nn.ELU(),
        nn.Linear(10, 5),
    )
    measured = summary(net, (3, 28, 28))
    assert found.parameters == sum(p.numel() for p in net.parameters())
    assert found.multiply_adds == measured.totals.multiply_adds
    assert found.activations == measured.totals.activations - 3 * 28 * 28
    assert tuple(field.size for field in found.fields) == measured.boxes[-1].receptive_field.size
    assert [(part.title, part.parameters) for part in found.parts[:3]] == [("conv(8, 3, bias=no)", 216), ("batchnorm", 16), ("gap", 0)]
    assert stack("conv(8, 3, bias=no) -> batchnorm", (28, 28, 3)).parameters == 232


def test_words_are_read():
    one, two = parse("2 * conv(8, size=3x5, stride=2, padding=same, bias=no)")
    assert one == two
    assert dict(one.settings) == {"filters": 8, "size": (3, 5), "stride": 2, "padding": "same", "bias": False}
    assert stack("local(4, 3)", (32, 32, 3)).parameters == 4 * 25_200
    assert stack("conv(2, 3) -> maxpool(2)", (9, 1)).shape == (3, 2)


@pytest.mark.parametrize(
    ("chain", "text"),
    [
        ("conv(8, 3x3) -> -> relu", "cannot read 'nothing'"),
        ("conv[8]", "cannot read"),
        ("convv(8, 3x3)", "unknown operation 'convv'. Did you mean conv"),
        ("conv(8)", "conv.8.: size is missing; write conv.FILTERS, SIZE."),
        ("conv(8, 3, 2)", "'2' is one too many"),
        ("conv(8, 3, strid=2)", "unknown option of conv 'strid'. Did you mean stride"),
        ("conv(8, a)", "size is 'a', expected a whole number"),
        ("conv(8, 3, bias=2)", "bias is '2', expected true or false"),
        ("maxpool(2, stride=2, padding=2)", "maxpool.* on 6x6x3: padding: got 2 for a window of 2, expected at most half of it"),
        ("conv(2, 6x6) -> linear(4) -> gap", "gap on 4: input: got 4, expected height x width x channels"),
        ("conv(8, 9x9)", "conv.8, 9x9. on 6x6x3: kernel 9 does not fit into 6 pixels"),
    ],
)
def test_errors_show_the_piece(chain, text):
    with pytest.raises(ArgumentError, match=text):
        stack(chain, (6, 6, 3))


def test_branches_of_different_sizes_are_refused():
    with pytest.raises(ArgumentError, match=r"conv\(8, 3x3, padding=0\) gives 26x26x8"):
        inception(("conv(8, 1x1)", "conv(8, 3x3, padding=0)"), (28, 28, 4))
    with pytest.raises(ArgumentError, match="got none"):
        inception((), (28, 28, 4))
