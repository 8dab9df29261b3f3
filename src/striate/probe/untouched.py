"""A model handed in comes out as it was: mode, gradients, requires_grad, buffers and random state, after success and after any error."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from operator import is_not
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from striate.core.runtime import random_state_kept
from striate.probe.unwrapping import original, uncompiled
from striate.probe.walking import Parts


@contextmanager
def traceless(model: nn.Module, parts: Parts | None = None) -> Iterator[nn.Module]:
    """Give `model`, unwrapped from torch.compile, to work on; put back whatever the work changes, also when it raises.

    Kept: train or eval mode of every module, `.grad` (empty inside) and requires_grad of every parameter and buffer, the values of buffers
    (batch-norm statistics) and of tensors that modules hold as plain attributes, which objects their attributes are, hooks, and torch's, NumPy's and
    Python's random state. Parameter values are not copied: nothing here writes them; nor are lists and the like, whose contents may change. Where
    parameters were made in inference mode, of which torch keeps no gradients, copies stand in for them, without requires_grad.
    `parts`: the unwrapped model's, where they are at hand.
    """
    inner, _ = original(model)
    parts = parts or Parts.of(inner)
    parameters, buffers = parts.parameters, parts.buffers
    fake = is_fake()
    modes = _Modes(parts.modules)
    held: list[_Modes | _Flags | Values] = [modes]
    held += [] if fake else Values.of([tensor for tensor in (*(buffer for _, buffer in buffers), *modes.tensors()) if not tensor.is_inference()])
    held.append(_Flags([tensor for _, tensor in (*parameters, *buffers) if tensor.is_leaf]))
    try:
        with ExitStack() as stack:
            if not fake:
                stack.enter_context(random_state_kept())
            stack.enter_context(uncompiled())
            if any(tensor.is_inference() for _, tensor in (*parameters, *buffers)):
                _stand_in(parts.modules)
            yield inner
    finally:
        for each in held:
            each.restore()


def _stand_in(modules: list[nn.Module]) -> None:
    """Let copies stand in for tensors made in inference mode; `_Modes` puts the tables back."""
    made: dict[int, Tensor] = {}
    for module in modules:
        if isinstance(module, torch.jit.ScriptModule):
            continue
        tables: tuple[dict[str, Any], ...] = module._parameters, module._buffers  # noqa: SLF001 - not `setattr`, which tells the module's own lists
        for table in tables:
            for name, tensor in table.items():
                if tensor is not None and tensor.is_inference():
                    with torch.inference_mode(False):
                        copy = made.setdefault(id(tensor), tensor.detach().clone())
                        table[name] = nn.Parameter(copy, requires_grad=False) if isinstance(tensor, nn.Parameter) else copy


class _Flags:
    """Which tensors want gradients, and their gradients, which are taken away from them."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self._found = [(tensor, tensor.requires_grad, tensor.grad) for tensor in tensors]
        for tensor, _, grad in self._found:
            if grad is not None:
                tensor.grad = None

    def restore(self) -> None:
        for tensor, needs, grad in self._found:
            if tensor.requires_grad != needs:
                if tensor.is_inference():
                    with torch.inference_mode():  # where alone torch lets one of those be asked for gradients
                        tensor.requires_grad_(needs)
                else:
                    tensor.requires_grad_(needs)
            if tensor.grad is not grad:
                tensor.grad = grad


class _Modes:
    """Mode, parts, hooks and plain attributes of modules."""

    def __init__(self, modules: list[nn.Module]) -> None:
        self._scripted = [(module, module.training) for module in modules if isinstance(module, torch.jit.ScriptModule)]
        plain = [module for module in modules if not isinstance(module, torch.jit.ScriptModule)] if self._scripted else modules
        self._own = [(own, own.copy()) for own in map(vars, plain)]
        tables = [before[name] for _, before in self._own for name in _TABLES]
        self._full = [(table, dict(table)) for table in tables if table]
        self._empty = [table for table in tables if not table]

    def tensors(self) -> list[Tensor]:
        """Return the tensors among the plain attributes."""
        return [value for _, before in self._own for value in before.values() if type(value) is Tensor]

    def restore(self) -> None:
        for closed, training in self._scripted:
            if closed.training != training:
                closed.training = training
        for own, before in self._own:
            if len(own) != len(before) or any(map(is_not, own.values(), before.values())):
                for name in [name for name in own if name not in before]:
                    del own[name]
                own.update(before)
        for table, kept in self._full:
            if len(table) != len(kept) or any(map(is_not, table, kept)) or any(map(is_not, table.values(), kept.values())):
                table.clear()
                table.update(kept)
        if any(self._empty):
            for table in self._empty:
                table.clear()


@dataclass(frozen=True, eq=False)
class Values:
    """Tensors of one kind and what they held, end to end: hundreds of small ones are copied and compared at once."""

    tensors: list[Tensor]
    line: Tensor

    @classmethod
    def of(cls, tensors: Sequence[Tensor]) -> list[Values]:
        """Copy what dense tensors hold, those of a type and device together; sparse ones and those without values (meta) are left out."""
        groups: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for tensor in tensors:
            if tensor.layout is torch.strided and not tensor.is_meta:
                groups.setdefault((tensor.dtype, tensor.device), []).append(tensor)
        with torch.no_grad():
            return [cls(group, _line(group)) for group in groups.values()]

    def restore(self) -> None:
        """Put back the values of those that changed, and touch no other: batch norm writes without raising the version counter."""
        with torch.no_grad():
            if torch.equal(_line(self.tensors), self.line):
                return
            for tensor, value in zip(self.tensors, torch.split(self.line, [tensor.numel() for tensor in self.tensors]), strict=True):
                if not torch.equal(tensor.reshape(-1), value):
                    tensor.copy_(value.view(tensor.shape))


def _line(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor if tensor.dim() == 1 else tensor.reshape(-1) for tensor in tensors])


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


def is_fake() -> bool:
    """Tell whether a FakeTensorMode is active: then nothing real is computed or written."""
    if "torch._subclasses.fake_tensor" not in sys.modules:
        return False
    from torch._subclasses.fake_tensor import FakeTensorMode

    return any(isinstance(mode, FakeTensorMode) for mode in _get_current_dispatch_mode_stack())
