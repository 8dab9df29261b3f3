"""`striate evaluate`: what a trained network makes of a part of a data set."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

from striate.cli.registry import command


@command(
    "evaluate",
    help="Measure a run on a split of its own data, or of other data.",
    section="Results",
    options={
        "run": "The run's folder, or its name under runs/.",
        "data": "Data to measure on; by default what the run was trained with.",
        "split": "Which part: train, val, test, or what the data calls it; val where there is no test.",
        "views": "Test-time views to average: the picture; and its mirror image; and both shifted.",
        "batch": "Samples at a time.",
        "device": "auto, cpu, cuda, cuda:1 or mps.",
        "robustness": "Measure also on pictures shifted, turned, scaled, squeezed, drawn thicker or thinner, and noisy.",
        "json": "Print JSON instead of a table.",
    },
    metavars={"device": "NAME", "split": "NAME"},
    complete={"run": "runs", "data": "data"},
    examples=("striate evaluate runs/mnist-lenet5-1", "striate evaluate runs/mnist-lenet5-1 --split val --views six"),
    torch=True,
)
def evaluate(
    run: Path,
    data: str | None = None,
    *,
    split: str = "test",
    views: Literal["one", "mirror", "six"] = "one",
    batch: int = 500,
    device: str = "auto",
    robustness: bool = False,
    json: bool = False,
) -> None:
    """Find run and data first (fast, without torch), then measure."""
    from striate.cli.choose import chosen_data, part_of, refuse_without_classes, run_folder
    from striate.core.errors import ArgumentError
    from striate.core.storage import read_json

    folder = run_folder(run)
    if robustness:
        refuse_without_classes(folder, "--robustness has no errors to count")
    facts = read_json(folder / "run.json")
    spec = data or facts["data"]["spec"]
    if spec is None:
        raise ArgumentError(f"{folder}: its data came as arrays; say what to measure on: striate evaluate {shlex.quote(str(folder))} DATA")
    chosen = chosen_data(spec)

    from striate.cli.carry_out import result_rows
    from striate.cli.output import aside, print_json, say, table
    from striate.training import Run
    from striate.training import evaluate as measure
    from striate.training import robustness as distorted
    from striate.training.description import data_of

    opened = chosen.open() if data is not None else data_of(facts)
    split = part_of(opened, split)
    loaded = Run.load(folder)
    found = measure(loaded, opened, split=split, views=views, batch=batch, device=device)
    harder = distorted(loaded, opened, split=split, device=device) if robustness else None
    if json:
        print_json(
            {"run": str(folder), "data": chosen.spec, "split": split, "views": views, "figures": found.figures}
            | ({"robustness": harder.to_json()} if harder else {})
        )
        return
    say(f"{folder} on {opened.name}, {split}, views {views}", style="bold")
    table(*result_rows({split: found.figures}))
    if loaded.recipe.views != views:
        aside(f"The run's own figures were measured with views {loaded.recipe.views}, as its recipe says (--views {loaded.recipe.views})")
    if harder:
        say()
        say(str(harder))
