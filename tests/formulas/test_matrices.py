"""Operations as matrices: convolution's product and transpose, dense layers as convolutions, Jacobians formed and not formed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.core.errors import ArgumentError
from striate.formulas import (
    ELU,
    GELU,
    Conv1d,
    Conv2d,
    LeakyReLU,
    Linear,
    Maxout,
    ReLU,
    Scale,
    ScaledTanh,
    Sigmoid,
    SiLU,
    Tanh,
    convolution_as_dense,
    convolution_matrix,
    dense_as_convolution,
    jacobian,
)
from striate.formulas.elementwise import Elementwise
from striate.formulas.registry import formulas


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 2), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.integers(1, 2))
def test_convolution_is_its_matrix_and_the_transpose_sends_the_message_back(seed, axes, stride, padding, dilation, groups):
    rng = np.random.default_rng(seed)
    kernel = tuple(rng.integers(1, 4, size=axes))
    size = tuple(int(d * (k - 1) + 1 + rng.integers(0, 4)) for k, d in zip(kernel, [dilation] * axes, strict=True))
    weight, bias = rng.normal(size=(2 * groups, 2, *kernel)), rng.normal(size=2 * groups)
    x = rng.normal(size=(1, 2 * groups, *size))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    operation = (Conv1d if axes == 1 else Conv2d)(**options)
    matrix = convolution_matrix(weight, size, **options)
    y = operation.forward(x, weight, bias)
    np.testing.assert_allclose(matrix @ x.ravel() + np.repeat(bias, y[0, 0].size), y.ravel(), atol=1e-12)
    delta = rng.normal(size=y.shape)
    np.testing.assert_allclose(matrix.T @ delta.ravel(), operation.message(delta, x, weight, bias).ravel(), atol=1e-12)
    np.testing.assert_allclose(
        Linear().forward(x.reshape(1, -1), convolution_as_dense(weight, size, **options)).ravel(), matrix @ x.ravel(), atol=1e-12
    )
    np.testing.assert_allclose(jacobian(operation, x, weight), matrix.toarray(), atol=1e-12)


def test_sharing_shows_in_the_matrix():
    matrix = convolution_matrix([[[1.0, 2.0, 3.0]]], (7,), stride=2)
    assert matrix.toarray().tolist() == [[1, 2, 3, 0, 0, 0, 0], [0, 0, 1, 2, 3, 0, 0], [0, 0, 0, 0, 1, 2, 3]]
    assert matrix.nnz == 9


def test_a_dense_layer_after_a_volume_is_a_convolution_of_its_size_and_slides_over_more():
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(5, 2 * 3 * 3)), rng.normal(size=5)
    filters = dense_as_convolution(weight, (2, 3, 3))
    x = rng.normal(size=(1, 2, 5, 4))
    y = Conv2d().forward(x, filters, bias)
    for i, j in np.ndindex(3, 2):
        crop = x[:, :, i : i + 3, j : j + 3].reshape(1, -1)
        np.testing.assert_allclose(y[0, :, i, j], Linear().forward(crop, weight, bias)[0], atol=1e-12)
    np.testing.assert_allclose(dense_as_convolution(convolution_as_dense(filters, (3, 3)), (2, 3, 3)), filters)


POINTWISE = [Sigmoid(), Tanh(), ScaledTanh(), ReLU(), LeakyReLU(), ELU(), SiLU(), GELU(), GELU(approximate="tanh"), Scale(factor=3)]


def test_every_elementwise_formula_is_tried_here():
    kinds = {type(operation) for operation in POINTWISE}
    assert kinds == {kind for kind in map(formulas.get, formulas.names()) if issubclass(kind, Elementwise)}


@pytest.mark.parametrize("operation", POINTWISE, ids=str)
def test_the_jacobian_that_is_never_formed_equals_the_one_that_is(operation):
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    formed = jacobian(operation, x)
    assert np.count_nonzero(formed - np.diag(np.diag(formed))) == 0
    np.testing.assert_allclose(operation.jacobian_vector(x, v).ravel(), formed @ v.ravel(), rtol=1e-12)
    step = 1e-6
    numeric = (operation.forward(x + step * v) - operation.forward(x - step * v)) / (2 * step)
    np.testing.assert_allclose(operation.jacobian_vector(x, v), numeric, atol=1e-8)


def test_elementwise_products_take_large_inputs():
    x = np.linspace(-5, 5, 1_000_000)
    assert ReLU().jacobian_vector(x, x).sum() == x[x > 0].sum()


def test_a_jacobian_that_is_not_diagonal():
    assert jacobian(Maxout(pieces=2), [[1.0, 5.0, 4.0, 3.0]]).tolist() == [[0, 1, 0, 0], [0, 0, 1, 0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: convolution_matrix(np.ones((1, 1, 3, 3)), (7,)), r"size: got \(7,\), expected 2 numbers"),
        (lambda: convolution_matrix(np.ones((3, 1, 3)), (7,), groups=2), "groups: got 2, expected a divisor of the 3 filters"),
        (lambda: dense_as_convolution(np.ones((4, 10)), (2, 2, 2)), "weight: got 10 columns, expected 8 for a volume"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
