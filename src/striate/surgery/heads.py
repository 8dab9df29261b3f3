"""Another head: the layer that gives the output, fresh and for another number of classes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn

from striate.core.contracts import ModelSpec
from striate.core.errors import ArgumentError
from striate.surgery.following import copied, forget, note, replace_module, told
from striate.surgery.order import ends

AUXILIARY = re.compile(r"(aux\d|AuxLogits)[.]")
"""Heads beside the chain (GoogLeNet, Inception): they classify too, so they change with the head."""


def replace_head(
    model: nn.Module,
    classes: int | Sequence[str],
    *,
    input: Sequence[int] | None = None,  # noqa: A002 - the field's word, and the spec's
) -> nn.Module:
    """Return a copy whose head, the linear layer or convolution that gives the output, is fresh and has one output for each of `classes`.

    The head is found by the order of the calls, not of registration; other heads with as many outputs (auxiliary ones, also those that work in
    training alone) are replaced too. Weights are drawn as torch draws them, from its random state. `notes` says what was done. `input` is one input's
    shape, C H W, of use for a network that can be run only. Raises `ArgumentError` where the head is neither linear nor a convolution.
    """
    count = classes if isinstance(classes, int) else len(classes)
    if count < 1 or isinstance(classes, (str, bool)):
        raise ArgumentError(f"classes: got {classes!r}, expected a number from 1 or the class names")
    changed = copied(model)
    paths, sure = heads_of(changed, input)
    path = paths[0] if paths else ""
    head = changed.get_submodule(path) if path and not path.endswith("()") else None
    if not isinstance(head, (nn.Linear, nn.Conv2d)):
        kind = told(changed, path) if path else "no layer with weights"
        raise ArgumentError(f"model: its head is {kind}; only a linear layer or a convolution inside a model can be replaced")
    before = _outputs(head)
    named = {p.removesuffix("()"): m for p, m in changed.named_modules()}
    beside = [(each, m) for each in paths[1:] if isinstance(m := named.get(each), (nn.Linear, nn.Conv2d)) and _outputs(m) == before]
    for each, old in ((path, head), *beside):
        replace_module(changed, each, _fresh(old, count))
        note(changed, f"{each} is fresh, for {count} classes where it had {before}: it needs training")
    if not sure:
        note(changed, f"{path} was taken for the head because it was registered last: the model can be neither followed nor run on a usual picture")
    forget(changed, fresh=(path, *(each for each, _ in beside)), classes=True)
    spec = getattr(changed, "spec", None)
    if isinstance(spec, ModelSpec):
        object.__setattr__(changed, "spec", ModelSpec(spec.name, count, spec.input, spec.options))
    return changed


def heads_of(model: nn.Module, input: Sequence[int] | None = None) -> tuple[tuple[str, ...], bool]:  # noqa: A002 - as above
    """Return the paths of the layers that give the outputs, the first output's first, and whether the forward pass said so.

    Those that work in training alone, and the last layers of modules named as auxiliary heads are, follow.
    """
    found = ends(model, input)
    paths = list(found.last)
    modes = {module: module.training for module in model.modules()}
    try:
        paths += ends(model.train(not model.training), input).last if found.sure else ()
    finally:
        for module, mode in modes.items():
            module.training = mode
    weighted = [path for path, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))]
    auxiliary = {path.rpartition(".")[0]: path for path in weighted if AUXILIARY.match(f"{path}.")}
    return tuple(dict.fromkeys((*paths, *auxiliary.values()))), found.sure


def _outputs(head: nn.Linear | nn.Conv2d) -> int:
    return head.out_features if isinstance(head, nn.Linear) else head.out_channels


def _fresh(old: nn.Linear | nn.Conv2d, count: int) -> nn.Module:
    place = {"device": old.weight.device, "dtype": old.weight.dtype}
    if isinstance(old, nn.Linear):
        return nn.Linear(old.in_features, count, bias=old.bias is not None, **place)
    if old.groups != 1:
        raise ArgumentError(f"model: its head is a convolution in {old.groups} groups; only a convolution without groups can be replaced")
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
