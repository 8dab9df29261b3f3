"""Everything about a model that a look at it must leave alone, as a snapshot, and what differs afterwards, in words."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks", "_forward_hooks_always_called")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A model as it stands: modules and their plain attributes, modes, hooks, tensors with values and gradients, and the random states."""

    modules: dict[str, tuple[int, type, str, dict[str, Any]]]
    modes: dict[str, bool]
    hooks: dict[str, tuple[int, ...]]
    tensors: dict[str, tuple[int, bool, Tensor, int | None, Tensor | None]]
    random: tuple[Any, ...]

    @classmethod
    def of(cls, model: nn.Module) -> Snapshot:
        """Take a snapshot of `model` and of torch's, NumPy's and Python's random state."""
        named = dict(model.named_modules())
        owned = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        return cls(
            {name: (id(m), type(m), str(getattr(m, "forward", "")), _attributes(m)) for name, m in named.items()},
            {name: module.training for name, module in named.items()},
            {name: tuple(id(hook) for table in _HOOKS for hook in getattr(module, table, {}).values()) for name, module in named.items()},
            {
                name: (id(t), t.requires_grad, t.detach().clone(), None if t.grad is None else id(t.grad), None if t.grad is None else t.grad.clone())
                for name, t in owned.items()
            },
            (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()),  # type: ignore[index]  # noqa: NPY002
        )

    def differences(self, model: nn.Module) -> tuple[str, ...]:
        """Return what is no longer as it was, in words; empty when all is."""
        now = Snapshot.of(model)
        found: list[str] = []
        for kind, before, after in (("modules", self.modules, now.modules), ("mode", self.modes, now.modes), ("hooks", self.hooks, now.hooks)):
            names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
            found += [f"{kind} of {name or 'the model'}" for name in names]
        for name in sorted({*self.tensors, *now.tensors}):
            if name not in self.tensors or name not in now.tensors:
                found.append(f"tensor {name} came or went")
                continue
            (place, needs, value, grad, grad_value), (place_now, needs_now, value_now, grad_now, grad_value_now) = (
                self.tensors[name],
                now.tensors[name],
            )
            changed = {
                "replaced": place != place_now,
                "requires_grad": needs != needs_now,
                "value": not _equal(value, value_now),
                ".grad": grad != grad_now or not _equal(grad_value, grad_value_now),
            }
            found += [f"{what} of {name}" for what, is_so in changed.items() if is_so]
        for name, before, after in zip(("torch", "numpy", "python"), self.random, now.random, strict=True):
            if not (_equal(before, after) if isinstance(before, Tensor) else np.array_equal(before, after) if name == "numpy" else before == after):
                found.append(f"random state of {name}")
        return tuple(found)


def _attributes(module: nn.Module) -> dict[str, Any]:
    """Plain values a module keeps, such as `inplace` or `p`."""
    return {name: value for name, value in vars(module).items() if isinstance(value, (bool, int, float, str, tuple)) and name != "training"}


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and one.dtype == other.dtype and bool(torch.equal(one.nan_to_num(), other.nan_to_num()))
