"""Two searches before training: the learning rate by a range test, the batch size by speed and memory."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from striate.core.contracts import Data, Recipe
from striate.core.errors import ArgumentError, MemoryLimitError
from striate.core.runtime import Precision, Settings, derived_seed, random_state_kept
from striate.core.runtime import settings as resolve
from striate.training import recipes, tasks
from striate.training.arguments import a_device, a_name_or_network
from striate.training.description import name_of
from striate.training.forward import forward, placed
from striate.training.networks import network_for
from striate.training.optimisers import Optimiser
from striate.training.outputs import explained
from striate.training.trouble import out_of_memory


@dataclass(frozen=True)
class RateSearch:
    """The outcome of a range test: rates tried, smoothed losses, and the rate to use."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float

    def __str__(self) -> str:
        tried = f"{len(self.rates)} steps from {self.rates[0]:.1g} to {self.rates[-1]:.1g}"
        return f"learning rate {self.suggestion:.2g} (the loss fell fastest there; {tried})"


@dataclass(frozen=True)
class BatchSearch:
    """The outcome of a batch search: samples a second for each size that ran, the first size that did not fit, and the size to use."""

    speeds: dict[int, float]
    too_large: int | None
    suggestion: int

    def __str__(self) -> str:
        return f"batch {self.suggestion}: " + ", ".join(f"{size}: {speed:,.0f}/s" for size, speed in self.speeds.items())


def find_rate(
    model: nn.Module | str,
    data: Data | str | Path,
    *,
    recipe: Recipe | str | None = None,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "auto",
) -> RateSearch:
    """Train a copy of `model` for `steps` steps while the rate grows from `low` to `high`, and suggest a rate (Smith 2017).

    The suggestion is where the smoothed loss falls fastest per decade. The model itself is not touched. Raises `ArgumentError`.
    """
    if not 0 < low < high:
        raise ArgumentError(f"low, high: got {low!r}, {high!r}, expected 0 < low < high")
    network, opened, chosen, use, task = _ready(model, data, recipe, seed, device, precision)
    rates: list[float] = []
    losses: list[float] = []
    smooth = 0.0
    with random_state_kept():
        optimiser = Optimiser(network, chosen.edited(lr=1.0) if chosen.optimiser != "muon" else chosen)
        for step, batch in zip(range(steps), _endless(opened, chosen.batch, seed), strict=False):
            rate = low * (high / low) ** (step / max(1, steps - 1))
            optimiser.set_rate(rate if chosen.optimiser != "muon" else rate / chosen.lr)
            torch.manual_seed(derived_seed(seed, step))
            loss = _step(network, batch, task, use, optimiser, len(opened.classes))
            smooth = 0.9 * smooth + 0.1 * loss
            value = smooth / (1 - 0.9 ** (step + 1))
            if not math.isfinite(value) or (losses and value > 4 * min(losses)):
                break
            rates.append(rate)
            losses.append(value)
    if len(rates) < 8:
        raise ArgumentError(f"find_rate: the loss left all bounds after {len(rates)} steps; start lower than low={low:g}")
    return RateSearch(tuple(rates), tuple(losses), _steepest(rates, losses))


def find_batch(
    model: nn.Module | str,
    data: Data | str | Path,
    *,
    recipe: Recipe | str | None = None,
    largest: int = 4096,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "auto",
) -> BatchSearch:
    """Time training steps at doubling batch sizes and suggest the smallest that reaches 95 % of the best speed.

    Stops at `largest`, at the size of the training split, or where memory ends. The model itself is not touched.
    """
    network, opened, chosen, use, task = _ready(model, data, recipe, seed, device, precision)
    length = opened.split("train").length or largest
    speeds: dict[int, float] = {}
    too_large = None
    size = min(8, length)
    with random_state_kept():
        optimiser = Optimiser(network, chosen)
        optimiser.set_rate(0.0)
        while size <= min(largest, length):
            try:
                with out_of_memory(size, use.device):
                    speeds[size] = _speed(network, opened, size, seed, task, use, optimiser)
            except MemoryLimitError:
                too_large = size
                break
            size *= 2
    if not speeds:
        raise MemoryLimitError(f"not even a batch of {size} fits on {use.device}; use smaller pictures or a smaller network")
    best = max(speeds.values())
    return BatchSearch(speeds, too_large, next(size for size, speed in speeds.items() if speed >= 0.95 * best))


def _ready(
    model: nn.Module | str, data: Any, recipe: Any, seed: int, device: str, precision: Precision
) -> tuple[nn.Module, Any, Recipe, Settings, Any]:
    from striate.data import load

    opened: Any = load(data)
    use = resolve(a_device(device), precision)
    model = a_name_or_network(model)
    name = model if isinstance(model, str) else name_of(model)
    known = recipes.known_as(opened)
    chosen = recipes.default(name, known, samples=recipes.samples_of(opened)) if recipe is None else recipes.get(recipe)
    network = network_for(model, opened, seed)
    try:
        network = copy.deepcopy(network) if network is model else network
    except (TypeError, RuntimeError, AttributeError, NotImplementedError, copy.Error) as error:
        raise ArgumentError(f"model: the search trains a copy, and {type(model).__name__} cannot be copied by copy.deepcopy ({error})") from error
    network, use = placed(network, use, opened.shape)
    network.train()
    return network, opened.prepared(augment=chosen.augment, device=use.device), chosen, use, tasks.make("classify", opened, chosen)


def _endless(data: Any, size: int, seed: int) -> Any:
    epoch = 0
    while True:
        yield from data.split("train", training=True).batches(size, epoch=epoch, seed=seed)
        epoch += 1


def _step(network: nn.Module, batch: Any, task: Any, use: Settings, optimiser: Optimiser, classes: int) -> float:
    with explained(network, batch.x, first=True):
        output = forward(network, batch.x, use)
    task.check(output, classes)
    loss = task.loss(output, batch)
    loss.backward()
    optimiser.step()
    return float(loss.detach())


def _speed(network: nn.Module, data: Any, size: int, seed: int, task: Any, use: Settings, optimiser: Optimiser) -> float:
    """Samples a second: the best of a few steps after one to warm up, for about half a second."""
    batches = _endless(data, size, seed)
    _step(network, next(batches), task, use, optimiser, len(data.classes))
    best, began = 0.0, time.perf_counter()
    while time.perf_counter() - began < 0.5:
        clock = time.perf_counter()
        batch = next(batches)
        _step(network, batch, task, use, optimiser, len(data.classes))
        best = max(best, len(batch) / (time.perf_counter() - clock))
    return best


def _steepest(rates: list[float], losses: list[float]) -> float:
    window = 3
    drops = [losses[i - window] - losses[i + window] for i in range(window, len(losses) - window)]
    return rates[window + max(range(len(drops)), key=drops.__getitem__)]
