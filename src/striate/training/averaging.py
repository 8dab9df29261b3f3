"""Averages of weights along training: EMA, lookahead, tail. Buffers (batch-norm statistics) are averaged with them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Kind = Literal["none", "ema", "lookahead", "tail"]
LOOKAHEAD_EVERY = 5


class Average:
    """A second set of weights that follows the first.

    `ema`        after each step: average ← decay · average + (1 − decay) · weights, the decay growing from 0 as (1 + n) / (10 + n)
    `lookahead`  every 5 steps: average ← decay^5 · average + (1 − decay^5) · weights, and the weights jump to it (Zhang et al. 2019)
    `tail`       the plain mean over the last (1 − decay) share of all steps (Polyak); the weights themselves until then
    """

    def __init__(self, model: nn.Module, kind: Kind, decay: float, steps: int) -> None:
        self.kind, self.decay, self.steps = kind, decay, steps
        self._live = list(_floats(model).items())
        self.values: dict[str, Tensor] = {name: value.detach().clone() for name, value in self._live} if kind != "none" else {}

    @torch.no_grad()
    def saw(self, step: int) -> None:
        """Follow after global step `step` (the first is 1)."""
        if self.kind == "ema":
            self._blend(1 - min(self.decay, (1 + step) / (10 + step)))
        elif self.kind == "lookahead" and (step % LOOKAHEAD_EVERY == 0 or step == self.steps):
            self._blend(1 - self.decay**LOOKAHEAD_EVERY)
            for name, value in self._live:
                value.copy_(self.values[name])
        elif self.kind == "tail":
            self._blend(1 / max(1, step - int(self.decay * self.steps)))

    def _blend(self, weight: float) -> None:
        torch._foreach_lerp_(list(self.values.values()), [value.detach() for _, value in self._live], weight)

    def state_dict(self, model: nn.Module) -> dict[str, Tensor]:
        """Return a whole state dict with the averaged values where there are any, the live ones elsewhere."""
        return {name: self.values.get(name, value).detach() for name, value in model.state_dict().items()}

    def load(self, values: dict[str, Tensor]) -> None:
        """Take saved averages back, in place."""
        for name, value in self.values.items():
            value.copy_(values[name])


def _floats(model: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in model.state_dict(keep_vars=True).items() if value.is_floating_point()}
