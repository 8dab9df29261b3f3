"""`striate predict`: what a trained network sees in files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from striate.cli.registry import command

if TYPE_CHECKING:
    from striate.use import Prediction

SIDES = ("x", "y", "w", "h")
"""A box: its left and top edge, its width and height, in pixels of the picture."""


@command(
    "predict",
    help="Name what a run sees in files, folders or patterns.",
    section="Results",
    options={
        "run": "The run's folder, or its name under runs/.",
        "files": "Pictures, folders of them, or quoted patterns such as 'scans/*.png'.",
        "top": "How many classes to name for each file.",
        "views": "Test-time views to average: the picture; and its mirror image; and both shifted.",
        "batch": "Pictures at a time.",
        "device": "auto, cpu, cuda, cuda:1 or mps.",
        "json": "Print JSON instead of a table.",
        "csv": "Print CSV instead of a table.",
    },
    metavars={"device": "NAME", "files": "FILES"},
    complete={"run": "runs", "files": "files"},
    examples=("striate predict runs/photos-resnet18-1 holiday/", "striate predict runs/digits-lenet5-1 scan.png --top 3 --json"),
    torch=True,
)
def predict(
    run: Path,
    files: tuple[Path, ...],
    *,
    top: int = 3,
    views: Literal["one", "mirror", "six"] = "one",
    batch: int = 64,
    device: str = "auto",
    json: bool = False,
    csv: bool = False,
) -> None:
    """Find run and files first (fast, without torch), then look at them; files that cannot be read are told last, with exit code 3."""
    from striate.cli.choose import refuse_without_classes, run_folder
    from striate.cli.output import aside, print_json
    from striate.core.errors import ArgumentError, DataError
    from striate.use.files import find

    if json and csv:
        raise ArgumentError("--json and --csv: give one of them")
    if top < 1:
        raise ArgumentError(f"--top: got {top}, expected 1 or more")
    folder = run_folder(run)
    refuse_without_classes(folder, "there is nothing to predict")
    found = find(files)
    if str(found):
        aside(str(found))

    from striate.use import predict as look

    answers = look(folder, found.files, top=top, views=views, batch=batch, device=device)
    if json:
        print_json([_as_json(answer) for answer in answers])
    elif csv:
        _print_csv(answers, top)
    else:
        _print_table(answers)
    notes = [answer.note for answer in answers if answer.note]
    for note in dict.fromkeys(notes):
        aside(f"{notes.count(note)} of {len(answers)} pictures were {note}, the size this network learned on")
    broken = [answer.problem for answer in answers if answer.problem]
    if broken:
        told = "\n  ".join(str(problem) for problem in broken[:10]) + (f"\n  and {len(broken) - 10} more" if len(broken) > 10 else "")
        raise DataError(f"{len(broken)} of {len(answers)} files cannot be read:\n  {told}")


def _as_json(answer: Prediction) -> Mapping[str, object]:
    if answer.problem:
        return {"path": str(answer.path), "problem": answer.problem.reason, "fix": answer.problem.fix}
    classes = [{"name": name, "share": round(share, 6)} for name, share in zip(answer.classes, answer.shares, strict=True)]
    found: dict[str, object] = {"path": str(answer.path), "classes": classes}
    if answer.box is not None:
        found["box"] = {name: round(value, 3) for name, value in zip(SIDES, answer.box, strict=True)}
    if answer.points:
        found["points"] = [[round(x, 3), round(y, 3)] for x, y in answer.points]
    return found | ({"note": answer.note} if answer.note else {})


def _print_csv(answers: list[Prediction], top: int) -> None:
    import csv
    import sys

    count = max((len(answer.classes) for answer in answers), default=top)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    boxes = SIDES if any(answer.box is not None for answer in answers) else ()
    points = [f"point{place}_{side}" for place in range(1, max((len(answer.points) for answer in answers), default=0) + 1) for side in "xy"]
    writer.writerow(["path", "problem", *[f"{kind}{place}" for place in range(1, count + 1) for kind in ("class", "share")], *boxes, *points])
    for answer in answers:
        cells = [cell for name, share in zip(answer.classes, answer.shares, strict=True) for cell in (name, f"{share:.6f}")]
        where = [f"{value:.3f}" for value in (*(answer.box or ()), *(side for point in answer.points for side in point))]
        writer.writerow([answer.path, answer.problem.reason if answer.problem else "", *cells, *where])


def _print_table(answers: list[Prediction]) -> None:
    from striate.cli.output import shown_path, table

    rows = []
    for answer in answers:
        if not answer.problem:
            others = ", ".join(f"{name} {share:.1%}" for name, share in zip(answer.classes[1:], answer.shares[1:], strict=True))
            sides = [f"{value:.1f}" for value in answer.box or ()]
            rows.append([shown_path(answer.path), answer.classes[0], f"{answer.shares[0]:.1%}", *sides, others])
    boxes = SIDES if any(answer.box is not None for answer in answers) else ()
    wide = any(row[-1] for row in rows)
    table(["file", "class", "share", *boxes, *(["then"] if wide else [])], [row if wide else row[:-1] for row in rows])
