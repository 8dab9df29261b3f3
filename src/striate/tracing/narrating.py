"""From a recorded call to the formula that tells it: which operation, with which options, on which arrays."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError
from striate.formulas import Formula
from striate.formulas.registry import formulas
from striate.tracing.box import Array, Narration

if TYPE_CHECKING:
    from torch import Tensor, nn

    from striate.probe import Call

OTHER_NAMES = {
    "kernel": ("kernel_size",),
    "size": ("output_size",),
    "slope": ("negative_slope",),
    "epsilon": ("eps",),
    "axis": ("dim",),
    "mean": ("running_mean",),
    "var": ("running_var",),
    "variance": ("running_var",),
}
"""A formula's word for an option or array, and torch's."""

_CONVOLUTION = ("x", "weight", "bias", "stride", "padding", "dilation", "groups")
_POOL = ("x", "kernel_size", "stride", "padding", "dilation", "ceil_mode")
FUNCTIONS: dict[str, tuple[str, ...]] = {
    "conv1d": _CONVOLUTION,
    "conv2d": _CONVOLUTION,
    "linear": ("x", "weight", "bias"),
    "max_pool1d": _POOL,
    "max_pool2d": _POOL,
    "avg_pool1d": ("x", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
    "avg_pool2d": ("x", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"),
    "adaptive_avg_pool1d": ("x", "output_size"),
    "adaptive_avg_pool2d": ("x", "output_size"),
    "relu": ("x", "inplace"),
    "leaky_relu": ("x", "negative_slope", "inplace"),
    "elu": ("x", "alpha", "inplace"),
    "sigmoid": ("x",),
    "tanh": ("x",),
    "prelu": ("x", "weight"),
    "softmax": ("x", "dim"),
    "log_softmax": ("x", "dim"),
    "flatten": ("x", "start_dim", "end_dim"),
    "add": ("x", "other", "alpha"),
    "cat": ("tensors", "dim"),
    "local_response_norm": ("x", "size", "alpha", "beta", "k"),
    "dropout": ("x", "p", "training", "inplace"),
    "batch_norm": ("x", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps"),
}
"""The arguments of torch's functions in order, where a formula may know them."""


def narrate(call: Call) -> Narration | str:
    """Return how `call` is told by a formula, or why it is not."""
    name, values = (_module_name(call.module), _module_values(call)) if call.module is not None else (call.operation, _function_values(call))
    if name not in formulas or values is None:
        return f"striate has no formula for {call.operation}: its numbers are torch's and autograd's"
    kind = formulas.get(name)
    odd = _oddity(values)
    if odd:
        return f"{odd} is not in striate's formula of {call.operation}: the numbers are torch's and autograd's"
    try:
        formula: Formula = kind(**dict(_options(kind, values)))
        operands = tuple(_operands(formula, call, values))
    except (ArgumentError, TypeError) as error:
        return f"striate's formula of {call.operation} does not take this call ({error}): the numbers are torch's and autograd's"
    return Narration(name, formula, operands)


def deviations(narration: Narration, arrays: tuple[Array | None, ...], call: _Numbers) -> dict[str, float]:
    """Recompute forward pass, messages and gradients by the formula; return the largest relative difference from torch's for each."""
    formula = narration.formula
    found = {"output": _difference(formula.forward(*arrays), call.output)}
    if call.message is None:
        return found
    back = formula.message(call.message, *arrays)
    sent = back if isinstance(back, tuple) else (back,)
    for number, message in enumerate(sent):
        if number < len(call.input_messages) and call.input_messages[number] is not None:
            label = "message to the input" if len(sent) == 1 else f"message to input {number}"
            found[label] = _difference(message, call.input_messages[number])
    for name, gradient in formula.parameter_gradient(call.message, *arrays).items():
        if name in call.gradients:
            found[f"gradient of {name}"] = _difference(gradient, call.gradients[name])
    return found


@dataclasses.dataclass(frozen=True)
class _Numbers:
    """What torch computed for one call."""

    output: Array
    message: Array | None
    input_messages: tuple[Array | None, ...]
    gradients: Mapping[str, Array]


Numbers = _Numbers


def _difference(ours: npt.ArrayLike, theirs: Array | None) -> float:
    if theirs is None:
        return 0.0
    ours = np.asarray(ours, dtype=np.float64)
    if ours.shape != theirs.shape:
        return float("inf")
    if not ours.size:
        return 0.0
    scale = max(float(np.abs(theirs).max()), float(np.abs(ours).max()))
    return float(np.abs(ours - theirs).max()) / scale if scale else 0.0


@functools.cache
def _by_module() -> dict[str, str]:
    return {module: entry.name for entry in formulas for module in entry.facts.get("modules", ())}


def _module_name(module: nn.Module) -> str:
    known = _by_module()
    return next((known[kind.__name__] for kind in type(module).__mro__ if kind.__name__ in known), "")


def _module_values(call: Call) -> dict[str, Any]:
    """What the module holds: options, parameters and buffers by name."""
    module = call.module
    if module is None:
        return {}
    values = {name: getattr(module, name) for name in dir(module) if not name.startswith("_") and not callable(getattr(module, name, None))}
    return values | dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))


def _function_values(call: Call) -> dict[str, Any] | None:
    names = FUNCTIONS.get(call.operation)
    if names is None or len(call.args) > len(names):
        return None
    values = dict(zip(names, call.args, strict=False)) | {("x" if name in ("input", "self") else name): value for name, value in call.kwargs.items()}
    return values if set(values) <= set(names) | {"_stacklevel", "dtype", "return_indices"} else None


def _oddity(values: Mapping[str, Any]) -> str:
    """What a call has that no formula tells."""
    if values.get("padding_mode", "zeros") != "zeros":
        return f"padding_mode={values['padding_mode']!r}"
    if values.get("divisor_override"):
        return "divisor_override"
    if values.get("dtype") is not None and not isinstance(values["dtype"], type):
        return "dtype"
    return ""


def _lookup(name: str, values: Mapping[str, Any]) -> tuple[bool, Any]:
    for candidate in (name, *OTHER_NAMES.get(name, ())):
        if candidate in values:
            return True, values[candidate]
    return False, None


def _options(kind: Any, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(kind):
        known, value = _lookup(field.name, values)
        if known:
            yield field.name, tuple(value) if isinstance(value, list) else value


def _operands(formula: Formula, call: Call, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    import torch

    inputs = list(call.inputs)
    place = 0
    for name in formula.arrays:
        known, value = _lookup(name, values)
        if name in formula.inputs:
            yield "input", place
            place += 1
        elif call.module is None and isinstance(value, torch.Tensor):
            yield "input", next(number for number, tensor in enumerate(inputs) if tensor is value)
        elif call.module is not None and known and isinstance(value, torch.nn.Parameter):
            yield "parameter", name
        elif isinstance(value, torch.Tensor):
            yield "value", as_array(value)
        else:
            yield "value", None


def as_array(tensor: Tensor) -> Array:
    """Return a tensor's numbers as a float64 array of its own."""
    found: Array = tensor.detach().to("cpu").double().numpy().copy()
    return found
