"""Errors name the argument, what came and what is allowed; options are refused before anything is computed."""

import numpy as np
import pytest
import torch

from striate.core.errors import ArgumentError, UnknownNameError
from striate.formulas import (
    Add,
    AveragePool2d,
    BatchNorm,
    Concat,
    Conv1d,
    Conv2d,
    CrossEntropy,
    Dropout,
    Flatten,
    Linear,
    LocallyConnected2d,
    Maxout,
    MaxPool2d,
    MultiClassHinge,
    PReLU,
    Sigmoid,
    Softmax,
    correlate,
)
from striate.formulas.registry import formulas

X, W = np.ones((2, 3, 5, 5)), np.ones((4, 3, 3, 3))


def with_nan():
    x = X.copy()
    x[1, 2, 3, 4] = np.nan
    return x


CASES = [
    (lambda: Conv2d().forward(X[0], W), r"x: got 3 axes \(3, 5, 5\), expected 4 \(N C H W\); for a single sample write x\[None\]"),
    (lambda: Conv1d().forward(X, W), r"x: got 4 axes \(2, 3, 5, 5\), expected 3 \(N C L\)"),
    (lambda: Conv2d().forward(X, W[:, :2]), r"x: got 3 channels, expected 2: 1 group of filters over 2 channels each"),
    (lambda: Conv2d(groups=2).forward(X, W), "groups: got 2, expected a divisor of the 3 input channels and of the 4 filters"),
    (lambda: Conv2d().forward(X, W, np.ones(3)), r"bias: got shape \(3,\), expected \(4,\)"),
    (lambda: Conv2d().forward(with_nan(), W), r"x: got nan at \(1, 2, 3, 4\), expected finite numbers"),
    (lambda: Conv2d().forward(X, W * np.inf), r"weight: got inf at \(0, 0, 0, 0\)"),
    (
        lambda: Conv2d(dilation=3).forward(X, W),
        r"kernel: 3 at dilation 3 spans 7, more than the padded input of 5 \+ 0 \+ 0; take a kernel up to 2 or a padding from 1 on",
    ),
    (lambda: Conv2d(stride=0).forward(X, W), "stride: got 0, expected a whole number from 1 on, or 2 of them"),
    (lambda: Conv2d(stride=1.5).forward(X, W), "stride: got 1.5, expected a whole number from 1 on, or 2 of them"),
    (lambda: Conv2d(stride=(1, 1, 1)).forward(X, W), r"stride: got \(1, 1, 1\), expected a whole number from 1 on, or 2 of them"),
    (lambda: Conv2d().forward(torch.ones(X.shape, requires_grad=True), W), r"x: got a Tensor that NumPy cannot read .*give x.detach\(\).cpu\(\)"),
    (lambda: Conv2d(padding=-1).forward(X, W), "padding: got -1, expected a whole number from 0 on"),
    (lambda: Conv2d(padding="same", stride=2).forward(X, W), "padding: 'same' keeps the size only at stride 1, got stride 2"),
    (lambda: Conv2d(padding="full").forward(X, W), "padding: got 'full', expected a whole number from 0 on, 'same' or 'valid'"),
    (lambda: Conv2d().message(np.ones((2, 4, 2, 3)), X, W), r"delta: got shape \(2, 4, 2, 3\), expected \(2, 4, 3, 3\)"),
    (lambda: Conv2d().forward(X[:0], W), r"x: got shape \(0, 3, 5, 5\), an array without numbers"),
    (lambda: Conv2d().forward("cat", W), "x: got str that is no array of numbers"),
    (lambda: Conv2d().forward([[1, 2], [3]], W), "x: got list that is no array of numbers; give numbers, all rows equally long"),
    (lambda: Conv2d().terms("y", (0, 0, 3, 0), X, W), r"at: got \(0, 0, 3, 0\), expected a place in y, whose shape is \(2, 4, 3, 3\)"),
    (lambda: Conv2d().terms("weight", (0, 0, 0, 0), X, W), r"terms of 'weight' are made of the message that comes to y: give delta="),
    (lambda: Conv2d().terms("bias", (0,), X, W, None), "bias: none was given, so it has no gradient; allowed: y, x, weight"),
    (lambda: Conv2d().terms("y", (0, 0, 0, 0), X, W, None, X), r"Conv2d takes 3 arrays \(x, weight, bias\), got 4"),
    (
        lambda: LocallyConnected2d().forward(X, np.ones((2, 2, 1, 3, 3, 3))),
        r"weight: got filters for \(2, 2\) places, expected \(3, 3\) for x of \(5, 5\)",
    ),
    (lambda: LocallyConnected2d().forward(X, np.ones((3, 3, 1, 2, 3, 3))), "x: got 3 channels, expected the 2 that the weight has"),
    (
        lambda: Linear().forward(X, np.ones((2, 9))),
        r"x: got shape \(2, 3, 5, 5\), expected 9 features on its last axis, as weight \(2, 9\) has; flatten first\?",
    ),
    (lambda: MaxPool2d(kernel=2, padding=2).forward(X), "padding: got 2 for a pool of kernel 2, expected at most half the kernel"),
    (lambda: MaxPool2d(kernel=6).forward(X), "kernel: 6 at dilation 1 spans 6, more than the padded input of 5"),
    (lambda: AveragePool2d(kernel=2, divisor_override=0).forward(X), "divisor_override: got 0, expected a whole number from 1 on"),
    (lambda: PReLU().forward(X, np.ones(2)), r"weight: got 2 slopes, expected 1, or one for each channel of x \(2, 3, 5, 5\)"),
    (lambda: Maxout(pieces=2).forward(X), r"x: got shape \(2, 3, 5, 5\), expected a multiple of pieces=2 along axis 1"),
    (lambda: Softmax(axis=4).forward(X), r"axis: got 4, expected one of the 4 axes of x"),
    (lambda: CrossEntropy().forward([[1, 2]], [2]), r"target: got \[2.0\], expected class numbers from 0 to 1"),
    (lambda: CrossEntropy().forward([[1, 2]], [0.5]), r"target: got \[0.5\], expected class numbers from 0 to 1"),
    (lambda: CrossEntropy(smoothing=1).forward([[1, 2]], [0]), "smoothing: got 1, expected a share from 0 up to 1"),
    (lambda: MultiClassHinge().forward([1, 2], [0]), r"logits: got 1 axes \(2,\), expected 2 \(N F\)"),
    (lambda: BatchNorm(training=False).forward(X), "running_mean, running_var: got none, but outside training they are what is used"),
    (lambda: BatchNorm().forward(np.ones((1, 3))), r"x: got \(1, 3\), one value a channel; training needs at least two"),
    (lambda: Dropout().forward(X), "mask: got none; give zeros and ones in the shape of x"),
    (lambda: Dropout().forward([1.0], [0.5]), "mask: got numbers other than 0 and 1"),
    (lambda: Dropout(p=1).forward([1.0], [1]), "p: got 1, expected the probability to drop, from 0 up to 1"),
    (lambda: Flatten(start_dim=2, end_dim=1).forward(X), "start_dim, end_dim: got 2, 1, expected two of the 4 axes"),
    (lambda: Add().forward(X, W), r"x1: got shape \(4, 3, 3, 3\), expected \(2, 3, 5, 5\) as x0 has; a residual block needs a projection here"),
    (lambda: Concat().forward(X, W), r"x1: got shape \(4, 3, 3, 3\), expected that of x0 \(2, 3, 5, 5\) in all axes but 1"),
    (lambda: Add().forward(), "add: got no inputs"),
    (lambda: correlate(np.ones((2, 2)), np.ones((3, 3))), r"w: got shape \(3, 3\), larger than x of \(2, 2\)"),
]


@pytest.mark.parametrize(("call", "message"), CASES)
def test_error(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_names_are_corrected():
    with pytest.raises(UnknownNameError, match=r"unknown array 'wieght'. Did you mean weight\?"):
        Conv2d().terms("wieght", (0,), X, W)
    with pytest.raises(UnknownNameError, match=r"unknown array 'target'.*allowed: logits, y"):
        CrossEntropy().terms("target", (0,), [[1.0, 2.0]], [0])
    with pytest.raises(UnknownNameError, match=r"unknown formula 'conv2'. Did you mean conv2d"):
        formulas.get("conv2")


def test_large_scores_do_not_overflow():
    assert Sigmoid().forward([-1e4, 1e4]).tolist() == [0, 1]
    assert CrossEntropy().forward([[1e4, -1e4]], [1]) == 2e4
    assert Softmax().forward([[1e4, 1e4]]).tolist() == [[0.5, 0.5]]
