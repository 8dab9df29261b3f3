"""The boxes a spec can name: each builds one module of torch or of striate's own layers for the shape it is given."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import nn

from striate.core.errors import ArgumentError
from striate.layers import L2Pool2d, LocallyConnected1d, LocallyConnected2d, Maxout
from striate.tracing.registry import Shape, word

Size = int | tuple[int, ...]


@word("conv", help="convolution (correlation, as torch counts it): filters, size, stride, padding, dilation, groups, bias")
def conv(
    shape: Shape,
    filters: int,
    size: int | tuple[int, ...] = 3,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] | str = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
    *,
    bias: bool = True,
) -> nn.Module:
    """A sequence (channels, length) gets a 1-D convolution, a picture a 2-D one."""
    channels, axes = _maps(shape, "conv")
    _positive(filters=filters, groups=groups)
    if channels % groups or filters % groups:
        raise ArgumentError(f"groups={groups} must divide the {channels} channels that come in and the {filters} filters")
    if isinstance(padding, str) and padding not in ("same", "valid"):
        raise ArgumentError(f"padding: got {padding!r}, expected a number, a size such as 1x2, same or valid")
    kind: Any = nn.Conv1d if axes == 1 else nn.Conv2d
    extent, steps, gaps = _size(size, axes, "size"), _size(stride, axes, "stride"), _size(dilation, axes, "dilation")
    edge = padding if isinstance(padding, str) else _size(padding, axes, "padding", least=0)
    if edge == "same" and max(steps) > 1:
        raise ArgumentError(f"padding=same keeps the size, stride={stride} does not; give the padding as a number")
    if not isinstance(edge, str):
        for length, wide, border, gap in zip(shape[1:], extent, edge, gaps, strict=True):
            if gap * (wide - 1) + 1 > length + 2 * border:
                raise ArgumentError(f"a filter {gap * (wide - 1) + 1} wide is larger than the padded input, {length + 2 * border}")
    module: nn.Module = kind(channels, filters, extent, stride=steps, padding=edge, dilation=gaps, groups=groups, bias=bias)
    return module


@word("linear", help="fully connected layer: units, bias (also written dense)")
def linear(shape: Shape, units: int, *, bias: bool = True) -> nn.Module:
    """Takes a vector; maps want `flatten` or `gap` first."""
    _positive(units=units)
    if len(shape) != 1:
        raise ArgumentError(
            f"linear takes a vector and is given {'x'.join(map(str, shape))}; write flatten -> linear({units}) or gap -> linear({units})"
        )
    return nn.Linear(shape[0], units, bias=bias)


@word("relu", help="max(0, x)")
def relu(shape: Shape) -> nn.Module:  # noqa: ARG001 - the same for every shape
    """Any shape."""
    return nn.ReLU()


@word("leaky", help="x, or slope times x where x is below zero: slope (0.01 as in torch; the course takes 0.1)")
def leaky(shape: Shape, slope: float = 0.01) -> nn.Module:  # noqa: ARG001
    """Any shape."""
    return nn.LeakyReLU(slope)


@word("elu", help="x, or alpha (exp x - 1) where x is below zero: alpha")
def elu(shape: Shape, alpha: float = 1.0) -> nn.Module:  # noqa: ARG001
    """Any shape."""
    return nn.ELU(alpha)


@word("sigmoid", help="1 / (1 + exp(-x))")
def sigmoid(shape: Shape) -> nn.Module:  # noqa: ARG001
    """Any shape."""
    return nn.Sigmoid()


@word("tanh", help="the hyperbolic tangent")
def tanh(shape: Shape) -> nn.Module:  # noqa: ARG001
    """Any shape."""
    return nn.Tanh()


@word("maxpool", help="largest number of each window: size, stride (the size), padding, ceil")
def maxpool(
    shape: Shape,
    size: int | tuple[int, ...] = 2,
    stride: int | tuple[int, ...] | None = None,
    padding: int | tuple[int, ...] = 0,
    *,
    ceil: bool = False,
) -> nn.Module:
    """Ties go to the first in row-major order."""
    kind: Any = nn.MaxPool1d if _maps(shape, "maxpool")[1] == 1 else nn.MaxPool2d
    module: nn.Module = kind(*_window(shape, "maxpool", size, stride, padding), ceil_mode=ceil)
    return module


@word("avgpool", help="mean of each window: size, stride (the size), padding, ceil")
def avgpool(
    shape: Shape,
    size: int | tuple[int, ...] = 2,
    stride: int | tuple[int, ...] | None = None,
    padding: int | tuple[int, ...] = 0,
    *,
    ceil: bool = False,
) -> nn.Module:
    """Zeros of the padding count, as torch's do."""
    kind: Any = nn.AvgPool1d if _maps(shape, "avgpool")[1] == 1 else nn.AvgPool2d
    module: nn.Module = kind(*_window(shape, "avgpool", size, stride, padding), ceil_mode=ceil)
    return module


@word("l2pool", help="root of the mean square of each window, or of the sum of squares: size, stride (the size), padding, ceil, sum")
def l2pool(
    shape: Shape,
    size: int | tuple[int, ...] = 2,
    stride: int | tuple[int, ...] | None = None,
    padding: int | tuple[int, ...] = 0,
    *,
    ceil: bool = False,
    sum: bool = False,  # noqa: A002 - the spec's word
) -> nn.Module:
    """Pictures only; with `sum` the root of the sum of squares, as torch's LPPool2d has it."""
    if _maps(shape, "l2pool")[1] == 1:
        raise ArgumentError("l2pool takes channels x height x width and is given a sequence")
    return L2Pool2d(*_window(shape, "l2pool", size, stride, padding), ceil_mode=ceil, form="root_sum_of_squares" if sum else "root_mean_square")


