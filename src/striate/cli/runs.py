"""`striate runs`: what was trained, and how two runs compare."""

from __future__ import annotations

from pathlib import Path

from striate.cli.registry import command

SIDE_BY_SIDE = 4
"""Up to so many runs are compared in columns."""


@command(
    "runs list",
    help="List the runs, or set two side by side (runs compare A B).",
    section="Results",
    options={"folder": "Where to look.", "json": "Print JSON instead of a table."},
    metavars={"folder": "FOLDER"},
    examples=("striate runs", "striate runs list --json"),
    default=True,
)
def list_runs(*, folder: str = "runs", json: bool = False) -> None:
    """Read the runs' JSON files; torch is not imported."""
    from striate.cli.output import aside, duration, percent, print_json, say, table
    from striate.reports import runs_in

    found = runs_in(folder)
    if json:
        print_json([run.to_json() for run in found])
        return
    if not found:
        say(f"no runs in {folder} yet; striate train makes one")
        return
    rows = []
    for run in found:
        epochs = "" if run.epochs is None else f"{run.epochs:g}"
        seconds = "" if run.seconds is None else duration(run.seconds)
        rows.append([run.name, run.state, run.model, run.data, epochs, seconds, percent(run.error), run.split])
    table(["run", "state", "model", "data", "epochs", "time", "error", "on"], rows)
    for run in found:
        if run.problem:
            aside(f"{run.folder}: {run.problem}")


@command(
    "runs compare",
    help="Set runs side by side, and say what is more than chance.",
    section="Results",
    options={
        "runs": "Two or more runs: folders, or names under runs/.",
        "html": "Also write a page with curves to this file.",
        "json": "Print JSON instead.",
    },
    metavars={"runs": "RUN", "html": "FILE"},
    complete={"runs": "runs", "html": "files"},
    examples=("striate runs compare mnist-lenet5-1 mnist-lenet5-2 --html compare.html",),
)
def compare_runs(runs: tuple[Path, ...], *, html: Path | None = None, json: bool = False) -> None:
    """Compare by the stored predictions; torch is not imported."""
    from striate.cli.choose import run_folder
    from striate.cli.output import print_json, say, shown_path
    from striate.core.errors import ArgumentError
    from striate.core.storage import write_text
    from striate.reports import compare

    if len(runs) < 2:
        raise ArgumentError(f"striate runs compare needs two or more runs, got {len(runs)}")
    found = compare([run_folder(run) for run in runs])
    if json:
        print_json(found.to_json())
    else:
        _print_comparison(*found.table())
        for line in [*map(str, found.pairs), *found.notes]:
            say(line)
    if html is not None:
        write_text(html, found.html())
        if not json:
            say(f"page  {shown_path(html)}")


def _print_comparison(heads: list[str], lines: list[list[str]]) -> None:
    """A few runs stand side by side, one column each, which fits a terminal; many stand one a line."""
    from striate.cli.output import table

    if len(lines) > SIDE_BY_SIDE:
        table(heads, lines)
    else:
        table(["", *[line[0] for line in lines]], [[head, *cells] for head, *cells in list(zip(heads, *lines, strict=True))[1:]])
