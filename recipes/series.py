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
from striate.core.runtime import keep_freed_memory
from striate.core.storage import write_json
from striate.training import recipes
from striate.training.session import Quiet

LOGS = Path(__file__).parent / "logs"
COMMAND = " ".join(["python", *(Path(word).name if place == 0 else word for place, word in enumerate(sys.argv))])
"""As it was typed: a recipe's script may take words away before `main` looks."""


class Lines(Quiet):
    """Prints one line an epoch."""

    def epoch_ended(self, row: Any) -> None:
        """Print epoch, seconds, rate and figures."""
        figures = "  ".join(f"{name} {value:.4f}" for name, value in row.items() if "/" in name)
        print(f"    epoch {row['epoch']:>3}  {row['seconds']:7.1f} s  {row['rate']:8.0f}/s  {figures}", flush=True)


def main(
    name: str,
    claim: str,
    *,
    model: str,
    data: str,
    recipe: str,
    seeds: int,
    options: dict[str, Any] | None = None,
    limits: dict[str, tuple[float, float]] | None = None,
) -> dict[str, Any]:
    """Train `model` on `data` for each seed, print and write `logs/NAME.json`; returns what is written.

    `limits`: the claim in numbers, for `mean_error` and `mean_seconds` from least to most; whether each holds is written beside them. Only the whole
    series, on the test part and by the recipe as it stands, is written.
    """
    arguments = argparse.ArgumentParser(description=claim)
    arguments.add_argument("--seeds", type=int, default=seeds)
    arguments.add_argument("--first", type=int, default=0, help="the first seed")
    arguments.add_argument("--validation", type=float, default=0.0, help="hold out this share of the training split and report on it instead")
    arguments.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe, for choosing")
    arguments.add_argument("--keep", type=Path, default=Path("runs") / name, help="where the runs are kept")
    arguments.add_argument("--quiet", action="store_true")
    given = arguments.parse_args()
    keep_freed_memory()
    whole = not given.validation and not given.set and (given.first, given.seeds) == (0, seeds)
    summary = series(name, claim, model=model, data=data, recipe=recipe, options=options or {}, given=given)
    summary["holds"] = {key: least <= summary[key] <= most for key, (least, most) in (limits or {}).items()}
    summary["kept"] = whole
    for key, holds in summary["holds"].items():
        print(f"{name}: {key.replace('_', ' ')} {'holds' if holds else 'MISSES'} what is claimed")
    if whole:
        write_json(LOGS / f"{name}.json", summary)
    return summary


def series(
    name: str,
    claim: str,
    *,
    model: str,
    data: str,
    recipe: str,
    options: dict[str, Any],
    given: argparse.Namespace,
) -> dict[str, Any]:
    """Do what `main` says with parsed arguments."""
    from striate.core.contracts import Recipe
    from striate.core.signature import Signature

    settings = Signature.of_dataclass(Recipe).parse(given.set)
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
        told = {"seconds": result["seconds"], "wall": result["wall"], "steps": result["steps"], "created": run.facts["created"]}
        rows.append({"seed": seed, "folder": str(folder), **told, **figures})
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
        "data": {"name": opened.name, "fingerprint": opened.fingerprint},
        "command": COMMAND,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": run.facts["machine"],
        "versions": run.facts["versions"],
        "host": platform.machine(),
    }
    print(f"{name}: mean {part} error {summary['mean_error']:.4%} over {len(rows)} seeds, {summary['mean_seconds']:.1f} s of training each")
    return summary


def trained(folder: Path, model: str, data: Any, recipe: str, options: dict[str, Any], seed: int, settings: dict[str, Any], progress: Quiet) -> Any:
    """Train in a folder, or go on with (or open) what is there, which must be this very training."""
    if (folder / "run.json").exists():
        facts = st.Run.load(folder).facts
        wanted = {"recipe": recipes.get(recipe).edited(**settings).to_json(), "seed": seed}
        there = {"recipe": facts["recipe"], "seed": facts["seed"]}
        if not settings.get("validation"):
            wanted["fingerprint"], there["fingerprint"] = data.fingerprint, facts["data"]["fingerprint"]
        wanted |= {"model": model, "options": options}
        there |= {"model": facts["model"]["name"], "options": {key: facts["model"]["options"].get(key) for key in options}}
        if wanted != there:
            other = ", ".join(key for key in wanted if wanted[key] != there[key])
            sys.exit(f"{folder} holds another training ({other} differ); move it away, or give --keep another folder")
        return st.resume(folder, progress=progress)
    began = time.perf_counter()
    run = st.train(model, data, recipe=recipe, folder=folder, options=options, seed=seed, settings=settings, progress=progress)
    print(f"    {time.perf_counter() - began:.1f} s from call to figures", flush=True)
    return run
