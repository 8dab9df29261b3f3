"""One forward pass as the machine likes it: memory format and precision of the settings. Training, evaluation and the searches share it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from striate.core.runtime import Settings
from striate.probe import takes_channels_last


def placed(network: nn.Module, use: Settings, shape: Sequence[int]) -> tuple[nn.Module, Settings]:
    """Return the network on the settings' device and in their memory format (changed in place, as torch does), and the settings that hold for it.

    `shape`: of one input. A network that flattens its maps by `view` does not take them channels last: it stays contiguous, and so do its inputs.
    Nor does one with a `nn.GroupNorm`: torch's backward pass of it dies (a null pointer) on a CPU where maps laid channels last need no gradient, as
    behind frozen layers. Asking for that gradient would have it computed through all that is frozen.
    """
    network = network.to(use.device)
    if not use.channels_last:
        return network, use
    if any(isinstance(module, nn.GroupNorm) for module in network.modules()):
        return network.to(memory_format=torch.contiguous_format), dataclasses.replace(use, channels_last=False)  # type: ignore[call-overload]
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    first = next((p for p in network.parameters() if p.is_floating_point()), torch.empty(0))
    if len(shape) != 3 or takes_channels_last(network, lambda: first.new_zeros(1, *shape), training=True):
        return network, use
    return network.to(memory_format=torch.contiguous_format), dataclasses.replace(use, channels_last=False)  # type: ignore[call-overload]


def as_input(network: nn.Module | None, x: Tensor, use: Settings) -> Tensor:
    """Return inputs in the network's kind of number and laid out as the settings say."""
    kind = None if network is None else next((p.dtype for p in network.parameters() if p.is_floating_point()), None)
    if kind is not None and x.is_floating_point():
        x = x.to(kind)
    if x.dim() == 4:
        x = x.to(memory_format=torch.channels_last if use.channels_last else torch.contiguous_format)
    return x


def forward(model: Callable[[Tensor], Any], x: Tensor, use: Settings, *, network: nn.Module | None = None) -> Any:
    """Return `model(x)` under the settings' precision; pictures N C H W are laid out channels last where that pays.

    Numbers come in the kind that the network's first weights are of (float64, say); `network` names it where `model` only calls it.
    """
    x = as_input(model if isinstance(model, nn.Module) else network, x, use)
    with torch.autocast(use.device.partition(":")[0], dtype=torch.bfloat16, enabled=use.precision == "bf16"):
        return model(x)
