"""Data through the layers that are trained already: the next layer's input, computed once and kept in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from striate.autoencode.mirror import Stage
from striate.data import Dataset, Table
from striate.data.stores import Fixed, array_fingerprint
from striate.pixels import Preprocess

Parts = Mapping[str, Tensor]


def parts_of(data: Any) -> dict[str, Tensor]:
    """Return every part's inputs as the network gets them, N C H W float32, plain: in order, without augmentation."""
    return {name: torch.cat([batch.x.clone() for batch in data.split(name).batches(1000, epoch=0, seed=0)]).contiguous() for name in data.splits}


@torch.no_grad()
def through(box: nn.Module, x: Tensor, batch: int = 1000) -> Tensor:
    """Return `box(x)` in evaluation mode, float32, in parts; the box's mode is left as it was."""
    modes = {module: module.training for module in box.modules()}
    box.eval()
    try:
        return torch.cat([box(part).float() for part in torch.split(x, batch)])
    finally:
        for module, mode in modes.items():
            module.training = mode


def as_data(parts: Parts, name: str) -> Dataset:
    """Return codes N C H W or N K, by part, as a data set whose batches are the codes themselves, K numbers as 1 x 1 x K."""
    tables = {}
    for part, values in parts.items():
        array = np.ascontiguousarray(values.reshape(len(values), 1, 1, -1) if values.dim() == 2 else values, dtype=np.float32)
        tables[part] = Table(Fixed(array, array_fingerprint([array])))
    channels, height, width = tables["train"].store.shape  # type: ignore[union-attr]
    return Dataset(name=name, classes=(), tables=tables, given=Preprocess(size=(height, width), channels=channels))


def as_pictures(stage: Stage) -> Stage:
    """Return a stage that takes and gives codes N 1 1 K where it takes N K: the form in which data hold them. The boxes are shared."""
    if len(stage.input) != 1:
        return stage
    row, back = nn.Flatten(), nn.Unflatten(1, (1, 1, stage.input[0]))
    return Stage({"row": row, **stage.encoder}, {**stage.decoder, "row": back}, (1, 1, stage.input[0]), stage.output)


def chain(boxes: Mapping[str, nn.Module]) -> nn.Sequential:
    """Return boxes as one module, sharing them."""
    return nn.Sequential(*boxes.values())
