"""LSUV's second half: one batch passes through the model, and each layer is scaled as it arrives (Mishkin and Matas 2016)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.probe import edited


def unit_variance(model: nn.Module, layers: Mapping[str, nn.Module], x: Tensor) -> dict[str, float]:
    """Divide each layer's weight by the deviation of what it makes of `x` (biases aside), in one pass; return the divisors by address.

    A layer is linear in its weight, so dividing both weight and output lets the same batch go on to the next layer: no second run is needed.
    Layers that the batch does not reach, or whose output is constant, are not among those returned. The model runs in eval mode.
    """
    scales: dict[str, float] = {}

    def scaler(address: str, module: nn.Module) -> Callable[[Any], Any]:
        def change(output: Tensor) -> Tensor:
            if address in scales:  # called again: its first call decided, and this output has the new weight already
                return output
            shift = _bias_of(module, output)
            spread = float((output - shift).double().std(correction=0))
            if not (math.isfinite(spread) and spread > 1e-12):
                return output
            scales[address] = spread
            weight: Any = module.weight
            weight.div_(spread)
            return (output - shift) / spread + shift

        return change

    with torch.no_grad(), edited(model, {address: scaler(address, module) for address, module in layers.items()}) as watched:
        watched.eval()
        watched(x)
    return scales


def input_of(batch: Any) -> Tensor:
    """Return the input of a tensor, a `Batch`, or a tuple whose first element is the input. Raises `ArgumentError`."""
    x = getattr(batch, "x", batch[0] if isinstance(batch, (tuple, list)) and batch else batch)
    if not isinstance(x, Tensor):
        raise ArgumentError(f"batch: got {type(batch).__name__}, expected a tensor, a Batch, or a tuple whose first element is a tensor")
    return x


def _bias_of(module: nn.Module, output: Tensor) -> Tensor:
    """The bias as it stands in the output: by feature at the end (linear), by channel (convolution), by place and channel (locally connected)."""
    bias: Any = getattr(module, "bias", None)
    if bias is None:
        return torch.zeros_like(output)
    if isinstance(module, nn.Linear):
        shift: Tensor = bias.expand_as(output)
    elif bias.dim() > 1:
        shift = bias.movedim(-1, 0).expand_as(output)
    else:
        shift = bias.reshape(-1, *[1] * (output.dim() - 2)).expand_as(output)
    return shift
