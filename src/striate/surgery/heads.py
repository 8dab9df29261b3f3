"""Another head: the last layer with weights, fresh and for another number of classes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn

from striate.core.contracts import ModelSpec
from striate.core.errors import ArgumentError
from striate.surgery.following import copied, forget, note, replace_module

AUXILIARY = re.compile(r"(aux\d|AuxLogits)[.]")
"""Heads beside the chain (GoogLeNet, Inception): they classify too, so they change with the head."""


def replace_head(model: nn.Module, classes: int | Sequence[str]) -> nn.Module:
    """Return a copy whose head, the last linear layer or convolution, is fresh and has one output for each of `classes`.

    Auxiliary heads with as many outputs are replaced too. Weights are drawn as torch draws them, from its random state. `notes` says what was done.
    Raises `ArgumentError` where the last layer with weights is neither linear nor a convolution.
    """
    count = classes if isinstance(classes, int) else len(classes)
    if count < 1 or isinstance(classes, (str, bool)):
        raise ArgumentError(f"classes: got {classes!r}, expected a number from 1 or the class names")
    changed = copied(model)
    weighted = [(path, m) for path, m in changed.named_modules() if any(True for _ in m.parameters(recurse=False))]
    path, head = weighted[-1] if weighted else ("", None)
    if not isinstance(head, (nn.Linear, nn.Conv2d)) or not path:
        kind = "no layer with weights" if head is None else f"{path or 'the model itself'}, {head}"
        raise ArgumentError(f"model: its head is {kind}; only a linear layer or a convolution inside a model can be replaced")
    before = _outputs(head)
    last = {each.rpartition(".")[0]: (each, m) for each, m in weighted if AUXILIARY.match(f"{each}.")}
    beside = [(each, m) for each, m in last.values() if isinstance(m, (nn.Linear, nn.Conv2d)) and _outputs(m) == before]
    for each, old in ((path, head), *beside):
        replace_module(changed, each, _fresh(old, count))
        note(changed, f"{each} is fresh, for {count} classes where it had {before}: it needs training")
    forget(changed, fresh=(path, *(each for each, _ in beside)), classes=True)
    spec = getattr(changed, "spec", None)
    if isinstance(spec, ModelSpec):
        object.__setattr__(changed, "spec", ModelSpec(spec.name, count, spec.input, spec.options))
    return changed


def _outputs(head: nn.Linear | nn.Conv2d) -> int:
    return head.out_features if isinstance(head, nn.Linear) else head.out_channels


def _fresh(old: nn.Linear | nn.Conv2d, count: int) -> nn.Module:
    place = {"device": old.weight.device, "dtype": old.weight.dtype}
    if isinstance(old, nn.Linear):
        return nn.Linear(old.in_features, count, bias=old.bias is not None, **place)
    if old.groups != 1:
        raise ArgumentError(f"model: its head is {old}, in groups; only a convolution without groups can be replaced")
    return nn.Conv2d(
        old.in_channels,
        count,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        old.dilation,  # type: ignore[arg-type]
        bias=old.bias is not None,
        padding_mode=old.padding_mode,
        **place,  # type: ignore[arg-type]
    )
