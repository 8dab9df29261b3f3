"""Folding batch norms into the layers before them: in evaluation mode a batch norm only scales and shifts, and so can the weights."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from striate.core.errors import ArgumentError
from striate.surgery.following import copied, followed, module_of, note, replace_module

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def fuse_batch_norm(model: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode whose batch norms are folded into the convolution or linear layer right before them.

    The outputs stay the same within rounding; the norms become `nn.Identity`, so paths keep their meaning. A norm that follows anything else stays,
    and `notes` counts both; so does a norm of a kind of its own, unless it is timm's with an activation, which is kept as a box.
    Train the original, not the copy: the statistics are gone. Raises `ArgumentError` for a model that cannot be followed.
    """
    fused = copied(model).eval()
    graph = followed(fused, "find what stands before each batch norm", whole=NORMS)
    calls: dict[str, int] = {}
    for node in graph.nodes:
        if node.op == "call_module":
            calls[str(node.target)] = calls.get(str(node.target), 0) + 1
    done, kept = 0, []
    for node in list(graph.nodes):
        norm = module_of(fused, node)
        if not isinstance(norm, NORMS):
            continue
        before = node.args[0] if node.args else None
        layer = module_of(fused, before)
        if not isinstance(layer, WEIGHTED) or not isinstance(before, fx.Node):
            kept.append(f"{node.target} follows no layer with weights")
        elif len(before.users) > 1 or calls[str(before.target)] > 1 or calls[str(node.target)] > 1:
            kept.append(f"{before.target} is used elsewhere too")
        elif (rest := _rest(norm)) is None:
            kept.append(f"{node.target} is a {type(norm).__name__}, a batch norm of a kind of its own")
        elif norm.running_mean is None or norm.running_var is None:
            kept.append(f"{node.target} keeps no statistics")
        else:
            _fold(layer, norm)
            replace_module(fused, str(node.target), rest)
            done += 1
    if not done and not kept:
        raise ArgumentError("model: there is no batch norm in it to fuse")
    why = f" ({kept[0]}{f', and {len(kept) - 1} more' if len(kept) > 1 else ''})" if kept else ""
    note(fused, f"{done} batch norms folded into the layers before them, {len(kept)} kept{why}")
    return fused


def _rest(norm: nn.Module) -> nn.Module | None:
    """Return what a batch norm does besides: nothing, or (timm's BatchNormAct2d) drop and activate; None where that is not known."""
    if type(norm) in NORMS:
        return nn.Identity()
    drop, act = getattr(norm, "drop", None), getattr(norm, "act", None)
    known = type(norm).__name__ == "BatchNormAct2d" and isinstance(drop, nn.Module) and isinstance(act, nn.Module)
    return nn.Sequential(drop, act) if known and drop is not None and act is not None else None


def _fold(layer: nn.Module, norm: nn.Module) -> None:
    """Write weight·s and (bias - mean)·s + shift with s = scale/√(variance + ε), computed in float64."""

    def wide(value: Tensor | None, otherwise: float) -> Tensor:
        like: Tensor = norm.running_mean  # type: ignore[assignment]
        return torch.full_like(like, otherwise, dtype=torch.float64) if value is None else value.detach().double()

    mean, variance = wide(norm.running_mean, 0), wide(norm.running_var, 1)  # type: ignore[arg-type]
    scale = wide(norm.weight, 1) / (variance + float(norm.eps)).sqrt()  # type: ignore[arg-type]
    weight: Tensor = layer.weight  # type: ignore[assignment]
    bias = (wide(layer.bias, 0) - mean) * scale + wide(norm.bias, 0)  # type: ignore[arg-type]
    dtype = weight.dtype
    folded = weight.detach().double() * scale.view(-1, *[1] * (weight.dim() - 1))
    keep = {"memory_format": torch.channels_last} if weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last) else {}
    layer.weight = nn.Parameter(folded.to(dtype, **keep), requires_grad=weight.requires_grad)
    layer.bias = nn.Parameter(bias.to(dtype), requires_grad=weight.requires_grad)
