"""Does the map depend on what the network learned? The weights of its last layer are shuffled, and the map is made again."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.core.runtime import generator as seeded
from striate.probe import edited

Array = np.ndarray[Any, Any]
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def rank_correlation(first: Array, second: Array) -> float:
    """Return Spearman's correlation of two arrays; of a flat one with anything else 0, of two flat ones 1."""
    from scipy.stats import rankdata

    one, other = (rankdata(np.asarray(values, dtype=np.float64).ravel()) for values in (first, second))
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / size if size else float(not one.any() and not other.any())


def last_weights(network: nn.Module, run: Callable[[], Any]) -> str | None:
    """Return the path of the last dense or convolution layer that `run` passes; None where there is none."""
    order: list[str] = []
    names = [name for name, module in network.named_modules() if name and isinstance(module, _WEIGHTED)]
    if not names:
        return None
    with torch.no_grad(), edited(network, {name: partial(_passed, order, name) for name in names}):
        run()
    return order[-1] if order else None


def shuffled(network: nn.Module, layer: str, seed: int) -> nn.Module:
    """Return a copy whose `layer` has each of its tensors in random order; whatever else is as it was. Raises what copying raises."""
    made = copy.deepcopy(network)
    number = 0
    for module in made.get_submodule(layer).modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            order = torch.randperm(parameter.numel(), generator=seeded(seed, number)).to(parameter.device)
            fresh = parameter.detach().flatten()[order].view_as(parameter).clone()
            delattr(module, name)
            module.register_parameter(name, nn.Parameter(fresh, requires_grad=False))  # not in place: whoever shares the weights keeps them
            number += 1
    return made


def _passed(order: list[str], name: str, output: Tensor) -> Tensor:
    order.append(name)
    return output
