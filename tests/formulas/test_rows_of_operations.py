"""The numbers of rows O1 to O9, out of the public formulas, against closed forms and autograd."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.formulas import (
    AdaptiveAveragePool2d,
    AveragePool2d,
    BatchNorm,
    Conv1d,
    Conv2d,
    CrossEntropy,
    Dropout,
    Flatten,
    L2Penalty,
    L2Pool2d,
    LeakyReLU,
    Linear,
    LocallyConnected1d,
    LocallyConnected2d,
    LocalResponseNorm,
    MaxPool2d,
    MultiClassHinge,
    PaperResponseNorm,
    ReLU,
    TrueConv2d,
    convolve,
    convolve_full,
    correlate,
    output_size,
    rot180,
)
from striate.formulas.windows import grid

RNG = np.random.default_rng(0)


def count(shapes):
    return sum(math.prod(shape) for shape in shapes.values())


def test_o1_a_dense_layer_on_a_picture():
    shapes = Linear().parameter_shapes(32 * 32, 32 * 32)
    assert count(shapes) == 32**2 * (32**2 + 1) == 1_049_600
    assert count(shapes) == sum(p.numel() for p in torch.nn.Linear(32 * 32, 32 * 32).parameters())


def test_o1_layers_collapse_without_activations():
    x, first, second = RNG.normal(size=(4, 5)), RNG.normal(size=(7, 5)), RNG.normal(size=(3, 7))
    b1, b2 = RNG.normal(size=7), RNG.normal(size=3)
    twice = Linear().forward(Linear().forward(x, first, b1), second, b2)
    np.testing.assert_allclose(Linear().forward(x, second @ first, second @ b1 + b2), twice, rtol=1e-12)


def test_o2_locally_connected_counts():
    assert count(LocallyConnected2d().parameter_shapes((1, 32, 32), 1, 3)) == 30**2 * (3**2 + 1) == 9_000
    assert count(LocallyConnected2d().parameter_shapes((3, 32, 32), 1, 3)) == 30**2 * (3 * 3**2 + 1) == 25_200


def test_o2_dense_local_and_shared_in_one_dimension():
    out = output_size(7, 3, stride=2)
    dense, local = Linear().parameter_shapes(7, out), LocallyConnected1d(stride=2).parameter_shapes((1, 7), 1, 3)
    shared = Conv1d(stride=2).parameter_shapes((1, 7), 1, 3)
    assert [math.prod(s["weight"]) for s in (dense, local, shared)] == [7 * 3, 3 * 3, 3]
    weight = RNG.normal(size=(1, 1, 3))
    x = RNG.normal(size=(2, 1, 7))
    same_everywhere = np.broadcast_to(weight, local["weight"])
    np.testing.assert_allclose(LocallyConnected1d(stride=2).forward(x, same_everywhere), Conv1d(stride=2).forward(x, weight), rtol=1e-12)


def test_o3_parameters_and_sizes():
    assert count(Conv2d().parameter_shapes((3, 9, 9), 1, 3)) == 3 * 9 + 1 == 28
    assert count(Conv2d().parameter_shapes((3, 9, 9), 4, 3)) == 4 * 28 == 112
    ten = Conv2d(padding=2)
    shapes = ten.parameter_shapes((3, 32, 32), 10, 5)
    assert count(shapes) == 10 * (75 + 1) == 760
    assert ten.shape(np.zeros((1, 3, 32, 32)), np.zeros(shapes["weight"])) == (1, 10, 32, 32)
    x = np.zeros((2, 3, 32, 32))
    first = Conv2d().forward(x, np.zeros((6, 3, 5, 5)), np.zeros(6))
    assert first.shape == (2, 6, 28, 28)
    assert Conv2d().shape(first, np.zeros((10, 6, 3, 3))) == (2, 10, 26, 26)
    depthwise = Conv2d(groups=4)
    assert math.prod(depthwise.parameter_shapes((4, 8, 8), 4, 3)["weight"]) == 4 * 9
    assert all(output_size(w, f, padding=(f - 1) // 2) == w for w in range(1, 12) for f in (1, 3, 5, 7))


def test_o3_a_stride_that_does_not_fit_loses_the_rest():
    assert [output_size(7, 3, stride=s) for s in (1, 2)] == [5, 3]
    axis = grid((7,), 3, stride=3).axes[0]
    assert (axis.out, axis.lost) == (2, 1)
    assert [grid((7,), 3, stride=s).axes[0].lost for s in (1, 2)] == [0, 0]
    assert grid((10,), 3, stride=4).axes[0].lost == 3
    assert grid((5,), 1, stride=7).axes[0].lost == 4, "with a stride beyond the kernel"


@given(
    st.integers(1, 9),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(1, 3),
)
def test_o3_the_size_formula_counts_the_places_where_the_kernel_fits(w, f, s, p, d):
    starts = [i for i in range(0, w + 2 * p, s) if i + d * (f - 1) < w + 2 * p]
    if starts:
        assert output_size(w, f, stride=s, padding=p, dilation=d) == len(starts)
    else:
        with pytest.raises(ValueError, match="kernel"):
            output_size(w, f, stride=s, padding=p, dilation=d)


@settings(max_examples=20)
@given(st.integers(-2, 2), st.integers(-2, 2), st.integers(0, 2**32 - 1))
def test_o3_convolution_moves_with_its_input(down, right, seed):
    rng = np.random.default_rng(seed)
    x, weight = np.zeros((1, 2, 11, 11)), rng.normal(size=(2, 2, 3, 3))
    x[:, :, 4:7, 4:7] = rng.normal(size=(1, 2, 3, 3))
    moved = np.roll(x, (down, right), axis=(2, 3))
    y = Conv2d(padding=1).forward(x, weight)
    np.testing.assert_allclose(Conv2d(padding=1).forward(moved, weight), np.roll(y, (down, right), axis=(2, 3)), atol=1e-12)


@pytest.mark.parametrize("true", [False, True], ids=["correlation", "true convolution"])
def test_o4_both_conventions_and_their_messages_equal_autograd(true):
    x, w = RNG.normal(size=(6, 5)), RNG.normal(size=(3, 2))
    tx, tw = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
    y = F.conv2d(tx[None, None], (tw.flip(0, 1) if true else tw)[None, None])[0, 0]
    delta = RNG.normal(size=tuple(y.shape))
    dx, dw = torch.autograd.grad(y, (tx, tw), torch.tensor(delta))
    forward = convolve(x, w) if true else correlate(x, w)
    gradient = rot180(correlate(x, delta)) if true else correlate(x, delta)
    message = convolve_full(delta, rot180(w) if true else w)
    for ours, theirs in ((forward, y.detach()), (gradient, dw), (message, dx)):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-10)
    operation = (TrueConv2d if true else Conv2d)()
    np.testing.assert_allclose(operation.forward(x[None, None], w[None, None])[0, 0], forward, atol=1e-12)
    np.testing.assert_allclose(operation.message(delta[None, None], x[None, None], w[None, None])[0, 0], message, atol=1e-12)


def test_o4_without_the_outer_rot180_the_gradient_is_wrong():
    x, w = RNG.normal(size=(5, 5)), RNG.normal(size=(3, 3))
    delta = np.ones((3, 3))
    step = 1e-6
    numeric = np.zeros_like(w)
    for place in np.ndindex(w.shape):
        moved = w.copy()
        moved[place] += step
        numeric[place] = (convolve(x, moved) - convolve(x, w)).sum() / step
    np.testing.assert_allclose(rot180(correlate(x, delta)), numeric, atol=1e-6)
    assert np.abs(correlate(x, delta) - numeric).max() > 0.1


TABLE = [[2, 2, 0, 4, 3, 4], [0, 0, 5, 0, 4, 1], [4, 5, 2, 5, 1, 4], [5, 2, 1, 0, 2, 1], [2, 3, 3, 3, 5, 3], [0, 3, 0, 4, 0, 1]]


def test_o5_the_course_table():
    x = np.array([[TABLE]], float)
    assert MaxPool2d(kernel=2).forward(x)[0, 0].tolist() == [[2, 5, 4], [5, 5, 4], [3, 4, 5]]
    assert MaxPool2d(kernel=2).parameter_gradient(np.ones((1, 1, 3, 3)), x) == {}, "no parameters"
    delta = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    back = MaxPool2d(kernel=2).message(delta, x)[0, 0]
    assert back[0].tolist() == [1, 0, 0, 0, 0, 3], "2 stands at (0, 0) and (0, 1): the first gets it; 4 at (0, 3) loses to 5 below it"
    assert back.sum() == delta.sum()
    assert MaxPool2d(kernel=2).switches(x)[0, 0, 0].tolist() == [0, 8, 5]
    assert "2 are equally large" in str(MaxPool2d(kernel=2).terms("y", (0, 0, 0, 0), x))


def test_o5_average_spreads_the_message_over_the_field():
    delta = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    back = AveragePool2d(kernel=2).message(delta, np.array([[TABLE]]))[0, 0]
    assert back.tolist() == (np.kron(delta[0, 0], np.ones((2, 2))) / 4).tolist()


def test_o5_l2_pooling_in_both_forms_and_at_zero():
    x = np.array([[[[3.0, 4.0], [0.0, 0.0]]]])
    assert L2Pool2d(kernel=(1, 2), form="root_sum_of_squares").forward(x)[0, 0].tolist() == [[5], [0]]
    assert L2Pool2d(kernel=(1, 2)).forward(x)[0, 0, 0, 0] == pytest.approx(math.sqrt(25 / 2))
    back = L2Pool2d(kernel=(1, 2), form="root_sum_of_squares").message(np.ones((1, 1, 2, 1)), x)[0, 0]
    np.testing.assert_allclose(back, [[3 / 5, 4 / 5], [0, 0]], rtol=1e-15)
    assert str(L2Pool2d(kernel=(1, 2)).terms("y", (0, 0, 0, 0), x)) == "y[0, 0, 0, 0] = √(3·3·1/2 + 4·4·1/2) = 3.5355"


def test_o6_relu_routes_and_slopes_differ():
    x, upstream = np.array([1.0, -2, 3, -1]), np.array([4.0, -1, 5, 9])
    assert ReLU().message(upstream, x).tolist() == [4, 0, 5, 0]
    assert LeakyReLU(negative_slope=0.1).message(upstream, x).tolist() == [4, -0.1, 5, 0.9]
    assert LeakyReLU().forward(x).tolist() == [1, -0.02, 3, -0.01]


def test_o7_losses_in_closed_form():
    scores, y = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]]), [0, 1, 2]
    by_hand = [
        max(0, 5.1 - 3.2 + 1) + max(0, -1.7 - 3.2 + 1),
        max(0, 1.3 - 4.9 + 1) + max(0, 2.0 - 4.9 + 1),
        max(0, 2.2 + 3.1 + 1) + max(0, 2.5 + 3.1 + 1),
    ]
    assert MultiClassHinge(reduction="none").forward(scores, y).tolist() == pytest.approx(by_hand)
    assert MultiClassHinge().forward(scores, y) == pytest.approx(sum(by_hand) / 3)
    share = math.exp(3.2) / sum(math.exp(s) for s in scores[0])
    assert CrossEntropy().forward(scores[:1], y[:1]) == pytest.approx(-math.log(share))
    assert CrossEntropy().forward(np.zeros((2, 10)), [3, 9]) == pytest.approx(math.log(10)), "no opinion among ten classes"
    assert L2Penalty(strength=0.5).forward([[1.0, -2.0], [3.0, 0.0]]) == pytest.approx(0.5 * 14)
    assert L2Penalty(strength=0.5).message(1.0, [1.0, -2.0]).tolist() == [1, -2]


def test_o8_batch_norm_can_undo_itself_and_keeps_running_statistics():
    x = RNG.normal(3, 2, size=(6, 4, 3, 3))
    operation = BatchNorm()
    mean, variance = operation.statistics(x)
    np.testing.assert_allclose(operation.forward(x, weight=np.sqrt(variance + operation.eps), bias=mean), x, rtol=1e-12)
    plain = operation.forward(x)
    np.testing.assert_allclose(plain.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(plain.var(axis=(0, 2, 3)), variance / (variance + operation.eps), rtol=1e-12)
    torch_mean, torch_variance = torch.zeros(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    F.batch_norm(torch.tensor(x), torch_mean, torch_variance, training=True, momentum=0.1)
    ours = operation.running(x, np.zeros(4), np.ones(4))
    np.testing.assert_allclose(ours[0], torch_mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(ours[1], torch_variance.numpy(), rtol=1e-12)


def test_o8_the_papers_alpha_is_torchs_divided_by_the_size():
    x = RNG.normal(size=(2, 9, 2, 2)) * 30
    papers = PaperResponseNorm(size=5, alpha=1e-4, beta=0.75, k=2).forward(x)
    np.testing.assert_allclose(LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2).forward(x), papers, rtol=1e-12)
    assert np.abs(LocalResponseNorm(size=5, alpha=1e-4, beta=0.75, k=2).forward(x) - papers).max() > 0.1


@pytest.mark.parametrize("p", [0.5, 0.2])
def test_o8_dropout_keeps_the_expected_value_by_the_probability_to_keep(p):
    x = RNG.normal(size=3)
    masks = [np.array(bits, float) for bits in np.ndindex(2, 2, 2)]
    chances = [math.prod(1 - p if bit else p for bit in mask) for mask in masks]
    for inverted in (True, False):
        expected = sum(c * Dropout(p=p, inverted=inverted).forward(x, mask) for c, mask in zip(chances, masks, strict=True))
        np.testing.assert_allclose(Dropout(p=p, inverted=inverted, training=False).forward(x), expected, rtol=1e-12)


def test_o9_one_by_one_convolution_is_a_dense_layer_at_every_pixel():
    weight, bias = RNG.normal(size=(32, 64, 1, 1)), RNG.normal(size=32)
    assert Conv2d().shape(np.zeros((1, 64, 56, 56)), weight) == (1, 32, 56, 56)
    x = RNG.normal(size=(1, 64, 3, 2))
    each = Linear().forward(x.transpose(0, 2, 3, 1), weight[:, :, 0, 0], bias).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(Conv2d().forward(x, weight, bias), each, rtol=1e-12, atol=1e-12)


def test_o9_global_average_and_flatten():
    x = RNG.normal(size=(2, 3, 4, 5))
    np.testing.assert_allclose(AdaptiveAveragePool2d().forward(x)[:, :, 0, 0], x.mean(axis=(2, 3)), rtol=1e-12)
    assert Flatten().forward(x)[1, (2 * 4 + 3) * 5 + 1] == x[1, 2, 3, 1]


CHANNELS = [
    [[3, 2, 2, 0, 0], [3, 2, 0, 3, 1], [4, 3, 1, 4, 0], [4, 4, 0, 2, 0], [0, 0, 4, 2, 2]],
    [[4, 1, 4, 2, 3], [2, 3, 4, 0, 0], [1, 2, 0, 1, 4], [2, 3, 1, 0, 0], [3, 1, 4, 4, 0]],
    [[2, 4, 4, 2, 0], [2, 0, 0, 3, 4], [1, 4, 1, 2, 0], [4, 1, 3, 0, 0], [2, 2, 0, 4, 4]],
]
FILTER = [[[0, 0, 0], [-1, 1, 0], [-1, 1, -1]], [[0, 1, 0], [0, 0, 1], [1, 1, -1]], [[-1, 1, 0], [1, 0, 1], [1, 1, 1]]]


def test_t1_a_the_volume_of_the_course_and_the_terms_of_two_numbers():
    y = Conv2d().forward([CHANNELS], [FILTER], [-3])
    assert y[0, 0].tolist() == [[12, 4, 7], [11, 8, 14], [10, 0, 16]]
    four = Conv2d().terms("y", (0, 0, 0, 1), [CHANNELS], [FILTER], [-3])
    assert str(four).startswith("y[0, 0, 0, 1] = 2·0 + 2·0 + 0·0 + 2·(−1) + ")
    assert str(four).endswith(" + (−3) = 4")
    assert len(four.terms) == 27 + 1
    assert Conv2d().terms("y", (0, 0, 2, 1), [CHANNELS], [FILTER], [-3]).value == 0


def test_t1_b_and_c_and_d():
    exercise = [[1, 2, 3, 4, 5], [2, 2, 1, 1, 1], [3, 2, 1, 1, 1], [4, 1, 1, 1, 1], [5, 1, 1, 1, 1]]
    steps = [Conv2d(stride=2).forward([[exercise]], [[[[0, -1, 0], [1, 1, 1], [0, -1, 0]]]])]
    steps.append(ReLU().forward(steps[-1]))
    steps.append(MaxPool2d(kernel=2).forward(steps[-1]))
    assert [step[0, 0].tolist() for step in steps] == [[[1, -2], [3, 1]], [[1, 0], [3, 1]], [[3]]]
    cross = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
    assert Conv2d().forward([[cross]], [[[[1, 0, 1], [0, 1, 0], [1, 0, 1]]]])[0, 0].tolist() == [[4, 3, 4], [2, 4, 3], [2, 3, 4]]
    weight, bias = [[0.2, -0.5, 0.1, 2], [1.5, 1.3, 2.1, 0], [0, 0.25, 0.2, -0.3]], [1.1, 3.2, -1.2]
    np.testing.assert_allclose(Linear().forward([[56, 231, 24, 2]], weight, bias), [[-96.8, 437.9, 60.75]], rtol=1e-12)
