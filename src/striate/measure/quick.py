"""Batch norm, ReLU, linear layers and initial weights without values: torch spells them out in dozens of steps, and here only shapes are wanted.

These are the most frequent boxes. Their twins hand on an empty tensor of the right shape, and what autograd keeps for them is written down here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
STATISTIC = 4
"""Bytes of one mean or deviation: float32 in any precision."""


def hasten(model: nn.Module) -> None:
    """Give every plain batch norm, ReLU and linear layer of a weightless copy its quick forward pass."""
    for module in model.modules():
        if is_quick(module):
            like: Callable[..., Tensor] = _linear if isinstance(module, nn.Linear) else _like_input
            module.forward = partial(like, module, module.forward)


def is_quick(module: nn.Module | None) -> bool:
    """Tell whether it is one of torch's own, not a class derived from it, and works out of place."""
    kind = type(module)
    return kind in BATCH_NORMS or kind is nn.Linear or (kind is nn.ReLU and not getattr(module, "inplace", False))


def keeps(module: nn.Module, *, learns: bool, wanted: bool) -> tuple[bool, bool, int]:
    """Return whether training keeps the input, the output, and how many further bytes.

    `learns`: a parameter of the module does; `wanted`: a gradient flows to its input.
    """
    if isinstance(module, nn.ReLU):
        return False, wanted, 0
    if isinstance(module, nn.Linear):
        return module.weight.requires_grad, False, 0
    needed = learns or wanted
    return needed, False, 2 * STATISTIC * int(getattr(module, "num_features", 0)) if needed else 0


def _like_input(module: nn.Module, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    features = getattr(module, "num_features", None)
    if features is not None and (x.ndim < 2 or x.shape[1] != features):
        return forward(x)  # which says what is wrong with it
    return torch.empty_like(x)


def _linear(module: nn.Linear, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    if x.ndim == 0 or x.shape[-1] != module.in_features or x.dtype != module.weight.dtype:
        return forward(x)
    return x.new_empty((*x.shape[:-1], module.out_features))


class Uninitialised(TorchFunctionMode):
    """While active, drawing and filling values without a place to be in costs nothing."""

    VALUES = frozenset(("normal_", "uniform_", "fill_", "zero_", "mul_", "add_", "clamp_", "erfinv_"))

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init" or getattr(func, "__name__", "") in self.VALUES:
            target = args[0] if args else kwargs.get("tensor")
            if isinstance(target, Tensor) and target.is_meta:
                return target
        return func(*args, **kwargs)
