"""Whether a network computes on maps laid out channels last: one that flattens them by `view`, as many do, raises there."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from striate.probe.untouched import traceless
from striate.probe.walking import modules_of

KNOWN = ("torch.nn.", "striate.")
"""Modules from here never ask how their input lies in memory, so a network of them alone needs no trial."""
_FOUND: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], bool]] = WeakKeyDictionary()


def takes_channels_last(network: nn.Module, like: Callable[[], Tensor], *, training: bool = False) -> bool:
    """Tell whether `network` takes its input N C H W laid out channels last, by running it once on an input like `like()`.

    Where torch refuses to compute, for this reason or another, the answer is no; what else the network raises is raised. `training`: it must do so
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
    last = torch.empty(shape, dtype=one.dtype, device=one.device, memory_format=torch.channels_last)  # its strides say so for one channel too
    with traceless(network) as inner, torch.inference_mode(False), torch.no_grad():
        inner.train(training)
        try:
            inner(last.copy_(one))
        except RuntimeError:
            return False
        except Exception:
            if not quiet:
                raise
            return False
    return True
