"""Which layers of a model have weights to start, and each one's weight as a stack of matrices with its fans."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from striate.init.methods import Fans


def _is_local(module: nn.Module) -> bool:
    from striate.layers.locally_connected import LocallyConnected

    return isinstance(module, LocallyConnected)


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def layers_of(model: nn.Module) -> tuple[dict[str, nn.Module], tuple[str, ...]]:
    """Return the linear, convolutional and locally connected layers with trainable weights by address, and a note of what else holds parameters."""
    chosen: dict[str, nn.Module] = {}
    left: dict[str, int] = {}
    seen: set[int] = set()
    for name, module in model.named_modules():
        weights = [p for p in module.parameters(recurse=False) if p.numel()]
        if not weights:
            continue
        weight = getattr(module, "weight", None)
        if not (isinstance(module, (nn.Linear, *_CONVOLUTIONS)) or _is_local(module)) or not isinstance(weight, nn.Parameter):
            left[type(module).__name__] = left.get(type(module).__name__, 0) + 1
        elif not weight.requires_grad:
            left[f"frozen {type(module).__name__}"] = left.get(f"frozen {type(module).__name__}", 0) + 1
        elif id(weight) in seen:
            left[f"tied {type(module).__name__}"] = left.get(f"tied {type(module).__name__}", 0) + 1
        else:
            seen.add(id(weight))
            chosen[name] = module
    said = ", ".join(f"{count} {kind}" for kind, count in sorted(left.items()))
    return chosen, (f"left as they were: {said}",) if said else ()


def geometry(module: nn.Module) -> tuple[tuple[int, int, int], Fans]:
    """Return the weight as a stack of matrices (groups or places, units, inputs) and its fans."""
    weight: Any = module.weight
    shape = tuple(weight.shape)
    if isinstance(module, nn.Linear):
        return (1, *shape), Fans(shape[1], shape[0])
    if _is_local(module):
        kernel = math.prod(module.kernel_size)  # type: ignore[arg-type]
        out, into = int(module.out_channels), int(module.in_channels)  # type: ignore[arg-type]
        return (math.prod(shape) // (out * into * kernel), out, into * kernel), Fans(into * kernel, out * kernel)
    groups, kernel = int(module.groups), math.prod(module.kernel_size)  # type: ignore[arg-type]
    size = (groups, shape[0] // groups, math.prod(shape[1:]))
    if getattr(module, "transposed", False):
        stride = math.prod(module.stride)  # type: ignore[arg-type]
        return size, Fans(shape[0] // groups * kernel / stride, shape[1] * kernel)
    return size, Fans(shape[1] * kernel, shape[0] // groups * kernel)
