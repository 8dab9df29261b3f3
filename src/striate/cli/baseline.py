"""`striate baseline`: what a net has to beat on a data set, in one table."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from striate.cli.registry import command

if TYPE_CHECKING:
    from striate.classical.tabulating import Watch


@command(
    "baseline",
    help="Measure the simple baselines a net has to beat, in one table.",
    section="Start",
    options={
        "data": "A data set's name, a folder, or a file.",
        "which": "quick, all, or names joined by commas (see --list).",
        "limit": "At most so many pictures of each part, a stratified draw.",
        "size": "Bring the pictures to this many pixels a side; by default up to 64.",
        "seed": "Decides draws, held-out parts and first weights.",
        "data_option": "An option of the data set, KEY=VALUE; may be repeated.",
        "save": "Also write the table as JSON to this file.",
        "list_": "List the baselines there are instead.",
        "json": "Print JSON instead of a table.",
    },
    metavars={"which": "NAMES", "save": "FILE", "data_option": "KEY=VALUE"},
    complete={"data": "data", "save": "files"},
    examples=("striate baseline digits", "striate baseline photos/ --which all", "striate baseline cifar10 --which hog-svm,linear-softmax --json"),
    torch=True,
)
def baseline(
    data: str = "digits",
    *,
    which: str = "quick",
    limit: int | None = None,
    size: int | None = None,
    seed: int = 0,
    data_option: tuple[str, ...] = (),
    save: Path | None = None,
    list_: bool = False,
    json: bool = False,
) -> None:
    """Check the words first (fast), then measure with a progress bar."""
    from striate.cli.choose import chosen_data
    from striate.cli.output import aside, print_json, say, shown_path, table

    if list_:
        from striate.classical.registry import baselines

        rows = [[entry.name, entry.help, "yes" if entry.facts["quick"] else ""] for entry in baselines]
        if json:
            print_json([{"name": entry.name, "help": entry.help, **entry.facts} for entry in baselines])
        else:
            table(["baseline", "what it is", "quick"], rows)
        return
    from striate.classical.tabulating import a_seed, chosen
    from striate.classical.tabulating import table as measure

    chosen(which)
    a_seed(seed)
    source = chosen_data(data, data_option)
    with _bar() as watch:
        found = measure(source.open(), seed=seed, which=which, limit=limit, size=size, progress=watch)
    if json:
        print_json(found.to_json())
    else:
        from striate.classical.telling import HEADS, cells, headline, remarks

        say(headline(found), style="bold")
        say()
        table(HEADS, [cells(row) for row in found.rows])
        say()
        for remark in remarks(found):
            say(remark, style="dim")
    if save is not None:  # last, so that a file that cannot be written costs no table
        from striate.core.storage import write_json

        write_json(save, found.to_json())
        if not json:
            aside(f"table  {shown_path(save)}")


@contextmanager
def _bar() -> Iterator[Watch]:
    """One line that says which baseline is at work, how many are done and since when; a plain line each in a pipe."""
    from striate.cli.output import ACCENT, aside, console

    out = console(sys.stderr)
    if not sys.stderr.isatty() or out.is_dumb_terminal:
        yield lambda name, place, count: aside(f"{place + 1}/{count}  {name}")
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", style="bold"), BarColumn(complete_style=ACCENT), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, get_time=time.perf_counter) as progress:
        task = progress.add_task("opening the data", total=None)
        yield lambda name, place, count: progress.update(task, description=name, completed=place, total=count)
