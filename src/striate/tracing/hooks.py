"""Functions that people hook to a network: they are shared with its copy and might keep what they see, so they do not run in a trace."""

from __future__ import annotations

import types

from torch import nn

HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def without_hooks(model: nn.Module) -> str:
    """Take plain functions off a copy of a network and say how many; hooks that are objects, such as weight norm's, were copied with it and stay."""
    gone = 0
    for module in model.modules():
        for table in (getattr(module, name, {}) for name in HOOKS):
            for key in [key for key, hook in table.items() if isinstance(hook, types.FunctionType)]:
                del table[key]
                gone += 1
    return f"{gone} hook{'s' * (gone != 1)} of the model did not run while it was traced" if gone else ""


def has_hooks(module: nn.Module) -> bool:
    """Say whether a hook may change what a module works with or gives."""
    return bool(module._forward_hooks or module._forward_pre_hooks)  # noqa: SLF001 - torch has no other way to ask
