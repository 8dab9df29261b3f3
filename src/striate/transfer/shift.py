"""How far data lie from what a network was pretrained on: batch norms remember the source's statistics, so the source itself is not needed."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import nn

from striate.core.runtime import Precision, settings
from striate.probe import tapped
from striate.surgery.following import deep_copy, unwrapped
from striate.training.forward import forward, placed
from striate.transfer.depths import called_once

PICTURES = 64


def domain_shift(model: nn.Module, data: Any, *, device: str = "auto", precision: Precision = "auto") -> float | None:
    """Return how far the mean activations lie from the source's, in the source's deviations: the root mean square over the deepest batch norm's maps.

    Seen from up to 64 training pictures spread over the split. 0 is the same mean; None for a network without batch norm, or with none that is
    called once before its head.
    """
    model = unwrapped(model)
    norms = {
        path: m
        for path, m in model.named_modules()
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.running_mean is not None  # noqa: SLF001
    }
    called = called_once(model, data.shape) if norms else []
    deepest = next((path for path in reversed(list(norms) if called is None else called) if path in norms), None)
    if deepest is None:
        return None
    norm = norms[deepest]
    use = settings(device, precision)
    table = data.training_table
    rows = np.unique(np.linspace(0, len(table) - 1, min(PICTURES, len(table))).astype(np.int64))
    part = dataclasses.replace(data, tables={"train": table.take(rows)}, given=data.preprocess).prepared(device=use.device).split("train")
    total, count = torch.zeros(0), 0
    network, use = placed(deep_copy(model), use, data.shape)
    with tapped(network, [deepest]) as taps, torch.no_grad():
        taps.model.eval()
        for samples in part.batches(32, epoch=0, seed=0):
            forward(taps.model, samples.x, use)
            maps = taps[deepest].float()
            means = maps.flatten(2).mean(2).sum(0).cpu() if maps.dim() > 2 else maps.sum(0).cpu()
            total = means if not count else total + means
            count += len(samples)
    scale = norm.weight.detach().float().cpu() if norm.weight is not None else torch.ones_like(total)
    offset = norm.bias.detach().float().cpu() if norm.bias is not None else torch.zeros_like(total)
    kept = scale.abs() > 1e-3
    normalised = ((total / count - offset) / scale)[kept]
    return float(normalised.square().mean().sqrt())
