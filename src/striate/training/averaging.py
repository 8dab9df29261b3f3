"""Averages of weights along training: EMA, lookahead, tail. Buffers (batch-norm statistics) are averaged with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError

Kind = Literal["none", "ema", "lookahead", "tail"]
LOOKAHEAD_EVERY = 5
EXTRA = "_extra_state"
"""What torch calls the state that a module keeps beside its tensors."""


class Average:
    """A second set of weights that follows the first.

    `ema`        after each step: average ← decay · average + (1 − decay) · weights, the decay growing from 0 as (1 + n) / (10 + n)
    `lookahead`  every 5 steps: average ← decay^5 · average + (1 − decay^5) · weights, and the weights jump to it (Zhang et al. 2019)
    `tail`       the plain mean over the last (1 − decay) share of all steps (Polyak); the weights themselves until then
    """

    def __init__(self, model: nn.Module, kind: Kind, decay: float, steps: int) -> None:
        self.kind, self.decay, self.steps = kind, decay, steps
        self._places = _places(model) if kind != "none" else {}
        self.values: dict[str, Tensor] = {name: now().detach().clone() for name, now in self._places.items()}

    @torch.no_grad()
    def saw(self, step: int) -> None:
        """Follow after global step `step` (the first is 1)."""
        if self.kind == "ema":
            self._blend(1 - min(self.decay, (1 + step) / (10 + step)))
        elif self.kind == "lookahead" and (step % LOOKAHEAD_EVERY == 0 or step == self.steps):
            self._blend(1 - self.decay**LOOKAHEAD_EVERY)
            self._wear(list(self.values.values()))
        elif self.kind == "tail":
            self._blend(1 / max(1, step - int(self.decay * self.steps)))

    def _blend(self, weight: float) -> None:
        averages = list(self.values.values())
        torch._foreach_lerp_(averages, [live.to(average.dtype) for live, average in zip(self._live(), averages, strict=True)], weight)

    def _live(self) -> list[Tensor]:
        """Return the values as they are now, in the order of the names: a network may bind a new tensor to a buffer's name at any step."""
        found = [now().detach() for now in self._places.values()]
        for (path, average), live in zip(self.values.items(), found, strict=True):
            if average.shape != live.shape:
                raise ArgumentError(
                    f"model: its buffer {path} was {tuple(average.shape)} and is {tuple(live.shape)} now; what changes its shape has no average. "
                    f"Keep it out of the state (register_buffer(..., persistent=False)), or set average='none'"
                )
        return found

    @contextmanager
    def worn(self, model: nn.Module) -> Iterator[nn.Module]:
        """Give `model` the averaged values, and its own back at the end, to the bit: so a network that Python cannot copy is judged by them too."""
        kept = [live.clone() for live in self._live()]
        try:
            self._wear(list(self.values.values()))
            yield model
        finally:
            self._wear(kept)

    @torch.no_grad()
    def _wear(self, values: list[Tensor]) -> None:
        for live, value in zip(self._live(), values, strict=True):
            live.copy_(value)

    def state_dict(self, model: nn.Module) -> dict[str, Tensor]:
        """Return a whole state dict with the averaged values where there are any, the live ones elsewhere."""
        return {name: self.values.get(name, value) for name, value in model.state_dict().items()}

    def load(self, values: dict[str, Tensor]) -> None:
        """Take saved averages back, in place."""
        for name, value in self.values.items():
            value.copy_(values[name])


def _places(model: nn.Module) -> dict[str, Callable[[], Tensor]]:
    """Return for each weight and buffer what gives it as it is now; what holds infinity (a causal mask) stays live, without an average."""
    found: dict[str, Callable[[], Tensor]] = {}
    modules = dict(model.named_modules(remove_duplicate=False))
    for path, value in model.state_dict(keep_vars=True).items():
        parent, _, name = path.rpartition(".")
        if isinstance(value, Tensor) and value.is_floating_point() and name != EXTRA and bool(torch.isfinite(value).all()):
            found[path] = partial(getattr, modules[parent], name) if hasattr(modules.get(parent), name) else value.detach
    return found
