"""`striate data`: what a data set holds and what is wrong with it, before any training."""

from __future__ import annotations

from pathlib import Path

from striate.cli.registry import command


@command(
    "data",
    help="Check a data set: counts, broken files, copies, leaks, balance.",
    section="Start",
    options={
        "path": "A data set's name, a folder, or a file.",
        "weights": "Also print the class weights that make up for uneven classes.",
        "sheet": "Also write a contact sheet, some pictures of every class, to this file (.png or .svg).",
        "split": "The part the contact sheet shows; the training part unless told.",
        "near": "Look for near duplicates; no is quicker.",
        "json": "Print JSON instead.",
    },
    metavars={"path": "DATA", "sheet": "FILE", "split": "NAME"},
    complete={"path": "data", "sheet": "files"},
    examples=("striate data photos/", "striate data cifar10 --sheet cifar10.png", "striate data photos/ --weights --json"),
)
def data(
    path: str = "digits", *, weights: bool = False, sheet: Path | None = None, split: str | None = None, near: bool = True, json: bool = False
) -> None:
    """Load, check and tell; the exit code is 0 whatever was found."""
    from striate.cli.output import print_json, say, shown_path, table
    from striate.data import load
    from striate.data.checks import check

    loaded = load(path)
    report = check(loaded, near=near)
    if sheet is not None:
        from striate.data.contact import contact_sheet

        contact_sheet(loaded, split, path=sheet)
    if json:
        print_json(report.to_json())
        return
    say(str(report))
    found = report.class_weights
    if weights and found is not None:
        say()
        table(["class", "weight"], [[name, f"{weight:.4f}"] for name, weight in found.items()])
    elif weights:
        say("There are no labels, so there are no class weights.")
    if sheet is not None:
        say()
        say(f"sheet  {shown_path(sheet)}")
