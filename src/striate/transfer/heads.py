"""Heads: what reads a trunk's codes. Linear, multi-layer, 1x1 convolution; a fitted linear classifier or SVM ends as an `nn.Linear`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError, unknown_name
from striate.transfer.fitting import Fitted

Kind = Literal["linear", "mlp", "conv1x1"]


def head(kind: Kind, inputs: int, classes: int, *, hidden: int = 256, dropout: float = 0.2) -> nn.Module:
    """Return a fresh head: codes N `inputs` to logits N `classes`; `conv1x1` takes maps N `inputs` H W and gives the mean of its maps of logits.

    `mlp` has one layer of `hidden` ReLU units, with dropout before and behind it. Raises `UnknownNameError`, `ArgumentError`.
    """
    for name, value in (("inputs", inputs), ("classes", classes), ("hidden", hidden)):
        if value < 1:
            raise ArgumentError(f"{name}: got {value}, expected 1 or more")
    if not 0 <= dropout < 1:
        raise ArgumentError(f"dropout: got {dropout}, expected a share from 0 up to 1")
    if kind == "linear":
        return nn.Linear(inputs, classes)
    if kind == "mlp":
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes))
    if kind == "conv1x1":
        return nn.Sequential(nn.Conv2d(inputs, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    raise unknown_name("head", str(kind), ("linear", "mlp", "conv1x1"))


def with_head(
    model: nn.Module,
    at: str,
    kind: Kind,
    *,
    classes: int,
    input: Sequence[int] | None = None,  # noqa: A002 - the field's word, and the spec's
    hidden: int = 256,
    dropout: float = 0.2,
) -> nn.Sequential:
    """Return a network that is `model` (copied) cut after the layer `at`, and a fresh head on it; `trunk` and `head` are its parts.

    Maps are averaged for `linear` and `mlp`, and read place by place by `conv1x1`. `input` is the shape C H W of one picture, needed for a network
    that `zoo.build` did not make. Freeze the trunk by `freeze(network, "trunk")`, or by a recipe's `freeze="trunk"`. Raises `UnknownNameError` for a
    layer or head, `ArgumentError` where the head does not fit what the layer gives.
    """
    from striate.surgery import cut
    from striate.zoo import spec_of

    spec = spec_of(model)
    shape = tuple(input) if input is not None else None if spec is None else spec.input
    if shape is None:
        raise ArgumentError("input: this network was not built by zoo.build, so give the shape of one picture, such as input=(3, 224, 224)")
    trunk = cut(model, at)
    weight = next(model.parameters())
    training = trunk.training
    with torch.no_grad():
        found = trunk.eval()(torch.zeros(1, *shape, dtype=weight.dtype, device=weight.device))
    trunk.train(training)
    if not isinstance(found, Tensor) or found.dim() not in (2, 4) or (kind == "conv1x1" and found.dim() != 4):
        given = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ArgumentError(f"at: {at} gives {given}; {kind} reads {'maps N C H W' if kind == 'conv1x1' else 'codes N D or maps N C H W'}")
    parts: dict[str, nn.Module] = {"trunk": trunk}
    if found.dim() == 4 and kind != "conv1x1":
        parts |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    parts["head"] = head(kind, found.shape[1], classes, hidden=hidden, dropout=dropout).to(weight.device)
    return nn.Sequential(OrderedDict(parts))


def as_linear(fitted: Fitted) -> nn.Linear:
    """Return a fitted classifier (logistic regression or SVM) as a linear layer over raw codes; its temperature is in the weights."""
    classes, inputs = fitted.weight.shape
    made = nn.Linear(inputs, classes)
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(fitted.weight))
        made.bias.copy_(torch.from_numpy(fitted.bias))
    return made


def as_conv(layer: nn.Linear) -> nn.Conv2d:
    """Return a linear layer as a 1x1 convolution of the same weights: over maps it says at every place what the layer says of their mean."""
    made = nn.Conv2d(layer.in_features, layer.out_features, 1, bias=layer.bias is not None)
    with torch.no_grad():
        made.weight.copy_(layer.weight[:, :, None, None])
        if made.bias is not None:
            made.bias.copy_(layer.bias)
    return made


def set_head(layer: nn.Module, fitted: Fitted) -> bool:
    """Write a fitted classifier into a network's own head (linear or 1x1 convolution) where the sizes fit; returns whether they did."""
    weight: Tensor = torch.from_numpy(fitted.weight)
    target = getattr(layer, "weight", None)
    bias = getattr(layer, "bias", None)
    if not isinstance(layer, (nn.Linear, nn.Conv2d)) or target is None or bias is None or target.numel() != weight.numel():
        return False
    if tuple(target.shape[:2]) != tuple(weight.shape):
        return False
    with torch.no_grad():
        target.copy_(weight.view_as(target))
        bias.copy_(torch.from_numpy(fitted.bias))
    return True
