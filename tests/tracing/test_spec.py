"""Specs: what is built, and what a mistake is told."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate.core.errors import ArgumentError
from striate.layers import L2Pool2d, LocallyConnected1d, LocallyConnected2d
from striate.tracing import SpecError, build, parse
from striate.tracing.registry import OTHER_SPELLINGS, words


def test_names_settings_and_spellings():
    steps = parse("stem: conv(8, 5x3, stride=2, padding=same) → ReLU -> dense(units=10, bias=no)\n -> conv(2)")
    assert [(s.name, s.word, s.settings) for s in steps] == [
        ("stem", "conv", {"filters": 8, "size": (5, 3), "stride": 2, "padding": "same"}),
        ("relu1", "relu", {}),
        ("linear1", "linear", {"units": 10, "bias": False}),
        ("conv2", "conv", {"filters": 2}),
    ]


@pytest.mark.parametrize(
    ("spec", "shape", "kind", "out"),
    [
        ("conv(4, 3x5, stride=2x1, padding=1x2, dilation=1x2, groups=2)", (2, 9, 9), nn.Conv2d, (4, 5, 5)),
        ("conv(3, 5, padding=same)", (2, 9), nn.Conv1d, (3, 9)),
        ("linear(5)", (7,), nn.Linear, (5,)),
        ("maxpool(3, 2, 1, ceil=yes)", (2, 8, 8), nn.MaxPool2d, (2, 5, 5)),
        ("avgpool(2x3)", (2, 8, 9), nn.AvgPool2d, (2, 4, 3)),
        ("maxpool(2)", (2, 9), nn.MaxPool1d, (2, 4)),
        ("avgpool", (2, 9), nn.AvgPool1d, (2, 4)),
        ("l2pool(2, sum=yes)", (2, 8, 8), L2Pool2d, (2, 4, 4)),
        ("local(2, 3)", (1, 5, 5), LocallyConnected2d, (2, 3, 3)),
        ("local(2, 3)", (1, 5), LocallyConnected1d, (2, 3)),
        ("leaky(0.1)", (3,), nn.LeakyReLU, (3,)),
        ("elu(2)", (3,), nn.ELU, (3,)),
        ("batchnorm", (3, 4, 4), nn.BatchNorm2d, (3, 4, 4)),
        ("batchnorm", (3, 4), nn.BatchNorm1d, (3, 4)),
        ("lrn(3)", (4, 2, 2), nn.LocalResponseNorm, (4, 2, 2)),
        ("dropout(0.2)", (4,), nn.Dropout, (4,)),
        ("maxout(2)", (4, 2, 2), nn.Module, (2, 2, 2)),
        ("gap", (4, 3, 3), nn.Sequential, (4,)),
        ("gap", (4, 3), nn.Sequential, (4,)),
        ("softmax", (4,), nn.Softmax, (4,)),
        ("sigmoid", (4,), nn.Sigmoid, (4,)),
        ("tanh", (4,), nn.Tanh, (4,)),
        ("flatten", (4, 2, 2), nn.Flatten, (16,)),
        ("relu", (4,), nn.ReLU, (4,)),
    ],
)
def test_every_word_builds_what_it_says(spec, shape, kind, out):
    model = build(spec, shape)
    assert isinstance(model[0], kind)
    assert all(p.dtype == torch.float64 for p in model.parameters())
    assert tuple(model(torch.rand(2, *shape, dtype=torch.float64)).shape[1:]) == out


def test_every_word_is_tried_above():
    tried = {mark[0].split("(")[0] for mark in test_every_word_builds_what_it_says.pytestmark[0].args[1]}
    assert tried == set(words.names())
    assert set(OTHER_SPELLINGS.values()) <= set(words.names())


@pytest.mark.parametrize(
    ("spec", "column", "text"),
    [
        ("conv(1) -> cnv(3)", 12, "Did you mean conv"),
        ("conv(1, sride=2)", 9, "Did you mean stride"),
        ("conv(1, 3x3", 5, "never closed"),
        ("conv(1,", 5, "never closed"),
        ("conv() -> relu", 1, "conv needs filters"),
        ("conv(1.5)", 6, "filters: got 1.5, expected a whole number"),
        ("conv(size=3, 2)", 14, "cannot follow"),
        ("conv(1, filters=2)", 9, "given twice"),
        ("relu(3)", 6, "relu takes no settings"),
        ("conv(1,2,3,4,5,6,yes)", 18, "bias= must be named"),
        ("conv(1 2)", 8, "expected , or )"),
        ("relu ->", 8, "after the arrow"),
        ("relu relu", 6, "expected ->"),
        ("-> relu", 1, "expected a box"),
        ("relu & tanh", 6, "cannot read '&'"),
        ("a: relu -> a: tanh", 15, "a second box called 'a'"),
        ("relu -> loss: tanh", 15, "called 'loss', which means the loss's own box"),
        ("input: relu", 8, "called 'input', which means the network's input"),
        ("a: -> relu", 4, "expected a box after a:"),
        ("conv(->)", 6, "expected a value"),
        ("", 1, "the spec is empty"),
        ("conv(2) -> linear(3)", 12, "write flatten -> linear(3)"),
        ("conv(2, 7x7)", 1, "larger than the padded input, 5"),
        ("conv(2, 3x3x3)", 1, "size: got (3, 3, 3)"),
        ("conv(2, padding=sme)", 1, "padding: got 'sme'"),
        ("conv(2, stride=2, padding=same)", 1, "stride=2 does not"),
        ("conv(2, groups=3)", 1, "must divide the 1 channels"),
        ("conv(0)", 1, "filters: got 0"),
        ("maxpool(7)", 1, "larger than the padded input"),
        ("maxpool(2, padding=2)", 1, "more than half the window"),
        ("dropout(1)", 1, "p: got 1.0"),
        ("maxout(2)", 1, "must divide the 1 channels"),
        ("flatten -> maxpool(2)", 12, "maxpool takes channels"),
    ],
)
def test_a_mistake_is_shown_where_it_stands(spec, column, text):
    with pytest.raises(SpecError) as caught:
        build(spec, (1, 5, 5))
    assert isinstance(caught.value, ArgumentError)
    told, line, mark = str(caught.value).split("\n")
    assert told.startswith(f"spec, column {column}: ")
    assert text in told
    assert mark.index("^") == column + 1, "two blanks, then the column"
    assert line == f"  {spec}"


def test_a_long_spec_shows_the_part_around_the_mistake():
    spec = " -> ".join(["relu"] * 30) + " -> rlu"
    with pytest.raises(SpecError) as caught:
        parse(spec)
    _, line, mark = str(caught.value).split("\n")
    assert len(line) < 110
    assert line[mark.index("^") :].startswith("rlu")


def test_a_shape_no_box_takes():
    for spec in ("batchnorm", "gap", "lrn"):
        with pytest.raises(SpecError, match=f"{spec} takes"):
            build(spec, (2, 2, 2, 2))
