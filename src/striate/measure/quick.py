"""Batch normalisation and ReLU without values: torch spells them out in dozens of steps, and here only the shape is wanted.

They are by far the most frequent boxes. Their twins hand on a tensor like the input, and what autograd keeps for them is written down here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
STATISTIC = 4
"""Bytes of one mean or deviation: float32 in any precision."""


def hasten(model: nn.Module) -> None:
    """Give every plain batch norm and every plain ReLU of a weightless copy its quick forward pass."""
    for module in model.modules():
        if is_quick(module):
            module.forward = partial(_like_input, module, module.forward)


def is_quick(module: nn.Module | None) -> bool:
    """Tell whether it is one of torch's own, not a class derived from it, and works out of place."""
    return type(module) in BATCH_NORMS or (type(module) is nn.ReLU and not module.inplace)


def keeps(module: nn.Module, *, learns: bool, wanted: bool) -> tuple[bool, bool, int]:
    """Return whether training keeps the input, the output, and how many further bytes.

    `learns`: a parameter of the module does; `wanted`: a gradient flows to its input.
    """
    if isinstance(module, nn.ReLU):
        return False, wanted, 0
    needed = learns or wanted
    return needed, False, 2 * STATISTIC * int(getattr(module, "num_features", 0)) if needed else 0


def _like_input(module: nn.Module, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    features = getattr(module, "num_features", None)
    if features is not None and (x.ndim < 2 or x.shape[1] != features):
        return forward(x)  # which says what is wrong with it
    return torch.empty_like(x)
