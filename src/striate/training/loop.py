"""The loop: reads top to bottom, serves any task, and can be stopped and resumed at any step without changing a bit."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from striate.core.contracts import Batch, Data, Progress, Recipe, Task
from striate.core.errors import ArgumentError, Interrupted
from striate.core.runtime import Settings, seed_everything
from striate.core.tensors import save_tensors
from striate.training import checkpoint
from striate.training.averaging import Average
from striate.training.checkpoint import BEST, Position
from striate.training.evaluation import run_over
from striate.training.forward import forward
from striate.training.groups import Freezing
from striate.training.networks import seed_others
from striate.training.optimisers import Optimiser
from striate.training.outputs import explained
from striate.training.run import Run
from striate.training.schedules import Plateau, rate_share
from striate.training.trouble import Interruption, check_loss, explain_divergence, explain_figure, out_of_memory

STEP_SEED = 1
"""Keeps the random numbers of steps (dropout, drop-path) apart from those of shuffling and augmentation."""


@dataclass
class Training:
    """Everything one training needs, resolved: the loop asks nobody else."""

    run: Run
    model: nn.Module
    data: Data
    task: Task
    recipe: Recipe
    seed: int
    use: Settings
    progress: Progress
    save_seconds: float = 30.0
    compiled: Callable[..., Any] | None = None
    """What is called in the training step instead of the model, where compiling pays."""

    def __post_init__(self) -> None:
        self.split = self.data.split("train", training=True)
        if not self.split.length:
            raise ArgumentError("data: the train split is empty or a stream of unknown length; training needs to know how long an epoch is")
        self.steps_an_epoch = -(-self.split.length // self.recipe.batch)
        self.steps = max(1, round(self.recipe.epochs * self.steps_an_epoch))
        checkpoint.own_memory(self.model)
        self.freezing = Freezing(self.model, self.recipe)
        self.freezing.hold()
        self.given = checkpoint.unfinite(self.model)
        try:
            self.optimiser = Optimiser(self.model, self.recipe)
            self.average = Average(self.model, self.recipe.average, self.recipe.average_decay, self.steps)
        except BaseException:
            self.freezing.release()
            raise
        self.plateau = Plateau(self.recipe.patience, self.recipe.divide)
        self.position = Position()
        self.has_validation = "val" in self.data.splits
        self.sums: dict[str, Tensor] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of what was frozen, whatever happened."""
        self.freezing.release()


def fit(t: Training) -> None:
    """Train from `t.position` to the end, saving on the way.

    Raises `Interrupted` after Ctrl-C or a termination signal (everything is saved), `DivergenceError` when the loss stops being a number,
    `MemoryLimitError` when the device is full.
    """
    where, model, first = t.position, t.compiled or t.model, t.position.step
    t.progress.started(_title(t), epochs=t.recipe.epochs, steps=t.steps, start=where.step)
    saved_at = began = time.perf_counter()
    wall_before = where.wall
    with Interruption() as interruption, out_of_memory(t.recipe.batch, t.use.device):
        while where.step < t.steps and not where.ended:
            epoch, start = divmod(where.step, t.steps_an_epoch)
            t.model.train()
            t.freezing.at(where.step / t.steps, mode_set=True)
            clock = time.perf_counter()
            for batch in t.split.batches(t.recipe.batch, epoch=epoch, seed=t.seed, start=start):
                share = where.step / t.steps
                t.freezing.at(share)
                t.optimiser.set_rate(rate_share(t.recipe, share) * t.plateau.factor)
                seed_everything(t.use.device, t.seed, STEP_SEED, where.step)
                seed_others(t.seed, STEP_SEED, where.step)

                with explained(t.model, batch.x, first=where.step == first):
                    output = forward(model, batch.x, t.use, network=t.model)
                loss = _checked_loss(t, output, batch) if where.step == first else t.task.loss(output, batch)
                loss.backward()  # type: ignore[no-untyped-call]
                if not check_loss(loss, where, last=(where.step + 1) % t.steps_an_epoch == 0 or where.step + 1 >= t.steps):
                    raise explain_divergence(t.model, batch, loss, where, t.optimiser.rate, t.run.folder, t.steps_an_epoch, t.given)
                if t.recipe.clip is not None:
                    nn.utils.clip_grad_norm_(t.model.parameters(), t.recipe.clip)
                t.optimiser.step()
                where.step += 1
                t.average.saw(where.step)

                _count(t, t.task.metrics(output, batch), len(batch))
                t.progress.stepped(where.step, samples=len(batch), loss=loss.detach())
                due = time.perf_counter() - saved_at > t.save_seconds
                if due or interruption.asked or where.step >= t.steps:
                    _tick(t, clock, began, wall_before)
                    clock = time.perf_counter()
                    if where.step % t.steps_an_epoch and where.step < t.steps:
                        _save(t, stopping=interruption.asked)
                        saved_at = time.perf_counter()
                        clock = saved_at
                        if interruption.asked:
                            raise Interrupted(_stopped(t))
                if where.step >= t.steps:
                    break

            _tick(t, clock, began, wall_before)
            where.ended = _end_epoch(t, epoch)
            _save(t, stopping=interruption.asked)
            saved_at = time.perf_counter()
            if interruption.asked and where.step < t.steps and not where.ended:
                raise Interrupted(_stopped(t))


