"""What a checkpoint holds and how it comes back: one file, written in one step, enough to go on to the bit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from striate.core.errors import StorageError
from striate.core.tensors import load_tensors, save_tensors
from striate.training.averaging import Average
from striate.training.optimisers import Optimiser
from striate.training.schedules import Plateau

LAST, BEST, FINAL = "last.safetensors", "best.safetensors", "weights.safetensors"


@dataclass
class Position:
    """Where a training stands: everything that changes from step to step besides tensors of model, average and optimiser."""

    step: int = 0
    """Global steps done."""
    seconds: float = 0.0
    """Time spent training, evaluation and saving left out."""
    wall: float = 0.0
    """Time spent in all."""
    sums: dict[str, float] = field(default_factory=dict)
    """Sums of figures over the samples of the epoch so far; `n` counts them."""
    epoch_seconds: float = 0.0
    rows: int = 0
    """Rows of the history that belong to this point."""
    best: float | None = None
    best_epoch: int | None = None
    first_loss: float | None = None
    ended: bool = False
    """Early stopping has spoken: only the last page is left to write."""
    plateau: dict[str, float | None] | None = None


def save(folder: Path, model: nn.Module, average: Average, optimiser: Optimiser, plateau: Plateau, position: Position) -> None:
    """Write `last.safetensors`: model, average, optimiser and position."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.values.items()}
    state, numbers = optimiser.state()
    tensors |= {f"optimiser.{name}": value for name, value in state.items()}
    position.plateau = plateau.state()
    save_tensors(folder / LAST, tensors, {"position": vars(position), "optimiser": numbers})


def restore(folder: Path, model: nn.Module, average: Average, optimiser: Optimiser, plateau: Plateau) -> Position:
    """Load `last.safetensors` into all of them, in place, and return the position; raises `StorageError` when it does not fit."""
    tensors, facts = load_tensors(folder / LAST)
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimiser": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value
    load_weights(model, parts["model"], folder / LAST)
    average.load(parts["average"])
    optimiser.load(parts["optimiser"], facts["optimiser"])
    position = Position(**facts["position"])
    if position.plateau is not None:
        plateau.load(position.plateau)
    return position


def load_weights(model: nn.Module, values: dict[str, Tensor], path: Path) -> None:
    """Copy `values` into `model`; a difference in names or shapes raises `StorageError` that lists it, and nothing is loaded."""
    own = model.state_dict()
    wrong = [f"{name} is missing" for name in own if name not in values]
    wrong += [f"{name} is not in the network" for name in values if name not in own]
    wrong += [
        f"{name} is {tuple(values[name].shape)}, the network has {tuple(own[name].shape)}"
        for name in own
        if name in values and values[name].shape != own[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise StorageError(f"{path}: these weights do not fit the network: {'; '.join(wrong[:5])}{more}")
    model.load_state_dict(values)


def all_finite(model: nn.Module) -> bool:
    """Whether every weight and statistic is a finite number."""
    return all(bool(torch.isfinite(value).all()) for value in model.state_dict().values() if value.is_floating_point())
