"""What a checkpoint holds and how it comes back: one file, written in one step, enough to go on to the bit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from striate.core.contracts import ModelSpec
from striate.core.errors import StorageError
from striate.core.tensors import load_tensors, save_tensors
from striate.training.averaging import Average
from striate.training.groups import Norm
from striate.training.optimisers import Optimiser
from striate.training.schedules import Plateau

LAST, BEST, FINAL = "last.safetensors", "best.safetensors", "weights.safetensors"
STATISTICS = ("running_mean", "running_var")


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


def save_final(folder: Path, model: nn.Module) -> None:
    """Write `weights.safetensors`: the network, and which architecture it is, so that the weights are not taken for another's."""
    spec = getattr(model, "spec", None)
    save_tensors(folder / FINAL, model.state_dict(), {"model": spec.to_json()} if isinstance(spec, ModelSpec) else None)


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
    own_memory(model)
    model.load_state_dict(values)


def own_memory(model: nn.Module) -> None:
    """Give every buffer that shows one value in many places (`expand`) a place for each: nothing can be copied into it otherwise."""
    for module in model.modules():
        for name, buffer in module._buffers.items():  # noqa: SLF001 - torch gives no other way to replace one and leave it as persistent as it was
            if buffer is not None and any(step == 0 and length > 1 for step, length in zip(buffer.stride(), buffer.shape, strict=True)):
                module._buffers[name] = buffer.contiguous()  # noqa: SLF001


def unfinite(model: nn.Module) -> frozenset[str]:
    """Return the names of what holds infinity or NaN before training and is the user's own: masks, bounds, weights that do not learn."""
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    return frozenset(name for name, value in _floats(model) if name not in learning and not bool(torch.isfinite(value).all()))


def broken(model: nn.Module, given: frozenset[str] = frozenset()) -> str | None:
    """Return the name of the first weight or statistic that training has spoilt, None where there is none.

    Weights and batch-norm statistics have to be finite; any other buffer may hold infinity (a causal mask does), but not NaN. `given`: names that
    held no numbers before training (see `unfinite`).
    """
    finite = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    finite |= {f"{path}.{name}".lstrip(".") for path, module in model.named_modules() for name in STATISTICS if isinstance(module, Norm)}
    for name, value in _floats(model):
        bad = ~torch.isfinite(value) if name in finite else torch.isnan(value)
        if name not in given and bool(bad.any()):
            return name
    return None


def _floats(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [(name, value) for name, value in model.state_dict().items() if isinstance(value, Tensor) and value.is_floating_point()]
