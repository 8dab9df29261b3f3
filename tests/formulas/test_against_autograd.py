"""Every formula against torch's autograd in float64, over drawn shapes and options; and its terms against its own three passes."""

import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from striate.core.errors import ArgumentError
from striate.formulas.registry import formulas

CASES = {}


def case(*names):
    """Register a function (draw, rng, name) -> (options, arrays by position, torch's function of the same arrays)."""

    def keep(function):
        CASES.update(dict.fromkeys(names, function))
        return function

    return keep


def windows(draw, axes, *, dilation=True, half=False):
    """Draw sizes with at least one window in them: single pixels, odd sizes, strides beyond the kernel, uneven kernels."""
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    stride = tuple(draw(st.integers(1, 4)) for _ in range(axes))
    spread = tuple(draw(st.integers(1, 2)) if dilation else 1 for _ in range(axes))
    padding = tuple(draw(st.integers(0, k // 2 if half else 2)) for k in kernel)
    least = [max(d * (k - 1) + 1 - 2 * p, 1) for k, d, p in zip(kernel, spread, padding, strict=True)]
    size = tuple(draw(st.integers(low, low + 4)) for low in least)
    return size, kernel, stride, padding, spread


def axes_of(name):
    return 1 if "1" in name[-2:] else 2


def maybe(draw, values):
    return values if draw(st.booleans()) else None


@case("conv1d", "conv2d", "true_conv1d", "true_conv2d")
def convolution(draw, rng, name):
    axes = axes_of(name)
    size, kernel, stride, padding, dilation = windows(draw, axes)
    groups, each, filters = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    word = draw(st.sampled_from(["numbers", "same", "valid"]))
    if word == "same":
        stride, padding = 1, "same"
    elif word == "valid":
        assume(all(d * (k - 1) < s for s, k, d in zip(size, kernel, dilation, strict=True)))
        padding = "valid"
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    x, weight = rng.normal(size=(draw(st.integers(1, 2)), each * groups, *size)), rng.normal(size=(filters * groups, each, *kernel))
    function = F.conv1d if axes == 1 else F.conv2d

    def torch_function(x, weight, bias=None):
        turned = weight.flip(tuple(range(2, weight.ndim))) if name.startswith("true") else weight
        return function(x, turned, bias, **options)

    return options, (x, weight, maybe(draw, rng.normal(size=filters * groups))), torch_function


@case("locally_connected_1d", "locally_connected_2d")
def locally_connected(draw, rng, name):
    axes = 1 if "1" in name else 2
    size, kernel, stride, padding, dilation = windows(draw, axes)
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    out = tuple((s + 2 * p - d * (k - 1) - 1) // t + 1 for s, k, t, p, d in zip(size, kernel, stride, padding, dilation, strict=True))
    channels, filters = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    x, weight = rng.normal(size=(draw(st.integers(1, 3)), channels, *size)), rng.normal(size=(*out, filters, channels, *kernel))

    def torch_function(x, weight, bias=None):
        flat = [(v if axes == 2 else (n, *v)) for n, v in ((1, kernel), (1, dilation), (0, padding), (1, stride))]
        patches = F.unfold(x if axes == 2 else x[:, :, None], flat[0], flat[1], flat[2], flat[3])
        y = torch.einsum("ncp,pkc->nkp", patches, weight.reshape(-1, filters, channels * int(np.prod(kernel))))
        y = y if bias is None else y + bias.reshape(-1, filters).T
        return y.reshape(len(x), filters, *out)

    return options, (x, weight, maybe(draw, rng.normal(size=(*out, filters)))), torch_function


@case("linear")
def linear(draw, rng, name):
    before = draw(st.sampled_from([(1,), (3,), (2, 3)]))
    inputs, outputs = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    arrays = rng.normal(size=(*before, inputs)), rng.normal(size=(outputs, inputs)), maybe(draw, rng.normal(size=outputs))
    return {}, arrays, F.linear


@case("subsampling")
def subsampling(draw, rng, name):
    size = draw(st.integers(1, 3))
    x = rng.normal(size=(draw(st.integers(1, 2)), draw(st.integers(1, 3)), size + draw(st.integers(0, 4)), size + draw(st.integers(0, 4))))

    def torch_function(x, weight, bias=None):
        y = F.avg_pool2d(x, size, divisor_override=1) * weight[:, None, None]
        return y if bias is None else y + bias[:, None, None]

    return {"size": size}, (x, rng.normal(size=x.shape[1]), maybe(draw, rng.normal(size=x.shape[1]))), torch_function


@case("max_pool1d", "max_pool2d")
def max_pool(draw, rng, name):
    axes = axes_of(name)
    size, kernel, stride, padding, dilation = windows(draw, axes, half=True)
    x = rng.integers(-2, 3, size=(draw(st.integers(1, 2)), 2, *size)).astype(float)  # many equals
    stride = maybe(draw, stride)
    function = functools.partial(F.max_pool1d if axes == 1 else F.max_pool2d, kernel_size=kernel, stride=stride, padding=padding, dilation=dilation)
    ceil_mode = draw(st.booleans())
    found = function(torch.tensor(x), ceil_mode=ceil_mode)
    assume(bool(found.isfinite().all()))  # a window of nothing but padding is refused here and −∞ in torch
    options = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    return options, (x,), functools.partial(function, ceil_mode=ceil_mode)


@case("avg_pool1d", "avg_pool2d")
def average_pool(draw, rng, name):
    axes = axes_of(name)
    size, kernel, stride, padding, _ = windows(draw, axes, dilation=False, half=True)
    options = {"stride": maybe(draw, stride), "padding": padding, "ceil_mode": draw(st.booleans()), "count_include_pad": draw(st.booleans())}
    if axes == 2:
        options["divisor_override"] = draw(st.sampled_from([None, 1, 3]))
    function = F.avg_pool1d if axes == 1 else F.avg_pool2d
    x = rng.normal(size=(draw(st.integers(1, 2)), 2, *size))
    return options | {"kernel": kernel}, (x,), lambda x: function(x, kernel, **options)


@case("l2_pool1d", "l2_pool2d")
def l2_pool(draw, rng, name):
    axes = axes_of(name)
    size, kernel, stride, padding, _ = windows(draw, axes, dilation=False, half=True)
    options = {"stride": maybe(draw, stride), "padding": padding, "ceil_mode": draw(st.booleans()), "count_include_pad": draw(st.booleans())}
    form = draw(st.sampled_from(["root_mean_square", "root_sum_of_squares"]))

    def torch_function(x):
        flat = {k: (v if axes == 2 or not isinstance(v, tuple) else ({"padding": 0}.get(k, 1), *v)) for k, v in options.items()}
        override = 1 if form == "root_sum_of_squares" else None
        squares = F.avg_pool2d((x if axes == 2 else x[:, :, None]) ** 2, kernel if axes == 2 else (1, *kernel), **flat, divisor_override=override)
        return (squares if axes == 2 else squares[:, :, 0]).sqrt()

    x = rng.normal(size=(draw(st.integers(1, 2)), 2, *size))
    return options | {"kernel": kernel, "form": form}, (x,), torch_function


@case("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d")
def adaptive_pool(draw, rng, name):
    axes = axes_of(name)
    size = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    x = rng.integers(-2, 3, size=(draw(st.integers(1, 2)), 2, *(draw(st.integers(1, 5)) for _ in range(axes)))).astype(float)
    return {"size": size}, (x,), functools.partial(getattr(F, name), output_size=size)


def maps(draw, rng, *, whole=False):
    shape = draw(st.sampled_from([(1, 1), (3, 4), (2, 3, 5), (2, 2, 3, 2)]))
    return rng.integers(-3, 4, size=shape).astype(float) if whole else rng.normal(scale=3, size=shape)


@case("sigmoid", "tanh", "relu", "silu", "gelu")
def activation(draw, rng, name):
    options = {"approximate": draw(st.sampled_from(["none", "tanh"]))} if name == "gelu" else {}
    return options, (maps(draw, rng, whole=draw(st.booleans())),), functools.partial(getattr(F, name, None) or getattr(torch, name), **options)


@case("leaky_relu", "elu", "scaled_tanh", "scale")
def activation_with_an_option(draw, rng, name):
    value = draw(st.sampled_from([0.01, 0.1, 1.5]))
    x = maps(draw, rng, whole=draw(st.booleans()))
    if name == "scaled_tanh":
        return {"amplitude": 1.7159, "slope": value}, (x,), lambda x: 1.7159 * torch.tanh(value * x)
    if name == "scale":
        return {"factor": value}, (x,), lambda x: x * value
    option = {"leaky_relu": "negative_slope", "elu": "alpha"}[name]
    return {option: value}, (x,), functools.partial(getattr(F, name), **{option: value})


@case("prelu")
def prelu(draw, rng, name):
    x = maps(draw, rng, whole=draw(st.booleans()))
    return {}, (x, rng.normal(size=draw(st.sampled_from([1, x.shape[1]])))), F.prelu


@case("maxout")
def maxout(draw, rng, name):
    pieces, axis = draw(st.integers(1, 3)), draw(st.sampled_from([1, -1]))
    x = rng.integers(-2, 3, size=(draw(st.integers(1, 2)), pieces * 2, pieces * 3)).astype(float)
    return {"pieces": pieces, "axis": axis}, (x,), lambda x: x.unflatten(axis, (-1, pieces)).max(axis % x.ndim + 1).values


@case("softmax", "log_softmax")
def softmax(draw, rng, name):
    x = maps(draw, rng) * draw(st.sampled_from([1, 100]))
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    return {"axis": axis}, (x,), functools.partial(getattr(F, name), dim=axis)


REDUCTIONS = st.sampled_from(["mean", "sum", "none"])


@case("cross_entropy")
def cross_entropy(draw, rng, name):
    samples, classes, smoothing, reduction = draw(st.integers(1, 3)), draw(st.integers(2, 5)), draw(st.sampled_from([0, 0.1])), draw(REDUCTIONS)
    logits = rng.normal(scale=draw(st.sampled_from([1, 50])), size=(samples, classes))
    target = draw(st.sampled_from([rng.integers(0, classes, size=samples), rng.random((samples, classes))]))

    def torch_function(logits, target):
        wanted = target if target.ndim == 2 else target.long()
        return F.cross_entropy(logits, wanted, label_smoothing=smoothing, reduction=reduction)

    return {"smoothing": smoothing, "reduction": reduction}, (logits, target.astype(float)), torch_function


@case("hinge")
def hinge(draw, rng, name):
    samples, classes = draw(st.integers(1, 3)), draw(st.integers(2, 5))
    options = {"margin": draw(st.sampled_from([1.0, 0.5])), "squared": draw(st.booleans()), "reduction": draw(REDUCTIONS)}

    def torch_function(logits, target):
        each = F.multi_margin_loss(logits, target.long(), p=2 if options["squared"] else 1, margin=options["margin"], reduction="none") * classes
        return {"mean": each.mean(), "sum": each.sum(), "none": each}[options["reduction"]]

    return options, (rng.normal(size=(samples, classes)), rng.integers(0, classes, size=samples).astype(float)), torch_function


@case("mse_loss", "squared_error")
def squared_error(draw, rng, name):
    x, reduction = maps(draw, rng), draw(REDUCTIONS)
    if name == "mse_loss":
        return {"reduction": reduction}, (x, rng.normal(size=x.shape)), functools.partial(F.mse_loss, reduction=reduction)

    def torch_function(x, target):
        each = 0.5 * ((x - target) ** 2).flatten(1).sum(1)
        return {"mean": each.mean(), "sum": each.sum(), "none": each}[reduction]

    return {"reduction": reduction, "factor": 0.5}, (x, rng.normal(size=x.shape)), torch_function


@case("l2_penalty")
def l2_penalty(draw, rng, name):
    return {"strength": 0.3}, (maps(draw, rng),), lambda weight: 0.3 * weight.square().sum()


@case("batch_norm")
def batch_norm(draw, rng, name):
    shape = draw(st.sampled_from([(2, 3), (3, 1), (2, 3, 4), (1, 2, 3, 2), (3, 2, 1, 2)]))
    training, eps = draw(st.booleans()), draw(st.sampled_from([1e-5, 1e-2]))
    channels = shape[1]
    mean, variance = (None, None) if training and draw(st.booleans()) else (rng.normal(size=channels), rng.random(channels) + 0.1)
    x = rng.normal(loc=2, scale=3, size=shape)
    arrays = x, mean, variance, maybe(draw, rng.normal(size=channels)), maybe(draw, rng.normal(size=channels))

    def torch_function(x, mean, variance, weight, bias):
        old = [None if old is None else old.detach().clone() for old in (mean, variance)]
        return F.batch_norm(x, *old, weight, bias, training=training, eps=eps)

    return {"training": training, "eps": eps}, arrays, torch_function


@case("local_response_norm", "paper_response_norm")
def response_norm(draw, rng, name):
    options = {"size": draw(st.integers(1, 6)), "alpha": 0.5, "beta": draw(st.sampled_from([0.75, 0.5])), "k": draw(st.sampled_from([1.0, 2.0]))}
    x = rng.normal(size=(draw(st.integers(1, 2)), draw(st.integers(1, 7)), 2, 1)[: draw(st.integers(2, 4))])

    def paper(x):
        half, count = options["size"] // 2, x.shape[1]
        near = torch.tensor([[float(abs(i - j) <= half) for j in range(count)] for i in range(count)], dtype=torch.float64)
        return x / (options["k"] + options["alpha"] * torch.einsum("ij,nj...->ni...", near, x**2)) ** options["beta"]

    def torchs(x):
        grown = x.reshape(*x.shape, *(1,) * (4 - x.ndim))
        return F.local_response_norm(grown, **options).reshape(x.shape)

    return options, (x,), torchs if name.startswith("local") else paper


@case("dropout")
def dropout(draw, rng, name):
    x, p, training, inverted = maps(draw, rng), draw(st.sampled_from([0.0, 0.2, 0.5])), draw(st.booleans()), draw(st.booleans())
    mask = (rng.random(x.shape) >= p).astype(float)
    scale = {(True, True): 1 / (1 - p), (True, False): 1, (False, True): 1, (False, False): 1 - p}[training, inverted]
    options = {"p": p, "training": training, "inverted": inverted}
    return options, (x, mask), lambda x, mask: (x * mask if training else x) * scale


@case("flatten")
def flatten(draw, rng, name):
    x = maps(draw, rng)
    start = draw(st.integers(0, x.ndim - 1))
    end = draw(st.sampled_from([-1, *range(start, x.ndim)]))
    return {"start_dim": start, "end_dim": end}, (x,), functools.partial(torch.flatten, start_dim=start, end_dim=end)


@case("add")
def add(draw, rng, name):
    x = maps(draw, rng)
    return {}, tuple(rng.normal(size=x.shape) for _ in range(draw(st.integers(1, 3)))), lambda *xs: sum(xs[1:], xs[0])


@case("cat")
def concat(draw, rng, name):
    x = maps(draw, rng)
    axis = draw(st.integers(-x.ndim, x.ndim - 1))
    sizes = [draw(st.integers(1, 3)) for _ in range(draw(st.integers(1, 3)))]
    shapes = [[size if i == axis % x.ndim else side for i, side in enumerate(x.shape)] for size in sizes]
    return {"axis": axis}, tuple(rng.normal(size=shape) for shape in shapes), lambda *xs: torch.cat(xs, axis)


def close(ours, theirs, what):
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape, what
    assert np.abs(ours - theirs).max(initial=0) <= 1e-10 * max(1, np.abs(theirs).max(initial=0)), what


def test_every_formula_has_a_case():
    assert set(CASES) == set(formulas.names())


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", formulas.names())
@settings(max_examples=5)
@given(data=st.data())
def test_three_passes_equal_autograd_and_the_terms_add_up(name, data):
    check(name, data)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", formulas.names())
@settings(max_examples=50)
@given(data=st.data())
def test_three_passes_equal_autograd_over_many_shapes(name, data):
    check(name, data)


def check(name, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    options, arrays, torch_function = CASES[name](data.draw, rng, name)
    operation = formulas.get(name)(**options)
    names = operation._names(len(arrays))
    learnt = [n for n in names if n not in operation._given()]
    tensors = [None if a is None else torch.tensor(a, requires_grad=n in learnt) for n, a in zip(names, arrays, strict=True)]
    theirs = torch_function(*tensors)
    delta = rng.normal(size=tuple(theirs.shape))
    wanted = {n: t for n, t in zip(names, tensors, strict=True) if n in learnt and t is not None}
    gradients = dict(zip(wanted, torch.autograd.grad(theirs, list(wanted.values()), torch.tensor(delta)), strict=True))

    y = operation.forward(*arrays)
    close(y, theirs.detach(), "forward")
    assert operation.shape(*arrays) == y.shape
    back = operation.message(delta, *arrays)
    back = back if isinstance(back, tuple) else (back,)
    inputs = [n for n in names if n in learnt and n not in operation.parameters]
    found = dict(zip(inputs, back, strict=True)) | operation.parameter_gradient(delta, *arrays)
    assert set(found) == set(wanted)
    for n, gradient in gradients.items():
        close(found[n], gradient, n)

    for of, values in [("y", y), *found.items()]:
        at = tuple(int(rng.integers(size)) for size in values.shape)
        terms = operation.terms(of, at, *arrays, delta=delta)
        assert terms.value == pytest.approx(values[at], rel=1e-9, abs=1e-9 * max(1, np.abs(values).max())), terms
        known = dict(zip(names, arrays, strict=True)) | {"delta": delta}
        for term in terms.terms:
            for factor in term.factors:
                if factor.index is not None:
                    assert factor.value == np.asarray(known[factor.name])[factor.index]
        assert terms.to_json()["value"] == terms.value
        assert str(terms).startswith(terms.name)


def test_a_window_of_nothing_but_padding_is_refused():
    with pytest.raises(ArgumentError, match="sees nothing but padding"):
        formulas.get("max_pool1d")(kernel=2, padding=1, dilation=2).forward(np.ones((1, 1, 1)))
