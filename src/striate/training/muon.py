"""Muon for convolution filters: torch's own Muon takes matrices only, so each filter bank is handed to it flattened."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


class FilterMuon(torch.optim.Optimizer):
    """Muon (Jordan 2024) on filters K C F F, seen as K rows of C·F·F, kept at the norm √K.

    The update is the momentum made orthogonal by Newton-Schulz (`torch.optim.Muon` does that); before it, each bank is scaled back to norm √K,
    so that the rate alone decides how far the filters turn. Contiguous copies carry the values to and fro: a reshaped channels_last filter would
    be a silent copy and the step lost.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, momentum: float, iterations: int = 5) -> None:
        super().__init__(list(parameters), {"lr": lr})
        self._flat = [nn.Parameter(p.detach().flatten(1).contiguous(), requires_grad=True) for group in self.param_groups for p in group["params"]]
        self._inner = torch.optim.Muon(self._flat, lr=lr, weight_decay=0.0, momentum=momentum, nesterov=momentum > 0, ns_steps=iterations)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step; filters without a gradient stay as they are."""
        if closure is not None:
            closure()
        filters = [p for group in self.param_groups for p in group["params"]]
        for source, flat in zip(filters, self._flat, strict=True):
            if source.grad is None:
                flat.grad = None
                continue
            flat.copy_(source.flatten(1))
            flat.mul_(math.sqrt(len(flat)) / flat.norm())
            flat.grad = source.grad.flatten(1).contiguous()
        self._inner.param_groups[0]["lr"] = self.param_groups[0]["lr"]
        self._inner.step()  # type: ignore[no-untyped-call]
        for source, flat in zip(filters, self._flat, strict=True):
            if flat.grad is not None:
                source.copy_(flat.view(source.shape))
                flat.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return the inner optimiser's state under this one's groups."""
        return {"state": self._inner.state_dict()["state"], "param_groups": super().state_dict()["param_groups"]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take `state_dict`'s output back."""
        self._inner.load_state_dict({"state": state_dict["state"], "param_groups": self._inner.state_dict()["param_groups"]})
