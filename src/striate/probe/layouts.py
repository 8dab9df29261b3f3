"""Whether a network computes on maps laid out channels last: one that flattens them by `view`, as many do, raises there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from striate.probe.calls import tensors
from striate.probe.untouched import traceless
from striate.probe.walking import modules_of

KNOWN = ("torch.nn.", "striate.")
"""Modules from here never ask how their input lies in memory, so a network of them alone needs no trial."""
FORMATS = (torch.contiguous_format, torch.channels_last)
NEAR = 0.02
"""How near, relative to the largest, outputs in both layouts come: rounding in half precision stays below, values read in another order do not."""
_FOUND: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], bool]] = WeakKeyDictionary()


def takes_channels_last(network: nn.Module, like: Callable[[], Tensor], *, training: bool = False) -> bool:
    """Tell whether `network` takes its input N C H W laid out channels last: run on one like `like()` in both layouts, it says the same.

    Where it raises for that layout, or torch for any, the answer is no; what else it raises for contiguous inputs is raised. `training`: it must run
    in training mode too, with two inputs, and nothing is raised. The answer is kept for each shape; the network is left as it was (see `traceless`).
    """
    if all(type(module).__module__.startswith(KNOWN) for module in modules_of(network)):
        return True
    one = like()[:1].detach()
    found = _FOUND.setdefault(network, {})
    key = (int(training), *one.shape[1:])
    if key not in found:
        found[key] = one.dim() == 4 and all(_takes(network, one, mode, quiet=training) for mode in ((False, True) if training else (False,)))
    return found[key]


def _takes(network: nn.Module, one: Tensor, training: bool, *, quiet: bool) -> bool:
    shape = (2 if training else 1, *one.shape[1:])  # a batch norm in training mode needs two
    made = (torch.empty(shape, dtype=one.dtype, device=one.device, memory_format=kind) for kind in FORMATS)
    plain, last = (empty.copy_(one) for empty in made)  # whose strides say so for one channel too
    with traceless(network) as inner, torch.inference_mode(False), torch.no_grad():
        inner.train(training)
        try:
            wanted = inner(plain)
        except Exception as error:
            if not quiet and not isinstance(error, RuntimeError):
                raise
            return False
        try:
            given = inner(last)
        except Exception:  # noqa: BLE001 - it ran on the same numbers laid out otherwise
            return False
        return training or _same(given, wanted)  # dropout draws in the order of memory


def _same(given: Any, wanted: Any) -> bool:
    pairs = list(zip(tensors(given), tensors(wanted), strict=False))
    return all(one.shape == other.shape and _near(one, other) for one, other in pairs if other.is_floating_point())


def _near(one: Tensor, other: Tensor) -> bool:
    size = float(other.abs().nan_to_num(posinf=0.0).max()) if other.numel() else 0.0
    return torch.allclose(one, other, rtol=0, atol=NEAR * size, equal_nan=True)
