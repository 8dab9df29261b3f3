"""Every registered layer and loss, run on its own example by the house's rules, beside its formula or its definition written out in NumPy."""

import copy
import importlib

import numpy as np
import pytest
import torch
from torch import nn

from striate.core.errors import ArgumentError
from striate.formulas.registry import formulas
from striate.layers import finite_inputs
from striate.layers.losses.registry import losses
from striate.layers.registry import layers

EVERY = [*layers.names(), *losses.names()]


def example(name, *, double=False):
    registry = layers if name in layers else losses
    torch.manual_seed(0)
    made, inputs = importlib.import_module(registry.entry(name).module).example()
    assert type(made) is registry.get(name)
    if double:
        made, inputs = made.double(), tuple(x.double() if x.is_floating_point() else x for x in inputs)
    return made, inputs


def seeded(made):
    """The layer with its coins thrown alike on every call."""

    def call(*inputs):
        torch.manual_seed(4)
        return made(*inputs)

    return call


def close(got, wanted, tolerance=1e-10):
    got, wanted = np.asarray(got), np.asarray(wanted)
    return got.shape == wanted.shape and np.abs(got - wanted).max() <= tolerance * max(1.0, np.abs(wanted).max())


# What each one computes: a formula's name, its options and its arrays beyond the inputs ...


def ours(name):
    """(formula, parameters): parameters maps the formula's arrays to the layer's tensors, laid out as the formula has them."""

    def of(kind, **options):
        return formulas.get(kind)(**options)

    def own(made):
        return {"weight": made.weight, "bias": made.bias}

    table = {
        "add": lambda m: (of("add"), {}),
        "concat": lambda m: (of("cat", axis=m.dim), {}),
        "scaled_tanh": lambda m: (of("scaled_tanh"), {}),
        "maxout": lambda m: (of("maxout", pieces=m.pieces), {}),
        "max_pool": lambda m: (of("max_pool2d", kernel=m.kernel_size, stride=m.stride), {}),
        "l2_pool": lambda m: (of("l2_pool2d", kernel=m.kernel_size, stride=m.stride, padding=m.padding), {}),
        "local_response_norm": lambda m: (of("paper_response_norm", size=m.size, alpha=m.alpha, beta=m.beta, k=m.k), {}),
        "locally_connected_1d": lambda m: (of("locally_connected_1d", stride=m.stride, padding=m.padding, dilation=m.dilation), own(m)),
        "locally_connected_2d": lambda m: (of("locally_connected_2d", stride=m.stride, padding=m.padding, dilation=m.dilation), own(m)),
        "whitened_conv": lambda m: (of("conv2d"), own(m)),
        "partial_conv": lambda m: (of("conv2d"), {"weight": m.dense(), "bias": m.bias}),
        "tied_linear": lambda m: (of("linear"), {"weight": m.weight.t(), "bias": m.bias}),
        "hinge": lambda m: (of("hinge", margin=m.margin, squared=m.squared), {}),
        "softmax_cross_entropy": lambda m: (of("cross_entropy", smoothing=m.smoothing), {}),
        "squared_error": lambda m: (of("squared_error", factor=m.factor), {}),
        "max_norm_linear": lambda m: (of("linear"), own(m)),
        "subsampling": lambda m: (of("subsampling", size=m.size), own(m)),
    }
    return table[name]


BY_FORMULA = [
    "add",
    "concat",
    "hinge",
    "l2_pool",
    "local_response_norm",
    "locally_connected_1d",
    "locally_connected_2d",
    "max_norm_linear",
    "max_pool",
    "maxout",
    "partial_conv",
    "scaled_tanh",
    "softmax_cross_entropy",
    "squared_error",
    "subsampling",
    "tied_linear",
    "whitened_conv",
]


# ... or the definition, written out.


def batch_shift(made, x):
    mean, variance = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    return (x - mean) / np.sqrt(variance + made.eps) + made.bias.detach().numpy()[:, None, None]


