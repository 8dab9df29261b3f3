"""Whether a network can be explained at all: it can be run on one batch, and its weights are numbers."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from striate.core.errors import ArgumentError
from striate.probe.walking import Parts
from striate.understand.fingerprints import facts, remembered


def check_callable(network: nn.Module, parts: Parts) -> None:
    """Raise `ArgumentError` for a network that cannot be run on one batch: weights not made yet, or a forward of another kind."""
    lazy = next((name for name, tensor in (*parts.parameters, *parts.buffers) if is_lazy(tensor)), None)
    if lazy is not None:
        raise ArgumentError(f"model: {lazy} is not initialised yet (a lazy layer); run the network once on a batch first")
    try:
        inspect.signature(network.forward).bind(None)
    except TypeError as error:
        raise ArgumentError(f"model: its forward cannot be called with one batch of inputs ({error}); wrap it in a module that can") from error
    except ValueError:  # compiled code does not say what it takes
        return


def check_weights(model: nn.Module, known: dict[str, Any] | None = None) -> None:
    """Raise `ArgumentError` where a parameter or buffer is NaN or infinite; `known`: the model's `facts`."""
    name = remembered(facts(model) if known is None else known, "unsound", lambda: _unsound(model))
    if name is not None:
        raise ArgumentError(f"model: {name} holds NaN or infinite values; there is nothing to explain. Load sound weights first")


def _unsound(model: nn.Module) -> str | None:
    weights = ((name, tensor) for name, tensor in model.named_parameters() if tensor.is_floating_point() and not _finite(tensor.detach()))
    buffers = ((name, tensor) for name, tensor in model.named_buffers() if tensor.is_floating_point() and bool(tensor.isnan().any()))
    return next(weights, next(buffers, ("", None)))[0] or None  # a buffer may be infinite: attention's masks are


def _finite(tensor: Tensor) -> bool:
    if tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64):
        return bool(np.isfinite(tensor.numpy()).all())  # a tenth of torch's time
    return bool(tensor.isfinite().all())
