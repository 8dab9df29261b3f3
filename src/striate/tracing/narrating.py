"""From a recorded call to the formula that tells it: which operation, with which options, on which arrays."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.core.errors import ArgumentError
from striate.formulas import Formula
from striate.formulas.joins import Join
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


DEFAULTS: dict[str, dict[str, Any]] = {
    "flatten": {"start_dim": 0, "end_dim": -1},
    "batch_norm": {"training": False},
    "dropout": {"p": 0.5, "training": True},
    "leaky_relu": {"negative_slope": 0.01},
    "cat": {"dim": 0},
}
"""What a function of torch takes when it is not told, where the formula takes something else."""


def narrate(call: Call) -> Narration | str:
    """Return how `call` is told by a formula, or why it is not."""
    name, values = (_module_name(call.module), _module_values(call)) if call.module is not None else (call.operation, _function_values(call))
    if name not in formulas or values is None:
        return f"striate has no formula for {call.operation}: its numbers are torch's and autograd's"
    odd = _oddity(name, call, values)
    if odd:
        return f"{odd} is not in striate's formula of {call.operation}: the numbers are torch's and autograd's"
    try:
        formula: Formula = formulas.get(name)(**dict(_options(formulas.get(name), values)))
        names = tuple(f"x{number}" for number in range(len(call.inputs))) if isinstance(formula, Join) else formula.arrays
        operands = tuple(_operands(formula, names, call, values))
    except (ArgumentError, TypeError) as error:
        return f"striate's formula of {call.operation} does not take this call ({error}): the numbers are torch's and autograd's"
    return Narration(name, formula, names, operands)


@functools.cache
def _by_module() -> dict[str, str]:
    return {module: entry.name for entry in formulas for module in entry.facts.get("modules", ())}


def _module_name(module: nn.Module) -> str:
    """The formula of a module's class or of the nearest class it descends from; striate's own layers come before torch's of the same name."""
    known = _by_module()
    for kind in type(module).__mro__:
        own = (f"striate.layers.{kind.__name__}",) if kind.__module__.startswith("striate.layers") else ()
        for name in (*own, kind.__name__):
            if name in known:
                return known[name]
    return ""


def has_forward_of_its_own(module: nn.Module) -> bool:
    """Say whether a module descends from the class whose formula tells it, with another forward than that class's."""
    known = _by_module()
    kinds = type(module).__mro__
    told = next((kind for kind in kinds if kind.__name__ in known or f"striate.layers.{kind.__name__}" in known), None)
    return told is not None and getattr(kinds[0], "forward", None) is not getattr(told, "forward", None)


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
    known = {*names, "_stacklevel", "dtype", "return_indices"}
    return DEFAULTS.get(call.operation, {}) | values if set(values) <= known else None


def _oddity(name: str, call: Call, values: Mapping[str, Any]) -> str:
    """What a call has that its formula does not tell."""
    if values.get("padding_mode", "zeros") != "zeros":
        return f"padding_mode={values['padding_mode']!r}"
    if call.module is None and values.get("dtype") is not None:
        return f"dtype={values['dtype']}"
    if name == "add" and call.module is None and (len(call.inputs) != 2 or values.get("alpha", 1) != 1):
        return "adding a plain number, or alpha,"
    if name in ("softmax", "log_softmax") and values.get("dim") is None:
        return "dim=None"
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


def _operands(formula: Formula, names: tuple[str, ...], call: Call, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    import torch

    inputs = list(call.inputs)
    wanted = names if isinstance(formula, Join) else formula.inputs
    place = 0
    for name in names:
        known, value = _lookup(name, values)
        if name in wanted:
            yield "input", place
            place += 1
        elif name == "mask" and values.get("training"):
            yield "value", _mask(call)
        elif call.module is None and isinstance(value, torch.Tensor):
            yield "input", next(number for number, tensor in enumerate(inputs) if tensor is value)
        elif call.module is not None and known and isinstance(value, torch.nn.Parameter):
            yield "parameter", name
        elif isinstance(value, torch.Tensor):
            yield "value", as_array(value)
        else:
            yield "value", None


def _mask(call: Call) -> Array:
    """What dropout kept, told from its output and its message; where input and message are both 0 it makes no difference."""
    kept = as_array(call.outputs[0]) != 0
    back = call.input_messages[0] if call.input_messages else None
    if back is not None:
        kept |= as_array(back) != 0
    mask: Array = kept.astype(np.float64)
    return mask


def as_array(tensor: Tensor) -> Array:
    """Return a tensor's numbers as a float64 array of its own."""
    found: Array = tensor.detach().to("cpu").double().numpy().copy()
    return found
