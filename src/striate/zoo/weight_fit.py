"""Whether a file's tensors fit a network: names, shapes, and values that can be copied without loss; all asked before anything is copied."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError, StorageError, nearest

LISTED = 8
"""How many keys of one kind an error lists before it only counts the rest."""
AUXILIARY = re.compile(r"(aux\d|AuxLogits)[.]")
"""Heads beside the chain, used in training only; a network built without them leaves them in the file."""


def heads(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    """Return the modules whose tensors differ in the number of classes and in nothing else: path -> (in the file, here).

    A network's last module with weights is its head, and auxiliary heads that differ by the same numbers; anything else misshaped is a misfit.
    """
    modules = list(dict.fromkeys(key.rpartition(".")[0] for key in wanted))
    if not modules:
        return {}
    sizes = {module: _sizes(module, wanted, found) for module in modules if module == modules[-1] or AUXILIARY.match(f"{module}.")}
    last = sizes[modules[-1]]
    if last is None or last[0] == last[1]:
        return {}
    return {module: last for module, size in sizes.items() if size == last}


def _sizes(module: str, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """Return a module's outputs in the file and here, None where its tensors differ in more than that."""
    keys = [key for key in wanted if key.rpartition(".")[0] == module]
    if not all(key in found and found[key].ndim and wanted[key].ndim and found[key].shape[1:] == wanted[key].shape[1:] for key in keys):
        return None
    sizes = {(found[key].shape[0], wanted[key].shape[0]) for key in keys}
    return next(iter(sizes)) if len(sizes) == 1 else None


def own_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return a network's tensors by name. Raises `ArgumentError` for one that nothing can be copied into."""
    found = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    for name, tensor in found.items():
        reason = _closed(tensor)
        if reason:
            raise ArgumentError(f"model: {name} {reason}; nothing was loaded")
    return found


def _closed(tensor: Tensor) -> str | None:
    if nn.parameter.is_lazy(tensor):
        return "has no shape yet, for its layer is lazy: call the model once on a batch before loading"
    if tensor.is_meta:
        return "has no memory (it lies on the device meta): call model.to_empty(device='cpu') before loading"
    if tensor.is_inference() and not torch.is_inference_mode_enabled():
        return "was made under torch.inference_mode and cannot be written outside it: build the network outside"
    if tensor.layout != torch.strided or tensor.is_quantized:
        return f"is no plain tensor ({_how(tensor)}): load into the network before it is changed so"
    if any(step == 0 and length > 1 for step, length in zip(tensor.stride(), tensor.shape, strict=True)):
        return "shows one value in many places (expand): make it a tensor of its own with clone()"
    return None


def check_names(path: Path, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], skipped: Collection[str], *, stored: str | None) -> None:
    """Raise `StorageError` that lists missing, unknown and misshaped tensors; `stored` is another architecture that the file says it holds."""
    missing = [key for key in wanted if key not in found and key not in skipped]
    unexpected = [key for key in found if key not in wanted]
    misshaped = [key for key in wanted if key in found and key not in skipped and found[key].shape != wanted[key].shape]
    if not (missing or unexpected or misshaped):
        return
    kinds = {
        "missing in the file": [_with_near(key, unexpected) for key in missing],
        "unknown to the model": [_with_near(key, missing) for key in unexpected],
        "of another shape": [f"{key} ({_spell(found[key])} in the file, {_spell(wanted[key])} here)" for key in misshaped],
    }
    lines = [f"{path}: does not fit this network; nothing was loaded." + (f" It holds weights of {stored}." if stored else "")]
    lines += [f"  {len(keys)} {kind}: {_listed(keys)}" for kind, keys in kinds.items() if keys]
    if not (missing or unexpected):
        lines += _other_channels(wanted, found, misshaped)
    raise StorageError("\n".join(lines))


