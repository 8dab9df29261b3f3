"""A model handed in comes out as it was: mode, gradients, requires_grad, buffers and random state, after success and after any error."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from striate.core.runtime import random_state_kept
from striate.probe.unwrapping import original, uncompiled


@contextmanager
def traceless(model: nn.Module) -> Iterator[nn.Module]:
    """Give `model`, unwrapped from torch.compile, to work on; put back whatever the work changes, also when it raises.

    Kept: train or eval mode of every module, `.grad` (empty inside) and requires_grad of every parameter and buffer, the values of buffers
    (batch-norm statistics), hooks, and torch's, NumPy's and Python's random state. Parameter values are not copied: nothing here writes them.
    """
    inner, _ = original(model)
    modules = [module for module in inner.modules() if not isinstance(module, torch.jit.ScriptModule)]
    modes = [(module.training, module._is_full_backward_hook) for module in modules]  # noqa: SLF001 - set with the hook, not unset with it
    tables = [{name: dict(table) for name in _TABLES if (table := module.__dict__[name])} for module in modules]
    owned: list[Tensor] = [*inner.parameters(), *inner.buffers()]
    flags = [(tensor, tensor.requires_grad, tensor.grad) for tensor in owned if tensor.is_leaf]
    fake = is_fake()
    values = [(buffer, None if fake else buffer.detach().clone()) for buffer in inner.buffers() if not buffer.is_inference()]
    try:
        with ExitStack() as stack:
            if not fake:
                stack.enter_context(random_state_kept())
            stack.enter_context(uncompiled())
            for tensor, _, grad in flags:
                if grad is not None:
                    tensor.grad = None
            yield inner
    finally:
        for module, (training, full), kept in zip(modules, modes, tables, strict=True):
            module.training, module._is_full_backward_hook = training, full  # noqa: SLF001
            own = module.__dict__
            for name in _TABLES:
                if own[name] or name in kept:
                    _restore(own[name], kept.get(name, {}))
        with torch.no_grad():
            for buffer, value in values:
                if value is not None and not torch.equal(buffer, value):  # batch norm writes without raising the version counter
                    buffer.copy_(value)
        for tensor, needs, grad in flags:
            tensor.requires_grad_(needs)
            tensor.grad = grad


_TABLES = (
    "_parameters",
    "_buffers",
    "_modules",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_backward_pre_hooks",
    "_backward_hooks",
)


def _restore(table: Any, kept: dict[Any, Any]) -> None:
    if [*table] != [*kept] or any(table[key] is not value for key, value in kept.items()):
        table.clear()
        table.update(kept)


def is_fake() -> bool:
    """Tell whether a FakeTensorMode is active: then nothing real is computed or written."""
    if "torch._subclasses.fake_tensor" not in sys.modules:
        return False
    from torch._subclasses.fake_tensor import FakeTensorMode

    return any(isinstance(mode, FakeTensorMode) for mode in _get_current_dispatch_mode_stack())
