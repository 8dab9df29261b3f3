"""How single operations move a receptive field's axes: dense layers, reshaping, slicing, padding, reductions, resizing, attention."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from striate.measure.arithmetic import Window
from striate.measure.axes import Axes, Axis
from striate.measure.resizing import resized, shuffled
from striate.probe import Call

Rule = Callable[[Call, Axes, Tensor], Axes | None]


def _linear(call: Call, axes: Axes, _output: Tensor) -> Axes:
    """A dense layer mixes the last dimension and leaves the others."""
    last = call.inputs[0].ndim - 1
    return tuple(axis.whole() if axis.place == last else axis for axis in axes)


def _reshaped(call: Call, axes: Axes, output: Tensor) -> Axes | None:
    """A dimension survives where as many values lie before it and it is as long; else it is merged into the one that holds it."""
    before, after = tuple(call.inputs[0].shape), tuple(output.shape)
    found = []
    for axis in axes:
        if axis.place is None or axis.units == 1:
            found.append(replace(axis, place=None) if axis.place is not None else axis)
            continue
        lead = math.prod(before[: axis.place])
        tail = math.prod(before[axis.place + 1 :])
        same = [p for p, n in enumerate(after) if math.prod(after[:p]) == lead and n == before[axis.place]]
        if same:
            found.append(replace(axis, place=same[-1]))
            continue
        holds = [p for p, n in enumerate(after) if math.prod(after[:p]) <= lead and math.prod(after[p + 1 :]) <= tail and n % before[axis.place] == 0]
        if not holds:
            return None
        found.append(replace(axis, place=holds[0], merged=True))
    return tuple(found)


def _permuted(call: Call, axes: Axes, _output: Tensor) -> Axes | None:
    """Follow the dimensions by sending their numbers through the same call."""
    ndim = call.inputs[0].ndim
    order = _order(call, ndim)
    if order is None:
        return None
    return tuple(axis if axis.place is None else replace(axis, place=order.index(axis.place)) for axis in axes)


def _order(call: Call, ndim: int) -> list[int] | None:
    numbers: list[object] = [arg for arg in call.args[1:] if not isinstance(arg, Tensor)] + list(call.kwargs.values())
    if call.module is not None:
        numbers = [getattr(call.module, "first", 0), getattr(call.module, "second", 1)]
    flat = [n for number in numbers for n in (number if isinstance(number, (tuple, list)) else (number,))]
    dims = [int(n) % ndim for n in flat if isinstance(n, int)]
    order = list(range(ndim))
    if call.operation == "permute" and len(dims) == ndim:
        return dims
    if call.operation in ("transpose", "Transpose", "swapaxes", "swapdims") and len(dims) == 2:
        order[dims[0]], order[dims[1]] = order[dims[1]], order[dims[0]]
        return order
    if call.operation in ("t", "T", "mT", "adjoint"):
        order[-1], order[-2] = order[-2], order[-1]
        return order
    return None


def _reduced(call: Call, axes: Axes, output: Tensor) -> Axes:
    """A mean, sum or maximum over dimensions sees all of their units; the dimensions after them move up where they vanish."""
    ndim = call.inputs[0].ndim
    dims = _dims(call, ndim)
    keeps = output.ndim == ndim
    found = []
    for axis in axes:
        if axis.place is None or axis.place in dims:
            found.append(axis.whole())
        else:
            found.append(replace(axis, place=axis.place - (0 if keeps else sum(d < axis.place for d in dims))))
    return tuple(found)


def _dims(call: Call, ndim: int) -> set[int]:
    given = _dim_of(call, 2 if call.operation == "norm" else 1)
    if isinstance(given, int) and not isinstance(given, bool):
        return {given % ndim}
    if isinstance(given, (tuple, list)) and given:
        return {int(d) % ndim for d in given}
    return set(range(ndim))


def _dim_of(call: Call, number: int) -> object:
    """Return what a function was given as `dim`, by that name, as `axis`, or as argument `number`; None where it was not."""
    named = call.kwargs.get("dim", call.kwargs.get("axis"))
    return named if named is not None or len(call.args) <= number else call.args[number]


def _normalised(call: Call, axes: Axes, output: Tensor) -> Axes:
    """Units along the dimension that is normalised see each other; they stay where they are."""
    number = 2 if call.operation == "normalize" else 1
    dim = getattr(call.module, "dim", _dim_of(call, number))
    place = (dim if isinstance(dim, int) else 1) % output.ndim
    return tuple(_seeing_all(axis) if axis.place == place else axis for axis in axes)


def _padded(call: Call, axes: Axes, output: Tensor) -> Axes:
    """Padding shifts where the first unit stands, by as many units as stand before it."""
    given = getattr(call.module, "padding", None) if call.module is not None else call.kwargs.get("pad", call.args[1] if len(call.args) > 1 else ())
    pads = list(given) if isinstance(given, (tuple, list)) else [int(given or 0)] * 2 * (output.ndim - 2)
    found = []
    for axis in axes:
        place = None if axis.place is None else 2 * (output.ndim - 1 - axis.place)
        if axis.place is None or place is None or place >= len(pads):
            found.append(axis)
            continue
        before, after = int(pads[place]), int(pads[place + 1])
        window = Window(1, 1, before, after)
        found.append(replace(axis, field=axis.field.through(window), units=output.shape[axis.place], path=axis.then(window)))
    return tuple(found)


def _sliced(call: Call, axes: Axes, output: Tensor) -> Axes | None:
    """Plain slices move and thin out the units; any other index is followed only where it leaves the axes alone."""
    index = call.args[1] if len(call.args) > 1 else None
    parts = list(index) if isinstance(index, tuple) else [index]
    ndim = call.inputs[0].ndim
    if any(not isinstance(part, (slice, int)) and part is not Ellipsis for part in parts):
        return None
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [slice(None)] * (ndim - len(parts) + 1)
    parts += [slice(None)] * (ndim - len(parts))
    found = []
    for axis in axes:
        if axis.place is None:
            found.append(axis)
            continue
        part = parts[axis.place]
        if isinstance(part, int):
            found.append(replace(axis, field=axis.field, place=None, units=1))
            continue
        if not isinstance(part, slice):
            return None
        start, stop, step = part.indices(axis.units if not axis.merged else call.inputs[0].shape[axis.place])
        place = axis.place - sum(isinstance(p, int) for p in parts[: axis.place])
        if axis.merged:
            found.append(replace(axis, place=place))
            continue
        cut = Window(1, step, -start, stop - axis.units)
        path = axis.then(cut) if step > 1 or start or stop != axis.units else axis.path
        found.append(replace(axis, field=axis.field.through(cut), place=place, units=output.shape[place], path=path))
    return tuple(found)


def _thinned(call: Call, axes: Axes, output: Tensor) -> Axes:
    """The parameter-free shortcut: every stride-th pixel."""
    step = int(getattr(call.module, "stride", 1))
    window = Window(1, step)
    return tuple(
        axis if axis.place is None else replace(axis, field=axis.field.through(window), units=output.shape[axis.place], path=axis.then(window))
        for axis in axes
    )


def _attended(_call: Call, axes: Axes, _output: Tensor) -> Axes:
    """Attention and recurrence: every unit may see every other."""
    return tuple(_seeing_all(axis) for axis in axes)


def _seeing_all(axis: Axis) -> Axis:
    """Units that stay where they are and see each other."""
    return replace(axis, field=axis.field.covering(axis.field.over(axis.units)))


RULES: dict[str, Rule] = {
    **dict.fromkeys(("linear", "embedding_bag", "EmbeddingBag"), _linear),
    **dict.fromkeys(("flatten", "Flatten", "view", "reshape", "squeeze", "unsqueeze", "unflatten", "Unflatten", "ravel", "view_as"), _reshaped),
    **dict.fromkeys(("permute", "transpose", "Transpose", "t", "T", "mT", "swapaxes", "swapdims", "adjoint"), _permuted),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "max", "min", "norm", "logsumexp", "var", "std", "prod", "median"), _reduced),
    **dict.fromkeys(("softmax", "Softmax", "log_softmax", "LogSoftmax", "Softmin", "normalize"), _normalised),
    "pad": _padded,
    "getitem": _sliced,
    "PadShortcut": _thinned,
    **dict.fromkeys(("interpolate", "upsample", "Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d"), resized),
    **dict.fromkeys(("pixel_shuffle", "PixelShuffle", "pixel_unshuffle", "PixelUnshuffle"), shuffled),
    **dict.fromkeys(("scaled_dot_product_attention", "multi_head_attention_forward", "MultiheadAttention", "LSTM", "GRU", "RNN"), _attended),
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu", "cumsum", "roll", "flip", "sort"), _attended),
}
_PLAIN = """
relu relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish glu hardtanh hardswish hardsigmoid softplus softsign sigmoid logsigmoid tanh
tanhshrink hardshrink softshrink threshold exp log log1p erf sqrt rsqrt abs neg pow square reciprocal sign sin cos round floor ceil clamp
clamp_min clamp_max clip nan_to_num add sub rsub mul div rdiv divide multiply subtract floor_divide remainder maximum minimum where lerp
addcmul addcdiv masked_fill fill zero copy dropout dropout1d dropout2d dropout3d alpha_dropout feature_dropout feature_alpha_dropout
batch_norm layer_norm group_norm instance_norm rms_norm local_response_norm cat concat concatenate chunk split embedding
channel_shuffle contiguous to float half double bfloat16 type_as clone detach expand expand_as broadcast_to eq ne lt le gt ge rpow positive
real cpu cuda
"""
POINTWISE = frozenset(_PLAIN.split())
"""Functions that work place by place (or along the channels); what is neither here nor among the rules cannot be followed."""


def pointwise(call: Call) -> bool:
    """Tell whether a function works place by place."""
    return call.operation in POINTWISE or _of_two(call)


def constant(call: Call) -> bool:
    """Tell whether a function takes from its input no more than the shape, the type and the device."""
    return call.module is None and (call.operation.endswith("_like") or call.operation.startswith("new_"))


def rule_of(call: Call) -> Rule | None:
    """Return how this call moves the axes; None where it has no rule of its own."""
    if call.module is not None and type(call.module).__module__ == "torch.nn.modules.padding":
        return _padded
    if call.module is not None and call.operation.endswith("Linear"):
        return _linear
    return None if _of_two(call) else RULES.get(call.operation)


def _of_two(call: Call) -> bool:
    """Whether it is the larger or the smaller of two tensors, place by place, and no maximum over dimensions."""
    return call.operation in ("max", "min") and isinstance(call.kwargs.get("other", call.args[1] if len(call.args) > 1 else None), Tensor)