def max_unpool(made, values, switches):
    out = np.zeros((*values.shape[:2], 7 * 5))
    for n, c, i, j in np.ndindex(values.shape):
        out[n, c, switches[n, c, i, j]] += values[n, c, i, j]
    return out.reshape(*values.shape[:2], 7, 5)


def pad_shortcut(made, x):
    return np.concatenate([x[:, :, ::2, ::2], np.zeros((2, made.extra, 3, 3))], 1)


def tied_conv_transpose(made, x):
    """The message of the convolution: formulas/ has it, group by group."""
    shape = (2, made.out_channels, *((size - 1) * 2 - 2 + 3 for size in x.shape[2:]))
    back = formulas.get("conv2d")(stride=2, padding=1, groups=2).message(x, np.zeros(shape), made.weight.detach().numpy())
    return back + made.bias.detach().numpy()[:, None, None]


def max_norm_linear(made, x):
    rows = made.weight.detach().numpy()
    lengths = np.sqrt((rows**2).sum(1, keepdims=True))
    return x @ (rows * np.minimum(1, made.most / lengths)).T + made.bias.detach().numpy()


WRITTEN_OUT = {
    "batch_shift": batch_shift,
    "drop_path": lambda made, x: x * np.where(seeded(made)(torch.ones(4, 1)).numpy(), 2.0, 0.0)[..., None, None],
    "max_norm_linear": max_norm_linear,
    "max_unpool": max_unpool,
    "pad_shortcut": pad_shortcut,
    "scale": lambda made, x: x * 0.25,
    "tied_conv_transpose_2d": tied_conv_transpose,
    "transpose": lambda _, x: np.array([[[x[n, t, d] for t in range(3)] for d in range(4)] for n in range(2)]),
}


def test_every_layer_and_loss_has_an_oracle():
    assert set(EVERY) <= {*BY_FORMULA, *WRITTEN_OUT}


@pytest.mark.parametrize("name", BY_FORMULA)
def test_forward_message_and_parameter_gradient_equal_the_formula(name):
    made, inputs = example(name, double=True)
    rule, parameters = ours(name)(made)
    arrays = [x.numpy() for x in inputs] + [p.detach().numpy() for p in parameters.values()]
    inputs = [x.requires_grad_(x.is_floating_point()) for x in inputs]
    out = made(*inputs)
    assert close(out.detach(), rule.forward(*arrays))
    torch.manual_seed(2)
    delta = torch.randn_like(out)
    wanted = rule.message(delta.numpy(), *arrays)
    floating = [x for x in inputs if x.requires_grad]
    messages = wanted if isinstance(wanted, tuple) else (wanted,)
    for got, message in zip(torch.autograd.grad(out, floating[: len(messages)], delta, retain_graph=True), messages, strict=True):
        assert close(got, message)
    own = [p for p in made.parameters() if p.requires_grad]
    if own:
        gradients = rule.parameter_gradient(delta.numpy(), *arrays)
        laid_out = [(array, torch.from_numpy(gradients[key])) for key, array in parameters.items() if array.requires_grad]
        wanted = torch.autograd.grad([array for array, _ in laid_out], own, [gradient for _, gradient in laid_out])
        for got, gradient in zip(torch.autograd.grad(out, own, delta), wanted, strict=True):
            assert close(got, gradient)


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_output_equals_the_definition_written_out(name):
    made, inputs = example(name, double=True)
    got = seeded(made)(*inputs).detach().numpy()
    arrays = [x.numpy() for x in inputs]
    assert close(got, WRITTEN_OUT[name](made, *arrays))


@pytest.mark.parametrize("name", EVERY)
def test_first_and_second_gradients_equal_differences(name):
    made, inputs = example(name, double=True)
    made.train(name != "max_norm_linear")  # which shortens its weights as it trains
    inputs = [x.requires_grad_() if x.is_floating_point() else x for x in inputs]
    kept = [x.detach().clone() for x in inputs]
    named = {key: p for key, p in made.named_parameters() if p.requires_grad}

    def whole(*values):
        torch.manual_seed(1)
        return torch.func.functional_call(made, dict(zip(named, values[len(inputs) :], strict=True)), values[: len(inputs)])

    assert torch.autograd.gradcheck(whole, [*inputs, *named.values()], fast_mode=True)
    assert torch.autograd.gradgradcheck(whole, [*inputs, *named.values()], fast_mode=True)
    assert all(torch.equal(x, old) for x, old in zip(inputs, kept, strict=True)), "inputs are left as they were"
    made(*inputs).square().sum().backward()
    assert all(p.grad is not None for p in named.values())


