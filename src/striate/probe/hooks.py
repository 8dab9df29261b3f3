"""Functions that people hook to a network: a copy shares them, and they might keep what they see or change what a module gives."""

from __future__ import annotations

import types

from torch import nn

_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def without_plain_hooks(model: nn.Module) -> int:
    """Take plain functions off a copy of a network and return how many; hooks that are objects, as weight norm's, were copied with it and stay."""
    gone = 0
    for module in model.modules():
        for table in (getattr(module, name, {}) for name in _HOOKS):
            for key in [key for key, hook in table.items() if isinstance(hook, types.FunctionType)]:
                del table[key]
                gone += 1
    return gone


def has_hooks(module: nn.Module) -> bool:
    """Tell whether a hook may change what a module works with or gives; torch has no public way to ask."""
    return bool(module._forward_hooks or module._forward_pre_hooks)  # noqa: SLF001
