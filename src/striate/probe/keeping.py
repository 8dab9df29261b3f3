"""Values as they were when seen: a tensor about to be written in place is copied first, whoever writes it and through whatever view."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only


class Kept:
    """One tensor's value at one moment."""

    __slots__ = ("value",)

    def __init__(self, value: Tensor) -> None:
        self.value = value


class Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode that does not import torch's compiler on its first use (1.3 s); nothing is compiled while the house's modes are on."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


def operator(func: Any) -> str:
    """Return the plain name of what a dispatch mode was handed: `max_pool2d_with_indices`; empty for what is no aten operator."""
    name: str = func.name() if hasattr(func, "name") else ""
    return name.removeprefix("aten::").partition(".")[0] if name.startswith("aten::") else ""


class Keeper(Mode):
    """While active, every tensor it was told to keep survives in-place operations (told by the operator's schema)."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.inside = False
        """Whether an operator is being run from here: what a scripted module or a backward pass calls, no call of the model's."""
        self._holders: dict[int, list[Kept]] = {}

    def keep(self, value: Any) -> Any:
        """Return `value` with every tensor in it replaced by a `Kept`."""
        return tree_map_only(Tensor, self._keep, value)

    def _keep(self, tensor: Tensor) -> Kept:
        kept = Kept(tensor.detach())
        place = _storage(kept.value)
        if place is not None:
            self._holders.setdefault(place, []).append(kept)
        return kept

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        places, names = _written(func)
        for place in places:
            if place < len(args):
                self._protect(args[place])
        for name in names:
            if name in kwargs:
                self._protect(kwargs[name])
        before, self.inside = self.inside, True
        try:
            return func(*args, **kwargs)
        finally:
            self.inside = before

    def _protect(self, target: Any) -> None:
        for tensor in target if isinstance(target, (tuple, list)) else (target,):
            place = _storage(tensor) if isinstance(tensor, Tensor) else None
            holders = self._holders.pop(place, []) if place is not None else []
            copies: dict[tuple[Any, ...], Tensor] = {}
            for kept in holders:
                view = (kept.value.shape, kept.value.stride(), kept.value.storage_offset(), kept.value.dtype)
                if view not in copies:
                    copies[view] = kept.value.clone()
                kept.value = copies[view]


def released(value: Any) -> Any:
    """Return `value` with every `Kept` replaced by its tensor."""
    return tree_map_only(Kept, lambda kept: kept.value, value)


def _storage(tensor: Tensor) -> int | None:
    """An identity shared by all views of the same memory; None for layouts without one storage (sparse)."""
    if tensor.layout != torch.strided:
        return None
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - the storage's identity, also for fake tensors


@cache
def _written(func: Any) -> tuple[tuple[int, ...], tuple[str, ...]]:
    schema = getattr(func, "_schema", None)
    if schema is None:
        return (), ()
    if schema.name in {"aten::native_batch_norm", "aten::cudnn_batch_norm", "aten::miopen_batch_norm"}:
        return (3, 4), ()  # the running statistics: written, though the schema does not say so
    if not schema.is_mutable:
        return (), ()
    written = [
        (place, argument.name) for place, argument in enumerate(schema.arguments) if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return tuple(place for place, _ in written), tuple(name for _, name in written)