def _checked_loss(t: Training, output: Any, batch: Batch) -> Tensor:
    """Return the first step's loss; raises `ArgumentError` where the network is not made for this data, before anything of it has changed."""
    if hasattr(t.task, "check"):
        t.task.check(output, len(t.data.classes))
    loss = t.task.loss(output, batch)
    if not loss.requires_grad:
        raise ArgumentError(
            f"model: the output of {type(t.model).__name__} hangs on no weight that learns, so there is nothing to follow; "
            f"look for detach(), .data, no_grad or a layer without a gradient in its forward"
        )
    return loss


def _count(t: Training, figures: dict[str, Tensor], count: int) -> None:
    """Add the step's figures to the epoch's sums, where they are: nobody waits for an accelerator. The order of adding never changes."""
    t.position.sums["n"] = t.position.sums.get("n", 0) + count
    kind = torch.float32 if t.use.device == "mps" else torch.float64
    for name, value in figures.items():
        if name not in t.sums:
            t.sums[name] = torch.tensor(t.position.sums.get(name, 0.0), dtype=kind, device=value.device)
        t.sums[name] += value.to(kind).sum()


def _tick(t: Training, clock: float, began: float, wall_before: float) -> None:
    """Bring the position up to date: time spent, sums so far."""
    where, now = t.position, time.perf_counter()
    where.sums |= {name: float(value) for name, value in t.sums.items()}
    where.seconds += now - clock
    where.epoch_seconds += now - clock
    where.wall = wall_before + now - began


def _end_epoch(t: Training, epoch: int) -> bool:
    """Write the epoch's row, judge it on the validation part, keep the best; returns whether training ends early."""
    where = t.position
    count = where.sums.pop("n")
    row: dict[str, Any] = {
        "epoch": epoch + 1,
        "step": where.step,
        "seconds": round(where.seconds, 3),
        "rate": round(count / max(where.epoch_seconds, 1e-9), 1),
        "lr": t.optimiser.rate,
    }
    row |= {f"train/{name}": value / count for name, value in where.sums.items()}
    where.sums, t.sums, where.epoch_seconds = {}, {}, 0.0
    check_figures(row, t)
    watched = row[f"train/{t.task.watch}"]
    if t.has_validation:
        with t.average.worn(t.model) as averaged:
            figures = run_over(averaged, t.data.split("val"), t.task, t.use).figures
        row |= {f"val/{name}": value for name, value in figures.items() if name != "n"}
        check_figures(row, t)
        watched = figures[t.task.watch]
        if where.best is None or watched < where.best:
            where.best, where.best_epoch = watched, epoch + 1
            with t.average.worn(t.model) as averaged:
                save_tensors(t.run.folder / BEST, averaged.state_dict())
    if t.recipe.schedule == "plateau" and t.plateau.saw(watched):
        t.progress.note(f"no progress for {t.recipe.patience} epochs: the rate is divided by {t.recipe.divide:g}")
    t.run.add_row(row)
    where.rows += 1
    t.progress.epoch_ended(row)
    patience = t.recipe.early_stop
    if patience is not None and where.step < t.steps and where.best_epoch is not None and epoch + 1 - where.best_epoch >= patience:
        t.progress.note(f"ended early: no progress on the validation part for {patience} epochs; the best was epoch {where.best_epoch}")
        return True
    return False


def check_figures(figures: Mapping[str, Any], t: Training) -> None:
    """Raise `DivergenceError` where a figure is no number: a step after the last look at the loss may have spoilt the weights."""
    for name, value in figures.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise explain_figure(t.model, f"{name} is {value:.4g}", t.position, t.optimiser.rate, t.run.folder, t.steps_an_epoch, t.given)


def check_weights(t: Training) -> None:
    """Raise `DivergenceError` where a weight is no number."""
    if checkpoint.broken(t.model, t.given):
        raise explain_figure(t.model, "a weight is no number", t.position, t.optimiser.rate, t.run.folder, t.steps_an_epoch, t.given)


def _save(t: Training, *, stopping: bool = False) -> None:
    """Save the checkpoint, unless a weight is not a number: then the last good one stays, and where training is `stopping` that is raised."""
    if not checkpoint.broken(t.model, t.given):
        checkpoint.save(t.run.folder, t.model, t.average, t.optimiser, t.plateau, t.position)
    elif stopping:
        check_weights(t)


def _title(t: Training) -> str:
    return f"{t.run.facts['model']['name']} on {t.data.name}"


def _stopped(t: Training) -> str:
    done = t.position.step / t.steps_an_epoch
    where = t.run.folder
    return f"stopped after {done:.2f} of {t.recipe.epochs:g} epochs; everything is saved in {where}. Go on: striate resume {shlex.quote(str(where))}"
