"""How pictures lie in memory when a network is run on them: channels last where that is quicker and the network takes it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

HEAVY, A_PIXEL = 1_000_000, 128
"""Filter weights that are not laid out channels last are laid out anew in every pass, forward and backward: above so many, and above so many for
each pixel of the batch, that costs more than the layout saves. ResNet-18 and VGG-11 at 224 x 224: 220 and 180 for a pixel of one picture."""


class Layout:
    """Lays a network's inputs N C H W out as it computes them best; other inputs are left alone. `takes`: whether it takes them channels last."""

    def __init__(self, weights: Iterable[Tensor], *, takes: bool = False) -> None:
        """`weights`: the network's parameters."""
        large = [p for p in weights if p.dim() == 4 and p.shape[-1] * p.shape[-2] > 1]
        self.takes = takes
        self.foreign = sum(p.numel() for p in large if not p.is_contiguous(memory_format=torch.channels_last))
        """Filter weights that are not channels last."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return `x` laid out."""
        if x.dim() != 4:
            return x
        return x.contiguous(memory_format=torch.channels_last if self.takes and self._pays(x) else torch.contiguous_format)

    def _pays(self, x: Tensor) -> bool:
        if x.device.type == "cpu":
            return self.foreign <= max(HEAVY, A_PIXEL * len(x) * x.shape[-2:].numel())
        return x.device.type == "cuda" and not self.foreign
