"""`striate resume`: go on where a run stopped or was killed."""

from __future__ import annotations

from pathlib import Path

from striate.cli.registry import command


@command(
    "resume",
    help="Go on with a run that was stopped or killed, with the same result.",
    section="Start",
    options={
        "run": "The run's folder, or its name under runs/.",
        "data": "Where the data is now, if it has moved since.",
        "no_report": "Write no report.html.",
        "json": "Print the result as JSON on stdout; progress stays on stderr.",
        "quiet": "Print nothing but the path of the report.",
    },
    complete={"run": "runs", "data": "data"},
    metavars={"data": "DATA"},
    examples=("striate resume runs/digits-lenet5-1",),
    torch=True,
)
def resume(run: Path, *, data: str | None = None, no_report: bool = False, json: bool = False, quiet: bool = False) -> None:
    """Find the run first (fast, without torch), then go on."""
    from striate.cli.choose import run_folder
    from striate.core.storage import read_json

    refuse_turns(run)
    folder = run_folder(run)
    begun = read_json(folder / "run.json")
    kept = folder / "report.html" if not no_report and begun.get("state") == "finished" else None
    from striate.cli.carry_out import watch_and_sum_up

    if begun.get("task") == "reconstruct":
        from striate.autoencode import resume as go_on
    else:
        from striate.training import resume as go_on
    watch_and_sum_up(lambda progress: go_on(folder, data=data, progress=progress), report=not no_report, json=json, quiet=quiet, kept=kept)


def refuse_turns(run: Path) -> None:
    """Raise `ArgumentError` for a stopped training that is one of several in turn: the command that began them goes on with all."""
    from striate.autoencode.turns import unfinished
    from striate.cli.choose import RUNS
    from striate.core.errors import ArgumentError

    place = next((place for place in (run, run.parent, RUNS / run) if unfinished(place)), None)
    if place is not None:
        raise ArgumentError(f"{run}: trainings in turn, layer by layer, were stopped in {place}; give the command that began them again")
