"""A frozen trunk's codes read by a linear head, as one network: `resnet50_v1+codes`.

    zoo.build("resnet50_v1+codes", classes=2, input=(3, 224, 224), options={"at": ["layer3", "layer4"], "pool": "both"})

`at` are the layers whose outputs are pooled (`avg`, `max`, or `both`: means, then maxima), each code scaled to length 1 where `unit` is set, and laid
beside each other for `head`. `trunk` holds the options of the network itself. What lies behind the last of the layers is cut off, or never run where
a forward pass cannot be followed (`Watched`). Parameters are called `trunk.` (there `trunk.whole.`) and the network's own names, `head.weight` and
`head.bias`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.core.contracts import ModelSpec
from striate.core.errors import ArgumentError, unknown_name
from striate.surgery import cut, outputs_at
from striate.surgery.following import copied, followed

SUFFIX = "+codes"
Pool = Literal["avg", "max", "both"]
OPTIONS = ("at", "pool", "unit", "trunk")


class Coded(nn.Module):
    """A trunk, its outputs at some layers pooled and laid beside each other, and a linear head: N C H W to logits N K."""

    def __init__(self, model: nn.Module, at: Sequence[str], classes: int, widths: Sequence[int], *, pool: Pool = "avg", unit: bool = False) -> None:
        super().__init__()
        self.at, self.pool, self.unit = tuple(at), pool, unit
        self.trunk = _trunk(model, at)
        self.head = nn.Linear(sum(widths), classes)

    def codes(self, x: Tensor) -> Tensor:
        """Return what the head reads, N D."""
        found = self.trunk(x)
        parts = [part for maps in (found if isinstance(found, tuple) else (found,)) for part in _pooled(maps, self.pool)]
        if self.unit:
            parts = [F.normalize(part, dim=1, eps=1e-6) for part in parts]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits N K."""
        logits: Tensor = self.head(self.codes(x).to(self.head.weight.dtype))  # the trunk may count in another precision
        return logits

    def extra_repr(self) -> str:
        """Spell the options."""
        return f"at={', '.join(self.at)}, pool={self.pool}, unit={self.unit}"


class Watched(nn.Module):
    """A network that cannot be followed, run as it is until the layers `at` have been called: their outputs, one or a tuple."""

    def __init__(self, model: nn.Module, at: Sequence[str]) -> None:
        super().__init__()
        self.at, self.whole = tuple(at), copied(model)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return what the layers give; what stands behind the last of them does not run."""
        found: dict[str, Tensor] = {}

        def take(path: str, output: Tensor) -> None:
            found[path] = output
            if len(found) == len(self.at):
                raise _Enough

        handles = [self.whole.get_submodule(path).register_forward_hook(lambda _m, _x, out, path=path: take(path, out)) for path in self.at]
        try:
            self.whole(x)
        except _Enough:
            pass
        finally:
            for handle in handles:
                handle.remove()
        missing = [path for path in self.at if path not in found]
        if missing:
            raise ArgumentError(f"at: {missing[0]} is not called in one pass of {type(self.whole).__name__}")
        parts = tuple(found[path] for path in self.at)
        return parts[0] if len(parts) == 1 else parts


class _Enough(Exception):  # noqa: N818 - no error: everything asked for has been seen
    """Ends a forward pass early."""


def _trunk(model: nn.Module, at: Sequence[str]) -> nn.Module:
    """Return the network cut after the last of the layers `at`, or watched there where its forward pass cannot be followed."""
    try:
        followed(copied(model).eval(), "cut it")
    except ArgumentError:
        return Watched(model, at)
    return cut(model, at[0]) if len(at) == 1 else outputs_at(model, at)


def is_coded(name: str) -> bool:
    """Tell whether a name means a trunk with a head on its codes."""
    return name.endswith(SUFFIX)


def coded(
    model: nn.Module,
    at: Sequence[str],
    classes: int,
    *,
    pool: Pool = "avg",
    unit: bool = False,
    input: Sequence[int] | None = None,  # noqa: A002 - the field's word, and the spec's
) -> Coded:
    """Return a network of the trunk `model` (copied, cut after the last of the layers `at`) and a fresh linear head on its codes.

    `input` is the shape C H W of one picture, needed for a network that `zoo.build` did not make.

    Raises `UnknownNameError` for a layer, `ArgumentError` where a layer gives no codes or the model cannot be followed to cut it.
    """
    if pool not in ("avg", "max", "both"):
        raise unknown_name("pool", str(pool), ("avg", "max", "both"))
    spec = getattr(model, "spec", None)
    shape = tuple(input) if input is not None else spec.input if isinstance(spec, ModelSpec) else None
    if shape is None:
        raise ArgumentError("input: this network was not built by zoo.build, so give the shape of one picture, such as input=(3, 224, 224)")
    made = Coded(model, at, classes, _widths(model, shape, at, pool), pool=pool, unit=unit)
    made.train(model.training)
    if isinstance(spec, ModelSpec):
        options = {"at": list(at), "pool": pool, "unit": unit, "trunk": dict(spec.options)}
        object.__setattr__(made, "spec", ModelSpec(spec.name + SUFFIX, classes, shape, options))
    return made


def build(name: str, classes: int, shape: Sequence[int], options: Mapping[str, Any]) -> Coded:
    """Build the network that `name` and `options` say, freshly initialised; see the head of this file."""
    from striate.zoo.building import build as build_whole

    for option in options:
        if option not in OPTIONS:
            raise unknown_name(f"option of {name}", option, OPTIONS)
    at = options.get("at")
    if isinstance(at, str) or not at:
        raise ArgumentError(f"at: got {at!r}, expected the layers whose outputs {name} reads, such as ['layer4']")
    whole = build_whole(name.removesuffix(SUFFIX), classes=2, input=tuple(shape), options=options.get("trunk") or {})
    return coded(whole, tuple(at), classes, pool=options.get("pool", "avg"), unit=bool(options.get("unit", False)))


def _pooled(maps: Tensor, pool: Pool) -> list[Tensor]:
    if maps.dim() == 2:
        return [maps]
    flat = maps.flatten(2)
    flat = flat.to(torch.promote_types(flat.dtype, torch.float32))
    return [flat.mean(2)] * (pool != "max") + [flat.amax(2)] * (pool != "avg")


def _widths(model: nn.Module, shape: Sequence[int], at: Sequence[str], pool: Pool) -> list[int]:
    """Run the model once on an empty picture to see how wide each layer's code is."""
    from striate.probe import activations, traceless

    weight = next(model.parameters())
    with traceless(model) as inner:
        found = activations(inner.eval(), torch.zeros(1, *shape, device=weight.device, dtype=weight.dtype), at=list(at))
    for layer, value in found.items():
        if value.dim() < 2:
            raise ArgumentError(f"at: {layer} gives {tuple(value.shape)}, expected one code or maps a picture")
    return [found[layer].shape[1] * (2 if pool == "both" and found[layer].dim() > 2 else 1) for layer in at]
