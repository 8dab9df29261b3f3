"""Whether the network that weights were stored from computes what this one does: the same names and shapes do not say so.

Stride may sit in another convolution (resnet50_v1 and resnet50), pooling may be another, a shortcut may lack. So both networks are built, without
memory for their weights, and their modules compared. Options that act in training only may differ, and so may the stem and the size of the
input, which transfer changes on purpose, and the number of classes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import torch

from striate.core.contracts import ModelSpec
from striate.core.errors import StriateError
from striate.core.runtime import random_state_kept

FREE = frozenset({"stem", "dropout", "survival", "checkpoint", "auxiliary", "drop_path", "global_share", "static", "max_norm"})
"""Options that may differ: they change nothing of what is computed in evaluation, or are a choice for another size of input."""
ON_A_TRUNK = ("+codes", "+boxes")


def difference(stored: ModelSpec, own: ModelSpec, paths: Collection[str] | None = None) -> str | None:
    """Say what the network of `stored` computes otherwise than that of `own` from the same tensors; None where it is the same.

    With `paths` (of modules) only those are compared: a part was loaded. Raises `LookupError` where one of the two is not known here, such as a
    network of another library under another name.
    """
    stored, own = _plain(stored), _plain(own)
    mine, theirs = _fixed(own), _fixed(stored)
    if stored.name == own.name and theirs == mine:
        return None
    for suffix in ON_A_TRUNK:
        if stored.name.endswith(suffix) and own.name.endswith(suffix):
            if detail := _other_options(_without_trunk(theirs), _without_trunk(mine)):
                return detail
            return difference(_trunk(stored, own, suffix), _trunk(own, own, suffix))
    for spec in (stored, own):
        if not _known(spec.name):
            raise LookupError(spec.name)
    options = dict(stored.options) | {name: own.options[name] for name in FREE & set(own.options) & set(stored.options)}
    try:
        before = _modules(ModelSpec(stored.name, own.classes, own.input, options))
    except StriateError as error:
        return f"it cannot be built for this input ({error})"
    after = _modules(own)
    for path in after if paths is None else paths:
        if path in before and path in after and before[path] != after[path]:
            return _other_options(theirs, mine) or f"{path or 'the whole'} is {_spelt(before[path])} there, {_spelt(after[path])} here"
    if paths is None and list(before.values()) != list(after.values()):
        return _other_options(theirs, mine) or f"it has {len(before)} modules, this one {len(after)}"
    return None


def _plain(spec: ModelSpec) -> ModelSpec:
    """Take torchvision's network for the zoo's of the same name: they compute the same."""
    name = spec.name.removeprefix("torchvision:")
    return ModelSpec(name, spec.classes, spec.input) if name != spec.name and _known(name) else spec


def _known(name: str) -> bool:
    from striate.zoo.registry import architectures

    return name in architectures


def _fixed(spec: ModelSpec) -> dict[str, Any]:
    """Return the options that may not differ, as JSON gives them back."""
    options: dict[str, Any] = json.loads(json.dumps({name: value for name, value in spec.options.items() if name not in FREE}, default=str))
    if isinstance(options.get("trunk"), dict):
        options["trunk"] = {name: value for name, value in options["trunk"].items() if name not in FREE}
    return options


def _without_trunk(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "trunk"}


def _trunk(spec: ModelSpec, own: ModelSpec, suffix: str) -> ModelSpec:
    options = spec.options.get("trunk")
    return ModelSpec(spec.name.removesuffix(suffix), own.classes, own.input, options if isinstance(options, Mapping) else {})


def _other_options(theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> str:
    told = [f"{name} is {theirs[name]} there, {mine[name]} here" for name in mine if name in theirs and theirs[name] != mine[name]]
    return ", ".join(told)


def _modules(spec: ModelSpec) -> dict[str, tuple[type, str]]:
    from striate.zoo.building import build

    with random_state_kept(), torch.device("meta"):
        model = build(spec.name, classes=spec.classes, input=spec.input, options=spec.options)
    return {path: (type(module), module.extra_repr()) for path, module in model.named_modules()}


def _spelt(module: tuple[type, str]) -> str:
    kind, options = module
    return f"{kind.__name__}({options})"