def _other_channels(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], misshaped: Sequence[str]) -> list[str]:
    """Return what to do where first convolutions alone differ, and in nothing but their input channels."""
    first = next((key for key in wanted if wanted[key].ndim == 4), None)
    if first not in misshaped:
        return []
    sides = {(found[key].shape[1], wanted[key].shape[1]) for key in misshaped if found[key].ndim == wanted[key].ndim == 4}
    apart = any(found[key].ndim != 4 or _but_channels(found[key]) != _but_channels(wanted[key]) for key in misshaped)
    if apart or len(sides) != 1:
        return []
    ((there, here),) = sides
    what_to_do = f"build it for {there}, load, then striate.surgery.adapt_first_layer(model, {here})"
    return [f"  The file's network takes {there} input channels, this one {here}: {what_to_do}"]


def _but_channels(weight: Tensor) -> tuple[int, ...]:
    return (weight.shape[0], *weight.shape[2:])


def check_values(
    path: Path, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], taken: Sequence[str], parameters: Collection[str]
) -> list[str]:
    """Raise `StorageError` where values cannot be copied, or not without loss; return a note of parameters with some values that are no numbers.

    Floats are converted to the network's precision, its rounding aside; whole numbers to other whole numbers where every value stays.
    """
    wrong = {key: reason for key in taken if (reason := _lost(found[key], wanted[key], learnt=key in parameters))}
    if wrong:
        raise StorageError(
            f"{path}: cannot be loaded into this network; nothing was loaded. {_listed([f'{key} {why}' for key, why in wrong.items()])}"
        )
    spoilt = [key for key in taken if key in parameters and _floats(found[key]) and not bool(torch.isfinite(found[key]).all())]
    return [f"NaN or infinity in {len(spoilt)} tensors: {_listed(spoilt)}"] if spoilt else []


def _lost(value: Tensor, own: Tensor, *, learnt: bool) -> str | None:
    """Return why `value` cannot go into `own`, None where it can; `learnt` says that it is a parameter."""
    if value.is_meta:
        return "has a shape but no values (it was saved from the device meta)"
    if value.layout != torch.strided or value.is_quantized:
        return f"is no plain tensor ({_how(value)}): save it as one, with to_dense() or dequantize()"
    told = f"is {_name(value)} in the file, {_name(own)} here"
    if value.is_complex() and not own.is_complex():
        return f"{told}: the imaginary part would be lost"
    if own.is_floating_point() or own.is_complex():
        if not (value.is_floating_point() or value.is_complex()):
            return f"{told}: whole numbers are no weights (quantised ones need their scale); save the floating-point values"
        if learnt and _floats(value) and value.numel() and bool(torch.isnan(value.flatten()[0])) and bool(torch.isnan(value).all()):
            return "holds nothing but NaN: the training that saved it had diverged; take an earlier file"
        narrower = _floats(value) and _floats(own) and torch.finfo(own.dtype).max < torch.finfo(value.dtype).max
        if narrower and not torch.equal(torch.isfinite(value.to(own.dtype)), torch.isfinite(value)):
            return f"{told}: it has values up to {value.abs().max():.3g}, beyond that precision"
        return None
    if value.dtype != own.dtype and not torch.equal(value.to(own.dtype).to(value.dtype), value):
        return f"{told}: not all its values are such numbers"
    return None


def _floats(tensor: Tensor) -> bool:
    """Whether it holds floats that torch computes with; those of 8 bits are storage only."""
    return tensor.is_floating_point() and tensor.element_size() > 1


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _how(tensor: Tensor) -> str:
    return "quantised" if tensor.is_quantized else str(tensor.layout).removeprefix("torch.")


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(keys[:LISTED]) + (f", and {len(keys) - LISTED} more" if len(keys) > LISTED else "")


def _with_near(key: str, others: list[str]) -> str:
    close = nearest(key, others, 1)
    return f"{key} (nearest: {close[0]})" if close else key


def _spell(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"
