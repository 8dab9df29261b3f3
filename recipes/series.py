"""Run one recipe over several seeds and keep the evidence: figures, spread, seconds, machine and versions as JSON.

A recipe's file states its claim and calls `main`. The hyperparameters were chosen on a validation part of the training split (`--validation 0.1`
repeats that); the figures come from fixed-length runs on the whole training split, final weights, the test split read once a seed.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import striate as st
from striate.core.runtime import keep_freed_memory, machine, versions
from striate.core.storage import write_json
from striate.training.session import Quiet

LOGS = Path(__file__).parent / "logs"


class Lines(Quiet):
    """Prints one line an epoch."""

    def epoch_ended(self, row: Any) -> None:
        """Print epoch, seconds, rate and figures."""
        figures = "  ".join(f"{name} {value:.4f}" for name, value in row.items() if "/" in name)
        print(f"    epoch {row['epoch']:>3}  {row['seconds']:7.1f} s  {row['rate']:8.0f}/s  {figures}", flush=True)


def main(
    name: str, claim: str, *, model: str, data: str, recipe: str, seeds: int, options: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """Train `model` on `data` for each seed, print and write `logs/NAME.json`; returns what is written."""
    arguments = argparse.ArgumentParser(description=claim)
    arguments.add_argument("--seeds", type=int, default=seeds)
    arguments.add_argument("--first", type=int, default=0, help="the first seed")
    arguments.add_argument("--validation", type=float, default=0.0, help="hold out this share of the training split and report on it instead")
    arguments.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe, for choosing")
    arguments.add_argument("--keep", type=Path, default=Path("runs") / name, help="where the runs are kept")
    arguments.add_argument("--quiet", action="store_true")
    given = arguments.parse_args()
    keep_freed_memory()
    return series(name, claim, model=model, data=data, recipe=recipe, options=options or {}, changes=changes, given=given)


def series(
    name: str,
    claim: str,
    *,
    model: str,
    data: str,
    recipe: str,
    options: dict[str, Any],
    changes: dict[str, Any],
    given: argparse.Namespace,
) -> dict[str, Any]:
    """Do what `main` says with parsed arguments."""
    from striate.core.contracts import Recipe
    from striate.core.signature import Signature
    from striate.training import recipes

    settings = dict(changes) | Signature.of_dataclass(Recipe).parse(given.set)
    if given.validation:
        settings["validation"] = given.validation
    part = "val" if given.validation else "test"
    rows = []
    opened = st.data.load(data)
    for seed in range(given.first, given.first + given.seeds):
        folder = given.keep / f"seed-{seed}{'-validation' if given.validation else ''}"
        if given.validation or given.set:
            shutil.rmtree(folder, ignore_errors=True)
        run = trained(folder, model, opened, recipe, options, seed, settings, Quiet() if given.quiet else Lines())
        result = run.result
        figures = result["splits"][part]
        rows.append({"seed": seed, "folder": str(folder), "seconds": result["seconds"], "wall": result["wall"], "steps": result["steps"], **figures})
        print(f"{name} seed {seed}: {part} error {figures['error']:.4%} after {result['seconds']:.1f} s of training", flush=True)
    errors = [row["error"] for row in rows]
    summary = {
        "name": name,
        "claim": claim,
        "part": part,
        "mean_error": statistics.fmean(errors),
        "spread": statistics.stdev(errors) if len(errors) > 1 else None,
        "mean_seconds": statistics.fmean(row["seconds"] for row in rows),
        "parameters": result["parameters"],
        "runs": rows,
        "recipe": recipes.get(recipe).edited(**settings).to_json(),
        "model": model,
        "options": options,
        "kept": not given.validation and not given.set,
        "data": {"name": opened.name, "fingerprint": opened.fingerprint},
        "command": " ".join(["python", *(Path(a).name if i == 0 else a for i, a in enumerate(sys.argv))]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "host": platform.machine(),
    }
    print(f"{name}: mean {part} error {summary['mean_error']:.4%} over {len(rows)} seeds, {summary['mean_seconds']:.1f} s of training each")
    if summary["kept"]:
        write_json(LOGS / f"{name}.json", summary)
    return summary


def trained(folder: Path, model: str, data: Any, recipe: str, options: dict[str, Any], seed: int, settings: dict[str, Any], progress: Quiet) -> Any:
    """Train in a folder, or go on with (or open) what is there."""
    if (folder / "run.json").exists():
        return st.resume(folder, progress=progress)
    began = time.perf_counter()
    run = st.train(model, data, recipe=recipe, folder=folder, options=options, seed=seed, settings=settings, progress=progress)
    print(f"    {time.perf_counter() - began:.1f} s from call to figures", flush=True)
    return run
