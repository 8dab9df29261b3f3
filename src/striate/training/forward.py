"""One forward pass as the machine likes it: memory format and precision of the settings. Training, evaluation and the searches share it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from striate.core.runtime import Settings


def placed(network: nn.Module, use: Settings) -> nn.Module:
    """Return the network on the settings' device and in their memory format (changed in place, as torch does)."""
    network = network.to(use.device)
    if use.channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def forward(model: Callable[[Tensor], Any], x: Tensor, use: Settings) -> Any:
    """Return `model(x)` under the settings' precision; pictures N C H W are laid out channels last where that pays."""
    if use.channels_last and x.dim() == 4:
        x = x.to(memory_format=torch.channels_last)
    with torch.autocast(use.device.partition(":")[0], dtype=torch.bfloat16, enabled=use.precision == "bf16"):
        return model(x)
