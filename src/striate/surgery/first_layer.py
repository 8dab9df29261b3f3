"""A first layer for another number of channels, made from the filters that were learnt for colours."""

from __future__ import annotations

from typing import Literal

from torch import nn

from striate.core.contracts import ModelSpec
from striate.core.errors import ArgumentError, unknown_name
from striate.surgery.following import copied, forget, note, replace_module

How = Literal["sum", "average"]


def adapt_first_layer(model: nn.Module, channels: int, *, how: How = "sum") -> nn.Module:
    """Return a copy whose first convolution takes `channels` input channels; `notes` says what was done to its filters.

    `how` sum gives every new channel the sum of a filter's planes divided by `channels`: a picture that is alike in all channels gets the response
    it had in colour, so grey (1 channel) is as if repeated three times. average gives every channel the mean of the planes, whatever their number.
    Raises `ArgumentError` where the first layer with weights is no plain convolution.
    """
    if how not in ("sum", "average"):
        raise unknown_name("how", how, ("sum", "average"))
    if channels < 1:
        raise ArgumentError(f"channels: got {channels}, expected 1 or more")
    changed = copied(model)
    path, layer = next(((path, m) for path, m in changed.named_modules() if any(True for _ in m.parameters(recurse=False))), ("", None))
    if not isinstance(layer, nn.Conv2d) or layer.groups != 1:
        kind = "no layer with weights" if layer is None else f"{path or 'the model itself'}, {layer}"
        raise ArgumentError(f"model: its first layer is {kind}; only a convolution without groups can take another number of channels")
    before = layer.in_channels
    if before == channels:
        note(changed, f"{path} takes {channels} channels already; nothing was changed")
        return changed
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
    if path:
        replace_module(changed, path, new)
    else:
        changed = new
    forget(changed, preprocess=True)
    spec = getattr(changed, "spec", None)
    if isinstance(spec, ModelSpec):
        object.__setattr__(changed, "spec", ModelSpec(spec.name, spec.classes, (channels, *spec.input[1:]), spec.options))
    filters = "the sum" if how == "sum" else "the mean"
    share = f", divided by {channels}" if how == "sum" and channels > 1 else ""
    note(changed, f"{path or 'the model'} takes {channels} channels where it took {before}: each gets {filters} of the {before} planes{share}")
    return changed
