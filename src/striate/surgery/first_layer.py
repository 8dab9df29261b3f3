"""A first layer for another number of channels, made from the filters that were learnt for colours."""

from __future__ import annotations

from typing import Literal

from torch import nn

from striate.core.contracts import ModelSpec
from striate.core.errors import ArgumentError, unknown_name
from striate.surgery.following import copied, forget, note, replace_module, told
from striate.surgery.order import ends, runs

How = Literal["sum", "average"]


def adapt_first_layer(model: nn.Module, channels: int, *, how: How = "sum") -> nn.Module:
    """Return a copy whose first convolution takes `channels` input channels; `notes` says what was done to its filters.

    Where several convolutions read the input (branches), all of them are adapted. `how` sum gives every new channel the sum of a filter's planes
    divided by `channels`: a picture that is alike in all channels gets the response it had in colour, so grey (1 channel) is as if repeated three
    times. average gives every channel the mean of the planes, whatever their number. Raises `ArgumentError` where a layer that reads the input is no
    plain convolution, or where the copy does not run.
    """
    if how not in ("sum", "average"):
        raise unknown_name("how", how, ("sum", "average"))
    if channels < 1:
        raise ArgumentError(f"channels: got {channels}, expected 1 or more")
    changed = copied(model)
    convolutions = _readers(changed, channels)
    before = next(iter(convolutions.values())).in_channels
    if before == channels:
        for path in convolutions:
            note(changed, f"{path or 'the model'} takes {channels} channels already; nothing was changed")
        return changed
    known = runs(changed)
    for path, layer in convolutions.items():
        if path:
            replace_module(changed, path, _adapted(layer, channels, how))
        else:
            changed = _adapted(layer, channels, how)
    if known is not None and runs(changed, (channels, *known[1:])) is None:
        raise ArgumentError(
            f"model: {type(model).__name__} uses the {before} channels of its input beside {', '.join(convolutions)} too and does not run with "
            f"{channels}; repeat the channels of your pictures instead (x.repeat(1, {before}, 1, 1) for grey ones)"
        )
    forget(changed, preprocess=True)
    spec = getattr(changed, "spec", None)
    if isinstance(spec, ModelSpec):
        object.__setattr__(changed, "spec", ModelSpec(spec.name, spec.classes, (channels, *spec.input[1:]), spec.options))
    filters = "the sum" if how == "sum" else "the mean"
    share = f", divided by {channels}" if how == "sum" and channels > 1 else ""
    for path in convolutions:
        note(changed, f"{path or 'the model'} takes {channels} channels where it took {before}: each gets {filters} of the {before} planes{share}")
    return changed


def _readers(model: nn.Module, channels: int) -> dict[str, nn.Conv2d]:
    """Return the convolutions that read the input, by path. Raises `ArgumentError` where anything else with weights reads it."""
    if isinstance(model, nn.Conv2d) and model.groups == 1:
        return {"": model}
    modules, first = dict(model.named_modules()), ends(model).first
    found = {path: layer for path in first if isinstance(layer := modules.get(path), nn.Conv2d) and layer.groups == 1}
    if len(found) < len(first) or not first:
        kind = told(model, next(path for path in first if path not in found)) if first else "no layer with weights"
        raise ArgumentError(f"model: its first layer is {kind}; only a convolution without groups can take another number of channels")
    if len({layer.in_channels for layer in found.values()}) > 1:
        each = ", ".join(f"{path} ({layer.in_channels} channels)" for path, layer in found.items())
        raise ArgumentError(f"model: {each} read the input beside other maps, so they cannot be given {channels} channels; adapt them by hand")
    return found


def _adapted(layer: nn.Conv2d, channels: int, how: How) -> nn.Conv2d:
    planes = layer.weight.detach().double()
    plane = planes.sum(1, keepdim=True) / channels if how == "sum" else planes.mean(1, keepdim=True)
    new = nn.Conv2d(
        channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        layer.dilation,  # type: ignore[arg-type]
        bias=layer.bias is not None,
        padding_mode=layer.padding_mode,
        device=layer.weight.device,
        dtype=layer.weight.dtype,
    )
    new.weight = nn.Parameter(plane.expand(-1, channels, -1, -1).to(layer.weight.dtype).contiguous(), requires_grad=layer.weight.requires_grad)
    new.bias = layer.bias
    return new
