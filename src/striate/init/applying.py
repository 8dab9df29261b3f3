"""Starting any model's weights afresh, and telling what was done to each layer and what was left alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError
from striate.core.runtime import generator
from striate.core.signature import Signature
from striate.init.following import followed_by, gain_of, nonlinearity_of
from striate.init.layers_of import geometry, layers_of
from striate.init.registry import initialisations
from striate.init.unit_variance import input_of, unit_variance
from striate.probe import Call, original, record


@dataclass(frozen=True)
class Start:
    """How one layer was started: `deviation` is what its weights have now; `scaled` the divisor LSUV found, 1 for the others."""

    address: str
    fan_in: float
    fan_out: float
    nonlinearity: str
    gain: float
    deviation: float
    bias: float | None
    scaled: float = 1.0


@dataclass(frozen=True)
class Applied:
    """What `apply` did: a line for every layer it started, and in `notes` what it left alone or thinks amiss."""

    method: str
    layers: tuple[Start, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        wide = max([len(start.address) for start in self.layers] + [5])
        lines = [f"{'layer':{wide}}  {'fan in':>8}  {'fan out':>8}  {'before':10}  {'gain':>6}  {'deviation':>9}  bias"]
        for each in self.layers:
            bias = "–" if each.bias is None else f"{each.bias:g}"
            lines.append(
                f"{each.address:{wide}}  {each.fan_in:8g}  {each.fan_out:8g}  {each.nonlinearity:10}  {each.gain:6.3f}  {each.deviation:9.4g}  {bias}"
            )
        return "\n".join([f"{self.method}: {len(self.layers)} layers", *lines, *self.notes])

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        found: dict[str, Any] = json.loads(json.dumps({"method": self.method, "layers": [vars(s) for s in self.layers], "notes": self.notes}))
        return found


def apply(
    model: nn.Module,
    method: str,
    *,
    options: Mapping[str, Any] | None = None,
    nonlinearity: str = "auto",
    gain: float | None = None,
    bias: float | None = 0.0,
    batch: Any = None,
    seed: int = 0,
) -> Applied:
    """Start the weights of every linear, convolutional and locally connected layer of `model` in place, by the registry's `method`.

    `options`      the method's own, such as `{"deviation": 0.01}`
    `nonlinearity` what follows each layer: `auto` looks at a run over `batch`, else at the model's only activation; or its name for all layers
    `gain`         for all layers, instead of the method's: Xavier has 1, He and orthogonal that of the nonlinearity that follows
    `bias`         what biases are set to; None leaves them
    `batch`        one input batch (N first); LSUV needs it, `auto` uses it
    `seed`         each layer draws from (seed, its number), so layers do not depend on each other

    Normalisation, embeddings, recurrent layers and frozen weights are left alone and counted in the notes. Raises `UnknownNameError`,
    `ArgumentError`. Source: row O11.
    """
    entry = initialisations.entry(method)
    fill = initialisations.get(method)
    checked = Signature(tuple(p for p in entry.signature.parameters if p.keyword_only)).check(options or {})
    if gain is not None and gain <= 0:
        raise ArgumentError(f"gain: got {gain!r}, expected more than 0")
    inner, notes = original(model)
    chosen, left = layers_of(inner)
    if not chosen:
        raise ArgumentError("model: no linear, convolutional or locally connected layer with trainable weights to start")
    if method == "lsuv" and batch is None:
        raise ArgumentError("batch: lsuv scales each layer by what one batch does there; give batch=, some tens of samples")
    before = _nonlinearities(inner, tuple(chosen), nonlinearity, batch)
    starts: dict[str, Start] = {}
    with torch.no_grad():
        for number, (address, module) in enumerate(chosen.items()):
            name, slope = before[address]
            size, fans = geometry(module)
            by = gain if gain is not None else gain_of(name, slope=slope) if _rectifies(entry.facts["follows"], method, name) else 1.0
            values = fill(size, fans, by, generator(seed, number), **checked)
            weight: Any = module.weight
            weight.copy_(values.reshape(weight.shape))
            has_bias = isinstance(shift := getattr(module, "bias", None), Tensor)
            if bias is not None and isinstance(shift, Tensor):
                shift.fill_(bias)
            deviation = float(values.std(correction=0))
            starts[address] = Start(address, fans.inward, fans.outward, name, by, deviation, bias if has_bias else None)
    if method == "lsuv":
        scales = unit_variance(inner, chosen, input_of(batch))
        starts = {name: replace(start, deviation=start.deviation / scales.get(name, 1), scaled=scales.get(name, 1)) for name, start in starts.items()}
        if missed := [name for name in starts if name not in scales]:
            notes += (f"not scaled, because the batch did not reach them or left them constant: {', '.join(missed)}",)
    rectified = sum(start.nonlinearity in {"relu", "leaky_relu", "prelu"} for start in starts.values())
    if method == "xavier" and gain is None and rectified:
        notes += (f"{rectified} layers are followed by ReLU, which halves the mean square that Xavier keeps: `he` makes up for it",)
    return Applied(method, tuple(starts.values()), notes + left)


def _rectifies(follows: bool, method: str, name: str) -> bool:
    """He's derivation is for rectifiers; before a sigmoid or tanh its gain is that of a linear unit."""
    return follows and (method != "he" or name not in {"tanh", "sigmoid", "selu"})


def _nonlinearities(model: nn.Module, layers: tuple[str, ...], asked: str, batch: Any) -> dict[str, tuple[str, float | None]]:
    if asked != "auto":
        gain_of(asked)
        return dict.fromkeys(layers, (asked, None))
    if batch is not None:
        recording = record(model, input_of(batch))
        ran = {call.address for call in recording}
        return {layer: followed_by(recording, layer) if layer in ran else ("linear", None) for layer in layers}
    found, last = set(), ""
    for name, module in model.named_modules():
        call = Call(address="", operation=type(module).__name__, module=module, function=None, args=(), kwargs={}, output=None)
        if (kind := nonlinearity_of(call)) is not None:
            found.add(kind)
            last = "nonlinearity"
        elif name == layers[-1]:
            last = "layer"
    if len(found) > 1:
        names = ", ".join(sorted(name for name, _ in found))
        raise ArgumentError(f"nonlinearity: the model has {names}; give batch= to see which follows which layer, or name one for all")
    kind = found.pop() if found else ("linear", None)
    return {layer: ("linear", None) if layer == layers[-1] and last == "layer" else kind for layer in layers}
