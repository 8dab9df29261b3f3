"""One recorded call run again, without values but with gradients: which tensors autograd keeps for the backward pass, and what is multiplied."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from striate.measure.quick import is_quick, keeps
from striate.probe import Call

PLAIN = frozenset(
    f"torch.nn.modules.{name}" for name in ("activation", "batchnorm", "conv", "dropout", "flatten", "linear", "normalization", "padding", "pooling")
)


@dataclass
class Replay:
    """What one call keeps.

    `kept` are storages of its inputs and outputs (as in the recording) that autograd holds on to; `internal` bytes of what else it keeps: indices of
    maxima, masks, batch statistics. `products` are the multiply-adds of the matrix products and convolutions inside. `problem` says why it could
    not be run.
    """

    kept: dict[int, int] = field(default_factory=dict)
    """Storage -> its bytes."""
    internal: int = 0
    products: int = 0
    problem: str = ""


def storage_of(tensor: Tensor) -> int | None:
    """Return what all views of one memory share; None for sparse tensors."""
    return int(tensor.untyped_storage()._cdata) if tensor.layout == torch.strided else None  # noqa: SLF001 - also for tensors without values


def geometry_of(tensor: Tensor) -> tuple[Any, ...]:
    """Return what tells one view of a memory from another: its storage, and where and how it lies in it."""
    if tensor.layout != torch.strided:
        return (id(tensor),)
    return storage_of(tensor), tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def replay(call: Call, *, owned: Mapping[int, bool], wanted: set[int]) -> Replay:
    """Run `call` again as training would (dropout and batch norm in training mode).

    `owned` maps the storages of parameters and buffers to whether they learn; they are not counted. `wanted` are storages to which a gradient flows.
    """
    if call.module is not None and is_quick(call.module):
        return _quick(call, call.module, owned, wanted)
    try:
        return _replay(call, owned, wanted, training=True)
    except Exception:  # noqa: BLE001 - batch norm of one value, or a module that only runs in one mode: try as it was recorded
        try:
            found = _replay(call, owned, wanted, training=False)
        except Exception as error:  # noqa: BLE001 - told in the summary's notes
            return Replay(problem=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    if isinstance(call.module, nn.modules.batchnorm._BatchNorm):  # noqa: SLF001
        found.internal += 2 * call.module.num_features * call.outputs[0].element_size()
    return found


def _quick(call: Call, module: nn.Module, owned: Mapping[int, bool], wanted: set[int]) -> Replay:
    learns = any(p.requires_grad for p in module.parameters())
    source = storage_of(call.inputs[0])
    before, after, internal = keeps(module, learns=learns, wanted=source in wanted)
    held = [*(call.inputs[:1] if before else ()), *(call.outputs[:1] if after else ())]
    kept = {place: t.untyped_storage().nbytes() for t in held if (place := storage_of(t)) is not None and place not in owned}
    return Replay(kept, internal)


def _replay(call: Call, owned: Mapping[int, bool], wanted: set[int], *, training: bool) -> Replay:
    meaning: dict[int, int | None] = {}
    made: dict[int, Tensor] = {}

    def again(tensor: Tensor) -> Tensor:
        storage = storage_of(tensor)
        if storage is None or storage in owned:
            learns = storage is not None and owned[storage]
            return tensor.detach().requires_grad_(learns and tensor.is_floating_point())
        if id(tensor) not in made:
            twin = tensor.detach()
            if tensor.is_floating_point() and storage in wanted:
                twin = twin.requires_grad_()
            made[id(tensor)] = twin = twin.clone()
            place = storage_of(twin)
            if place is not None:
                meaning[place] = storage
        return made[id(tensor)]

    saved: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = storage_of(tensor)
        if storage is not None and storage not in owned:
            saved[storage] = tensor.untyped_storage().nbytes()
        return tensor

    args, kwargs = tree_map_only(Tensor, again, (call.args, call.kwargs))
    run: Any = call.module if call.module is not None else call.function
    count = nullcontext(_Products()) if makes_no_tensors(call.module) else _Products()
    modes = _set_training(call.module, training)
    try:
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept), count as products, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = run(*args, **kwargs)
    finally:
        for module, mode in modes.items():
            module.training = mode
    _same_outputs(output, call.output, meaning)
    found = Replay(products=products.found)
    sizes = {storage_of(t): t.untyped_storage().nbytes() for t in (*call.inputs, *call.outputs) if t.layout == torch.strided}
    for storage, amount in saved.items():
        known = meaning.get(storage)
        if known is not None and known in owned:
            continue
        if known is None:
            found.internal += amount
        else:
            found.kept[known] = sizes.get(known, amount)
    return found


def _same_outputs(output: Any, recorded: Any, meaning: dict[int, int | None]) -> None:
    """Let the replayed outputs' storages stand for the recorded ones, also where they are the inputs', written in place."""
    for twin, tensor in zip(_tensors(output), _tensors(recorded), strict=False):
        place = storage_of(twin)
        if place is not None:
            meaning[place] = storage_of(tensor)


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _set_training(module: nn.Module | None, training: bool) -> dict[nn.Module, bool]:
    before = {part: part.training for part in module.modules()} if module is not None else {}
    if module is not None:
        module.train(training)
    return before


def makes_no_tensors(module: nn.Module | None) -> bool:
    """Tell whether it is a plain layer of torch: it makes tensors from its inputs only, and its products, if any, are counted by its shapes."""
    where = type(module).__module__
    return where in PLAIN and not isinstance(module, nn.MultiheadAttention)


class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the multiply-adds of torch's matrix products and convolutions."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        from torch.utils.flop_counter import flop_registry

        output = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)  # noqa: SLF001 - how torch's own counter finds it
        if formula is not None:
            self.found += int(formula(*args, **(kwargs or {}), out_val=output)) // 2
        return output
