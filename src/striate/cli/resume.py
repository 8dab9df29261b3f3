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

    folder = run_folder(run)
    kept = folder / "report.html" if not no_report and read_json(folder / "run.json").get("state") == "finished" else None
    from striate.cli.carry_out import watch_and_sum_up
    from striate.training import resume as go_on

    watch_and_sum_up(lambda progress: go_on(folder, data=data, progress=progress), report=not no_report, json=json, quiet=quiet, kept=kept)