@word("local", help="as conv, with weights of its own at every place: filters, size, stride, padding, dilation, bias")
def local(
    shape: Shape,
    filters: int,
    size: int | tuple[int, ...] = 3,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    *,
    bias: bool = True,
) -> nn.Module:
    """A sequence (channels, length) gets the 1-D form, a picture the 2-D one."""
    channels, axes = _maps(shape, "local")
    _positive(filters=filters)
    extent, steps = _size(size, axes, "size"), _size(stride, axes, "stride")
    edge, gaps = _size(padding, axes, "padding", least=0), _size(dilation, axes, "dilation")
    kind: Any = LocallyConnected1d if axes == 1 else LocallyConnected2d
    lengths: Any = shape[1:]
    if axes == 1:
        lengths, extent, steps, edge, gaps = shape[1], extent[0], steps[0], edge[0], gaps[0]  # type: ignore[assignment] # numbers for the 1-D form
    module: nn.Module = kind(channels, filters, lengths, extent, steps, edge, gaps, bias=bias)
    return module


@word("maxout", help="largest of each group of neighbouring channels or units: pieces")
def maxout(shape: Shape, pieces: int = 2) -> nn.Module:
    """Any shape whose first axis is a multiple of `pieces`."""
    _positive(pieces=pieces)
    if shape[0] % pieces:
        raise ArgumentError(f"pieces={pieces} must divide the {shape[0]} channels that come in")
    return Maxout(pieces)


@word("batchnorm", help="batch normalisation over each channel: eps")
def batchnorm(shape: Shape, eps: float = 1e-5) -> nn.Module:
    """Fresh statistics are mean 0 and variance 1; with --train those of the batch are taken."""
    if len(shape) > 3:
        raise ArgumentError(
            f"batchnorm takes features, channels x length or channels x height x width and is given {'x'.join(map(str, shape))} numbers"
        )
    kind: Any = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    module: nn.Module = kind(shape[0], eps=eps)
    return module


@word("lrn", help="local response normalisation across channels: size, alpha, beta, k")
def lrn(shape: Shape, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> nn.Module:
    """As torch counts it: alpha is divided by size."""
    _maps(shape, "lrn")
    _positive(size=size)
    return nn.LocalResponseNorm(size, alpha=alpha, beta=beta, k=k)


@word("dropout", help="drops units with probability p while training (--train), passes them on otherwise: p")
def dropout(shape: Shape, p: float = 0.5) -> nn.Module:  # noqa: ARG001
    """Any shape."""
    if not 0 <= p < 1:
        raise ArgumentError(f"p: got {p}, expected a probability from 0 up to 1")
    return nn.Dropout(p)


@word("flatten", help="all numbers of a sample in one vector, row by row, map by map")
def flatten(shape: Shape) -> nn.Module:  # noqa: ARG001
    """Any shape."""
    return nn.Flatten()


@word("gap", help="global average pooling: one number a channel, as a vector")
def gap(shape: Shape) -> nn.Module:
    """The mean of every map."""
    _, axes = _maps(shape, "gap")
    mean = nn.AdaptiveAvgPool1d(1) if axes == 1 else nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(OrderedDict[str, nn.Module](mean=mean, flatten=nn.Flatten()))


@word("softmax", help="shares that sum to 1")
def softmax(shape: Shape) -> nn.Module:  # noqa: ARG001
    """Over the units of a vector, or the channels of maps."""
    return nn.Softmax(dim=1)


def _maps(shape: Shape, name: str) -> tuple[int, int]:
    """Channels, and how many axes a map has."""
    if len(shape) not in (2, 3):
        raise ArgumentError(f"{name} takes channels x length or channels x height x width and is given {'x'.join(map(str, shape))} numbers")
    return shape[0], len(shape) - 1


def _size(value: Size, axes: int, name: str, *, least: int = 1) -> tuple[int, ...]:
    sizes = (value,) * axes if isinstance(value, int) else value
    if len(sizes) != axes or min(sizes) < least:
        like = "3" if axes == 1 else "3 or 3x3"
        raise ArgumentError(f"{name}: got {value!r}, expected numbers from {least} on, one for each axis of a map, such as {like}")
    return sizes


def _window(shape: Shape, name: str, size: Size, stride: Size | None, padding: Size) -> tuple[Any, Any, Any]:
    axes = _maps(shape, name)[1]
    extent = _size(size, axes, "size")
    steps = extent if stride is None else _size(stride, axes, "stride")
    border = _size(padding, axes, "padding", least=0)
    for length, wide, edge in zip(shape[1:], extent, border, strict=True):
        if wide > length + 2 * edge:
            raise ArgumentError(f"a window {wide} wide is larger than the padded input, {length + 2 * edge}")
        if 2 * edge > wide:
            raise ArgumentError(f"padding {edge} is more than half the window, {wide}: some windows would hold nothing but padding")
    if axes == 1:
        return extent[0], steps[0], border[0]
    return extent, steps, border


def _positive(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise ArgumentError(f"{name}: got {value}, expected 1 or more")
