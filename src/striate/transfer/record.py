"""A run's folder for a head fitted in closed form: the same files as a trained network's, so that every other part of striate reads it."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from striate.core.contracts import Recipe
from striate.core.errors import StorageError
from striate.core.runtime import Settings, machine, versions
from striate.core.storage import lock, write_json
from striate.training import Run, figures
from striate.training.checkpoint import save_final
from striate.training.description import data_facts, spec_facts
from striate.training.evaluation import Evaluation
from striate.training.session import new_folder


def begin(folder: str | Path | None, data: str, model: str) -> Path:
    """Return the run's folder, made; raises `StorageError` where a run lies in it."""
    target = new_folder(folder, data, model)
    if (target / "run.json").exists():
        raise StorageError(f"{target} already holds a run; give another folder")
    return target


def write(
    target: Path,
    model: nn.Module,
    name: str,
    data: Any,
    logits: Mapping[str, npt.NDArray[np.float64]],
    *,
    recipe: Recipe,
    seed: int,
    use: Settings,
    began: float,
    python: str,
    command: str | None,
    transfer: Mapping[str, Any],
) -> Run:
    """Write a finished run: `logits` N K by split, computed from the cached codes; the figures follow from them."""
    with ExitStack() as stack:
        stack.enter_context(lock(target / ".lock", wait=0))
        run = Run.create(
            target,
            {
                "name": target.name,
                "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "state": "running",
                "reason": None,
                "model": spec_facts(model, name) | {"given": False},
                "classes": list(data.classes),
                "task": "classify",
                "recipe": recipe.to_json(),
                "preprocess": data.preprocess.to_json(),
                "preprocess_given": True,
                "data": data_facts(data),
                "seed": seed,
                "device": use.device,
                "precision": use.precision,
                "save_seconds": 0.0,
                "command": command,
                "python": python,
                "machine": machine(),
                "versions": versions(),
                "transfer": dict(transfer),
            },
        )
        save_final(target, model)
        found: dict[str, dict[str, float]] = {}
        for split, values in logits.items():
            outcome = evaluation(split, values, data.tables[split].targets)
            found[split] = outcome.figures
            if split != "train":
                outcome.save(target / "predictions" / f"{split}.npz")
        seconds = round(time.perf_counter() - began, 3)
        row: dict[str, Any] = {"epoch": 1, "step": 1, "seconds": seconds}
        row |= {f"{split}/{key}": values[key] for split, values in found.items() for key in ("loss", "error") if split != "test" and key in values}
        run.add_row(row)
        splits = {split: values for split, values in found.items() if split != "train"}
        write_json(
            target / "result.json",
            {
                "seconds": seconds,
                "wall": seconds,
                "steps": 1,
                "parameters": sum(p.numel() for p in model.parameters()),
                "best_epoch": None,
                "splits": splits,
            },
        )
        run.update({"state": "finished"})
    return Run(target, model=model if spec_facts(model, name).get("foreign") else None)


def evaluation(split: str, logits: npt.NDArray[np.float64], targets: npt.NDArray[np.int64] | None) -> Evaluation:
    """Return the figures of logits N K as evaluation gives them."""
    from striate.training.calibration import softmax

    shares = softmax(logits).astype(np.float32)
    known: dict[str, float] = {"n": float(len(shares))}
    if targets is not None:
        known |= {"loss": figures.log_loss(targets, shares), "error": figures.topk_error(targets, shares, 1)}
        if shares.shape[1] > 5:
            known["top5_error"] = figures.topk_error(targets, shares, 5)
    return Evaluation(split, known, shares, targets, np.arange(len(shares)))
