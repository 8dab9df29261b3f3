"""Which nonlinearity follows a layer, and what gain makes up for it."""

from __future__ import annotations

import math

from striate.core.errors import unknown_name
from striate.probe import Call, Recording

GAINS: dict[str, float] = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "leaky_relu": math.sqrt(2 / (1 + 0.01**2)),
    "prelu": math.sqrt(2 / (1 + 0.25**2)),
    "elu": math.sqrt(2),
    "gelu": math.sqrt(2),
    "silu": math.sqrt(2),
    "selu": 0.75,
}
"""Gain by nonlinearity, torch's values; ELU, GELU and SiLU are near enough to ReLU to share its."""

_NAMES = {
    "relu6": "relu",
    "hardtanh": "tanh",
    "leakyrelu": "leaky_relu",
    "swish": "silu",
    "logsigmoid": "sigmoid",
    "softsign": "tanh",
    "hardswish": "silu",
    "mish": "silu",
    "hardsigmoid": "sigmoid",
    "scaledtanh": "tanh",
    "celu": "elu",
    "softplus": "relu",
    "threshold": "relu",
}
_WEIGHTED = {"conv1d", "conv2d", "conv3d", "linear", "matmul", "bmm", "addmm", "baddbmm", "einsum", "conv_transpose2d", "conv_transpose1d"}


def gain_of(nonlinearity: str, *, slope: float | None = None) -> float:
    """Return the gain for a nonlinearity; `slope` of a leaky ReLU: √(2 / (1 + slope²)). Raises `UnknownNameError`."""
    if nonlinearity not in GAINS:
        raise unknown_name("nonlinearity", nonlinearity, GAINS)
    if slope is not None and nonlinearity in {"leaky_relu", "prelu"}:
        return math.sqrt(2 / (1 + slope**2))
    return GAINS[nonlinearity]


def nonlinearity_of(call: Call) -> tuple[str, float | None] | None:
    """Return the nonlinearity a call is, in `GAINS`' words, and its slope below zero where it has one; None when it is none."""
    name = call.operation.lower()
    name = _NAMES.get(name, name)
    if name == "clamp" and len(call.args) > 1 and call.args[1] == 0:
        name = "relu"
    if name not in GAINS or name == "linear":
        return None
    slope = getattr(call.module, "negative_slope", None)
    if name == "prelu":
        weight = getattr(call.module, "weight", None)
        slope = None if weight is None else float(weight.detach().mean())
    elif name == "leaky_relu" and call.module is None:
        slope = call.kwargs.get("negative_slope", call.args[1] if len(call.args) > 1 else None)
    return name, None if slope is None else float(slope)


def followed_by(recording: Recording, address: str) -> tuple[str, float | None]:
    """Return the first nonlinearity that reads the layer's output, through normalisation, pooling, sums and reshapes: (name, slope).

    `linear` when the next weights, or the output, come first. Of several readers the first in order that meets a nonlinearity counts.
    """
    layer = next(call for call in recording if call.address == address)
    waiting, seen = [layer], {id(layer)}
    while waiting:
        call = waiting.pop(0)
        for reader in recording.readers(call):
            found = nonlinearity_of(reader)
            if found is not None:
                return found
            weighted = reader.operation in _WEIGHTED or (
                reader.module is not None and any(p.dim() >= 2 for p in reader.module.parameters(recurse=False))
            )
            if id(reader) not in seen and not weighted:
                seen.add(id(reader))
                waiting.append(reader)
    return "linear", None
