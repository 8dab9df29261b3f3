"""`striate report`: one self-contained page about a run."""

from __future__ import annotations

from pathlib import Path

from striate.cli.registry import command


@command(
    "report",
    help="Write a run's page again: one file with everything about it.",
    section="Results",
    options={
        "run": "The run's folder, or its name under runs/.",
        "out": "Where to write it; by default report.html in the run's folder.",
        "tensorboard": "Write the history as TensorBoard events instead, to RUN/tensorboard.",
    },
    complete={"run": "runs", "out": "files"},
    metavars={"out": "FILE"},
    examples=("striate report runs/digits-lenet5-1",),
    torch=True,
)
def report(run: Path, *, out: Path | None = None, tensorboard: bool = False) -> None:
    """Find the run, write the page (or the events), print its path."""
    from striate.cli.choose import run_folder
    from striate.cli.output import say, shown_path
    from striate.core.errors import StorageError, UnwritableError

    folder = run_folder(run)
    from striate.reports import report as write
    from striate.training import Run, write_tensorboard

    if tensorboard:
        say(shown_path(write_tensorboard(Run.load(folder), out)))
        return
    try:
        say(shown_path(write(Run.load(folder), out)))
    except UnwritableError as error:
        raise error if out is not None else StorageError(f"{error}: --out FILE") from error
