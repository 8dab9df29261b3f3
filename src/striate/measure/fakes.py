"""A copy of a network without weights: the same modules over tensors that have a shape and no values, so that nothing is computed or allocated."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel

from striate.core.errors import ArgumentError, StriateError
from striate.measure.quick import Uninitialised, hasten
from striate.probe.hooks import without_plain_hooks


@dataclass(frozen=True)
class Weightless:
    """A network without values, in eval mode; only dropout is switched on, for then it makes a tensor of its own, as in training.

    Its buffers are listed here and are plain attributes of its modules: nobody who saves and restores buffers reads values that are not there.
    """

    model: nn.Module
    buffers: tuple[Tensor, ...]
    notes: tuple[str, ...]
    """What could not be copied, or was left out, in words."""
    mode: FakeTensorMode | None = None
    """None: tensors are on torch's meta device. Else they are fake: they have no values either, but say they are on the model's own device."""
    real: bool = False
    """The copy has its weights after all, and the input is zeros: the last resort."""

    @contextmanager
    def without_values(self) -> Iterator[None]:
        """Make new tensors inside without values, wherever the model's own code makes them."""
        plain = sdpa_kernel(SDPBackend.MATH) if self.real else None  # attention step by step, as without values: its products are counted
        with plain if plain is not None else torch.device("meta") if self.mode is None else self.mode:
            yield

    def input(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return a tensor without values where the model expects its input."""
        device = next((p.device for p in self.model.parameters()), "cpu") if self.mode is not None or self.real else "meta"
        if self.real:
            return torch.zeros(tuple(shape), dtype=dtype, device=device)
        with self.without_values():
            return torch.empty(tuple(shape), dtype=dtype, device=device)


def built(model: nn.Module | Callable[[], nn.Module]) -> tuple[nn.Module, tuple[str, ...]]:
    """Return a network as it is, or what a function builds when called on torch's meta device, where no weight is allocated; and notes.

    Raises `ArgumentError` for anything else, and for scripted or traced code, inside of which nothing can be seen.
    """
    said: tuple[str, ...] = ()
    if not isinstance(model, nn.Module):
        made: Any = None
        if callable(model):
            made, said = _called(model)
        if not isinstance(made, nn.Module):
            came = f"a function that returned {type(made).__name__}" if callable(model) else type(model).__name__
            raise ArgumentError(f"model: got {came}, expected an nn.Module, or a function that builds one")
        model = made
    closed = next((path for path, module in model.named_modules() if isinstance(module, torch.jit.ScriptModule)), None)
    if closed is not None:
        raise ArgumentError(
            f"model: {closed or 'the network'} is scripted or traced (torch.jit), so what it does inside cannot be seen or counted; "
            "give the network it was made from"
        )
    lazy = next((path for path, parameter in model.named_parameters() if nn.parameter.is_lazy(parameter)), None)
    if lazy is not None:
        raise ArgumentError(f"model: {lazy} has no shape yet, for its layer is lazy; call the model once on a batch, then it has one")
    return model, said


def valued(model: nn.Module, why: str) -> Weightless:
    """Return a copy of `model` with its values, in eval mode, for a network that decides by numbers it computes; `why` is what it asked for."""
    notes = [f"the network decides by numbers it computes ({why}), so it was run on zeros, with values"]
    twin = _copied(model, {}, notes)
    left_out = without_plain_hooks(twin)
    if left_out:
        notes.append(f"{left_out} hook{'s' * (left_out != 1)} of the model did not run while it was measured")
    _as_measured(twin)
    return Weightless(twin, (), tuple(notes), real=True)


def weightless(model: nn.Module, *, fake: bool = False) -> Weightless:
    """Return a copy of `model` on torch's meta device, or of `fake` tensors: slower, but for code that asks on which device it runs.

    `model` itself is only read. Plain functions hooked to it stay behind: they might keep what they see.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True) if fake else None
    memo = {id(tensor): _empty(tensor, mode) for tensor in _tensors(model)}
    notes: list[str] = []
    with FakeCopyMode(mode) if mode is not None else nullcontext():
        twin = _copied(model, memo, notes)
    left_out = without_plain_hooks(twin)
    if left_out:
        notes.append(f"{left_out} hook{'s' * (left_out != 1)} of the model did not run while it was measured")
    _as_measured(twin)
    hasten(twin)
    return Weightless(twin, tuple(_detached_buffers(twin)), tuple(notes), mode)


def _as_measured(model: nn.Module) -> None:
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) or type(module).__name__ == "DropPath":  # noqa: SLF001 - the common base
            module.train()


def _copied(model: nn.Module, memo: dict[int, Any], notes: list[str]) -> nn.Module:
    try:
        return copy.deepcopy(model, dict(memo))
    except Exception:  # noqa: BLE001 - whatever an attribute raises when it is copied, it is then shared instead
        shared = _uncopyable(model, memo)
        notes.append(f"{', '.join(shared)} cannot be copied and {'is' if len(shared) == 1 else 'are'} shared with the copy that is measured")
        return copy.deepcopy(model, dict(memo))


def _called(factory: Callable[[], Any]) -> tuple[Any, tuple[str, ...]]:
    """Call a factory without values; one that needs them (to read a number back, say) is called as usual, and that is noted."""
    try:
        with torch.device("meta"), Uninitialised():
            return factory(), ()
    except Exception as error:  # whatever a factory does with values; its own mistakes show again below
        if isinstance(error, StriateError) and error.__cause__ is None:
            raise
        why = _first_line(error.__cause__ or error)
        return factory(), (f"the network needed its values to be built ({why}), so its weights were allocated",)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _detached_buffers(model: nn.Module) -> Iterator[Tensor]:
    """Make every buffer a plain attribute and yield each once."""
    seen: set[int] = set()
    for module in model.modules():
        for name, buffer in list(module._buffers.items()):  # noqa: SLF001 - the module's own table
            del module._buffers[name]  # noqa: SLF001
            vars(module)[name] = buffer
            if buffer is not None and id(buffer) not in seen:
                seen.add(id(buffer))
                yield buffer


def _empty(tensor: Tensor, mode: FakeTensorMode | None) -> Tensor:
    device = "meta" if mode is None else "cpu" if tensor.is_meta else str(tensor.device)
    with torch.no_grad(), mode if mode is not None else nullcontext():
        blank = (
            torch.empty_like(tensor, device=device)
            if tensor.layout == torch.strided
            else torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
        )
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(blank, requires_grad=tensor.requires_grad)
    return blank


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    """Every parameter, every buffer, and every tensor a module keeps as a plain attribute."""
    for module in model.modules():
        for table in (module._parameters, module._buffers, vars(module)):  # noqa: SLF001 - the module's own tables, with None where one is unset
            yield from (value for value in table.values() if isinstance(value, Tensor))


def _uncopyable(model: nn.Module, memo: dict[int, Any]) -> list[str]:
    """Find the attributes that cannot be copied and mark them in `memo` as their own copies."""
    found = []
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name == "_modules" or id(value) in memo:
                continue
            try:
                copy.deepcopy(value, dict(memo))
            except Exception:  # noqa: BLE001 - see above
                memo[id(value)] = value
                found.append(f"{path}.{name}" if path else name)
    return found