@pytest.mark.parametrize("name", EVERY)
def test_state_dict_goes_round_and_reset_draws_anew(name):
    made, inputs = example(name)
    with torch.no_grad():
        for p in made.parameters():
            p.uniform_(0.5, 1.5)
    made.eval()
    wanted = made(*inputs)
    torch.manual_seed(3)
    registry = layers if name in layers else losses
    again, _ = importlib.import_module(registry.entry(name).module).example()
    again.eval()
    again.load_state_dict(made.state_dict())
    assert torch.equal(again(*inputs), wanted)
    assert torch.equal(copy.deepcopy(made)(*inputs), wanted)
    own = {key: value.clone() for key, value in made.state_dict().items()}
    if any(True for _ in made.parameters()):
        made.reset_parameters()
        assert any(not torch.equal(value, own[key]) for key, value in made.state_dict().items())


@pytest.mark.parametrize("name", EVERY)
def test_channels_last_and_bf16_autocast_change_nothing_that_counts(name):
    made, inputs = example(name)
    made.eval()
    wanted = made(*inputs)
    if inputs[0].ndim == 4:
        last = [x.to(memory_format=torch.channels_last) if x.ndim == 4 else x for x in inputs]
        got = made(*last)
        assert torch.allclose(got, wanted, rtol=1e-5, atol=1e-6)
    else:
        last = inputs
    whole = copy.deepcopy(made).to(memory_format=torch.channels_last)
    assert torch.allclose(whole(*last), wanted, rtol=1e-5, atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        assert (made(*inputs).float() - wanted).abs().max() <= 0.02 * wanted.abs().max()
    half = [x.bfloat16() if x.is_floating_point() else x for x in inputs]
    assert (copy.deepcopy(made).bfloat16()(*half).float() - wanted).abs().max() <= 0.04 * wanted.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_compiled_whole_it_gives_the_same(name):
    made, inputs = example(name)
    made.eval()
    torch.compiler.reset()
    compiled = torch.compile(made, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(*inputs), made(*inputs), rtol=1e-5, atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(compiled(*inputs), made(*inputs), rtol=2e-2, atol=2e-2)
    floating = [x.requires_grad_() for x in inputs if x.is_floating_point()]
    ours, theirs = (torch.autograd.grad(f(*inputs).square().sum(), floating) for f in (compiled, made))
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(ours, theirs, strict=True))


WRONG = {  # for each, inputs it must refuse and words its refusal must have
    "add": [((2, 3, 4, 5), (2, 3, 4, 1), r"Add: other: got shape 2 x 3 x 4 x 1, expected that of x, 2 x 3 x 4 x 5")],
    "batch_shift": [
        ((2, 4, 3, 3), r"BatchShift: input: got shape 2 x 4 x 3 x 3, expected N x 3 x H x W; axis 1"),
        ((3, 4, 4), "got shape 3 x 4 x 4"),
    ],
    "concat": [((2, 3, 4, 5), (2, 3, 4, 4), r"branch 1: got shape 2 x 3 x 4 x 4, expected 2 x 3 x 4 x 5 as branch 0, but for axis 1")],
    "drop_path": [((), r"got shape \(\) \(a single number\), expected N …")],
    "hinge": [
        ((4, 5), (3,), r"MultiClassHinge: target: got shape 3, expected 4, one class number"),
        ((4,), (4,), "scores: got torch.float32 of shape 4"),
    ],
    "l2_pool": [((2, 3), "expected N x C x H x W or C x H x W"), ((1, 1, 9, 0), r"padded by 1 the width is 2; kernel_size 3 needs at least 3")],
    "local_response_norm": [((3,), "expected N x C, N x C x L or N x C x H x W")],
    "locally_connected_1d": [((2, 2, 8), r"got shape 2 x 2 x 8, expected N x 2 x 7: its weights belong"), ((2, 3, 7), "axis 1 is the channels")],
    "locally_connected_2d": [((2, 3, 5, 4), r"expected N x 2 x H x W or 2 x H x W; axis 1 is the channels"), ((2, 2, 4, 5), "an input of 5 x 4")],
    "max_norm_linear": [((2, 5), "MaxNormLinear: input: got shape 2 x 5, expected … x 4; the last axis is the features")],
    "max_pool": [
        ((1, 1, 5, 1), r"MaxPool2d: input: got shape 1 x 1 x 5 x 1, .* width is 1; kernel_size 2 needs at least 2"),
        ((4, 4), "expected N x C"),
    ],
    "max_unpool": [((1, 1, 2, 2), (1, 1, 2, 3), r"MaxUnpool2d: switches: got shape 1 x 1 x 2 x 3, expected that of values, 1 x 1 x 2 x 2")],
    "maxout": [((2, 5), r"Maxout: input: got shape 2 x 5, expected a multiple of 3 \(pieces\) along axis 1"), ((6,), "along axis 1")],
    "pad_shortcut": [((3, 4, 4), "PadShortcut: input: got shape 3 x 4 x 4, expected N x C x H x W")],
    "partial_conv": [
        ((1, 2, 5, 5), "expected N x 3 x H x W"),
        ((1, 3, 2, 5), r"the height is 2; kernel_size 3 needs at least 3: take a larger input"),
    ],
    "scale": [],
    "scaled_tanh": [],
    "softmax_cross_entropy": [((4, 5), (5,), "SoftmaxCrossEntropy: target: got shape 5, expected 4")],
    "squared_error": [((4, 5), (4, 1), r"SquaredError: target: got shape 4 x 1, expected that of output, 4 x 5")],
    "subsampling": [((1, 3, 1, 5), "the height is 1; kernel_size 2 needs"), ((1, 4, 2, 2), "expected N x 3 x H x W")],
    "tied_conv_transpose_2d": [((1, 2, 3, 3), "expected N x 4 x H x W")],
    "tied_linear": [((2, 5), "TiedLinear: input: got shape 2 x 5, expected … x 3; the last axis is the features")],
    "transpose": [((2, 3), r"Transpose: input: got shape 2 x 3, expected a tensor with the axes 1 and 2")],
    "whitened_conv": [((1, 1, 4, 4), "WhitenedConv2d: input: got shape 1 x 1 x 4 x 4, expected N x 3"), ((1, 3, 1, 4), "the height is 1")],
}


@pytest.mark.parametrize("name", EVERY)
def test_refusal_names_the_argument_what_came_and_what_is_allowed(name):
    for *shapes, words in WRONG[name]:
        made, inputs = example(name)
        dtypes = [x.dtype for x in inputs]
        wrong = [torch.zeros(shape, dtype=dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
        with pytest.raises(ArgumentError, match=words):
            made(*wrong)


@pytest.mark.parametrize("name", EVERY)
def test_values_that_are_not_finite_are_named_where_asked_for(name):
    made, inputs = example(name)
    made.eval()
    inputs[0].view(-1)[1] = float("nan")
    made(*inputs)
    with (
        finite_inputs(),
        pytest.raises(ArgumentError, match=rf"{type(made).__name__}: .*: 1 of {inputs[0].numel()} values are not finite, .* nan at \["),
    ):
        made(*inputs)
    made(*inputs)


@pytest.mark.parametrize("name", EVERY)
def test_repr_spells_the_options(name):
    made, _ = example(name)
    takes_options = type(made).__init__ is not nn.Module.__init__
    assert repr(made).startswith(type(made).__name__ + "(")
    assert bool(made.extra_repr()) == takes_options
