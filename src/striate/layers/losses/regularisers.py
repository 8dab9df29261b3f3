"""Penalties on a network's weights, to be added to its loss times a strength λ (row O7).

Weights are the trainable parameters of two axes or more that are not called `bias`: biases shift and normalisations scale, neither makes a
function wild. A weight shared by two layers counts once.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn


def l2(module: nn.Module, *, biases: bool = False) -> Tensor:
    """Return Σ w² over the weights of `module`, a float32 (or wider) number with a gradient, 2w.

    λ · l2 is what `weight_decay=2 * λ` does in plain gradient descent. `biases` takes all trainable parameters. 0 for a module without any.
    """
    return _sum([w.square().sum() for w in _weights(module, biases)])


def l1(module: nn.Module, *, biases: bool = False) -> Tensor:
    """Return Σ |w| over the weights of `module`, a float32 (or wider) number with a gradient, the sign of w (0 at 0). Options as in `l2`."""
    return _sum([w.abs().sum() for w in _weights(module, biases)])


def _weights(module: nn.Module, biases: bool) -> Iterator[Tensor]:
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and (biases or (parameter.dim() > 1 and name.rpartition(".")[2] != "bias")):
            yield parameter.float() if parameter.dtype in (torch.bfloat16, torch.float16) else parameter


def _sum(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).sum() if parts else torch.zeros(())
