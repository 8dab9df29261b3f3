"""Muon for convolution filters: torch's own Muon takes matrices only, so each filter bank is handed to it flattened."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from typing import Any

import torch
from torch import nn


class FilterMuon(torch.optim.Optimizer):
    """Muon (Jordan 2024) on filters K C F F, seen as K rows of C·F·F, kept at the norm √K.

    The update is the momentum made orthogonal by Newton-Schulz (`torch.optim.Muon` does that); before it, each bank is scaled back to norm √K,
    so that the rate alone decides how far the filters turn. Contiguous copies carry the values to and fro: a reshaped channels_last filter would
    be a silent copy and the step lost, and one of a single channel or of 1 x 1 would be the filter's own memory.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, momentum: float, iterations: int = 5) -> None:
        super().__init__(list(parameters), {"lr": lr})
        filters = [p for group in self.param_groups for p in group["params"]]
        self._flat = {p: nn.Parameter(p.detach().flatten(1).clone(memory_format=torch.contiguous_format), requires_grad=True) for p in filters}
        self._make = partial(torch.optim.Muon, weight_decay=0.0, momentum=momentum, nesterov=momentum > 0, ns_steps=iterations)

    @cached_property
    def _inner(self) -> torch.optim.Muon:
        """The Muon of torch over the same groups, made when it is first needed: by then the groups are those of the layers' rates."""
        groups = [{"params": [self._flat[p] for p in group["params"]], "lr": group["lr"]} for group in self.param_groups]
        return self._make(groups)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step; filters without a gradient stay as they are."""
        if closure is not None:
            closure()
        for source, flat in self._flat.items():
            if source.grad is None:
                flat.grad = None
                continue
            flat.copy_(source.flatten(1))
            flat.mul_(math.sqrt(len(flat)) / flat.norm())
            flat.grad = source.grad.flatten(1).clone(memory_format=torch.contiguous_format)
        for inner, group in zip(self._inner.param_groups, self.param_groups, strict=True):
            inner["lr"] = group["lr"]
        self._inner.step()  # type: ignore[no-untyped-call]
        for source, flat in self._flat.items():
            if flat.grad is not None:
                source.copy_(flat.view(source.shape))
                flat.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return the inner optimiser's state under this one's groups."""
        return {"state": self._inner.state_dict()["state"], "param_groups": super().state_dict()["param_groups"]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take `state_dict`'s output back."""
        self._inner.load_state_dict({"state": state_dict["state"], "param_groups": self._inner.state_dict()["param_groups"]})
