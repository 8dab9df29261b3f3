"""`striate explain`: what a network sees in pictures, by several methods, on one sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from striate.cli.registry import command

if TYPE_CHECKING:
    from striate.cli.looking import Subject


@command(
    "explain",
    help="Show what a network sees in pictures, by several methods.",
    section="Understanding",
    options={
        "model": "A run's folder or its name under runs/; or a name of the zoo (or timm:NAME) with --weights; or package.module:factory.",
        "images": "Pictures, folders of them, or quoted patterns such as 'scans/*.png'.",
        "method": "Methods with commas between, or all.",
        "errors": "Explain the run's most confident errors on --split instead of pictures.",
        "target": "The class to explain, its number or name. By default the predicted one.",
        "receipts": "cheap: raw range and completeness; full: also check each method on these pictures (slow).",
        "set_": "A method's option as METHOD.KEY=VALUE, such as occlusion.window=15; may be repeated.",
        "weights": "The weights' file, or published, for a network that is no run.",
        "classes": "How many classes the network tells apart, where it is no run. By default what it was published with.",
        "preprocess": "imagenet or identity, where the network does not bring its own.",
        "data": "Data for --errors. By default what the run was trained with.",
        "split": "Which part of the data --errors looks at.",
        "count": "How many errors.",
        "seed": "Decides everything random.",
        "out": "Folder to write to. By default explained/ in the run's folder.",
        "arrays": "Also write each method's raw arrays (.npz).",
        "json": "Print JSON instead of a table.",
    },
    metavars={"model": "RUN|MODEL", "images": "IMAGE", "method": "NAMES", "set_": "METHOD.KEY=VALUE", "weights": "FILE", "out": "FOLDER"},
    complete={"model": "models", "images": "files", "weights": "files", "data": "data", "out": "files"},
    examples=(
        "striate explain runs/photos-resnet18-1 cat.jpg dog.jpg",
        "striate explain runs/photos-resnet18-1 cat.jpg --method occlusion --set occlusion.window=31 --receipts full",
        "striate explain resnet50 cat.jpg --weights resnet50.safetensors --preprocess imagenet --method all",
        "striate explain runs/photos-resnet18-1 --errors",
    ),
    torch=True,
)
def explain(
    model: str,
    images: tuple[Path, ...] = (),
    *,
    method: str = "saliency,grad_cam,occlusion",
    errors: bool = False,
    target: str | None = None,
    receipts: Literal["cheap", "full"] = "cheap",
    set_: tuple[str, ...] = (),
    weights: str | None = None,
    classes: int | None = None,
    preprocess: str | None = None,
    data: str | None = None,
    split: str = "test",
    count: int = 8,
    seed: int = 0,
    out: Path | None = None,
    arrays: bool = False,
    json: bool = False,
) -> None:
    """Check all words first (fast, without torch), then look, then write one page and a picture a method."""
    from striate.cli.looking import Subject, preprocess_word, watching
    from striate.cli.output import aside, print_json, say, shown_path, table
    from striate.core.errors import ArgumentError
    from striate.core.storage import write_text
    from striate.understand.explaining import chosen, parsed_options
    from striate.use.files import find

    subject = Subject.read(model, weights, classes)
    names = chosen(method)
    options = parsed_options(set_, names)
    how = preprocess_word(preprocess)
    if errors == bool(images):
        raise ArgumentError("give pictures to explain, or --errors, " + ("not both" if errors else "to explain the run's worst errors"))
    if errors and subject.folder is None:
        raise ArgumentError("--errors: only a run has errors of its own; name one, or give pictures")
    found = find(images) if images else None
    if found is not None and str(found):
        aside(str(found))

    from striate.understand import explain as look

    opened = subject.open()
    shown, captions = (list(found.files), None) if found is not None else _errors(subject, opened, data, split, count)
    wanted = int(target) if target is not None and target.isdigit() else target
    with watching(json) as watch:
        made = look(
            opened,
            shown,
            method="all" if method == "all" else names,
            receipts=receipts,
            target=wanted,
            preprocess=how,
            options=options,
            seed=seed,
            watch=watch,
        )
        if captions:
            made = made.named(captions)
        place = subject.place(out, "errors-explained" if errors else "explained")
        endings = ("png", "npz") if arrays else ("png",)
        files = {name: [each.save(place / f"{name}.{ending}") for ending in endings] for name, each in made.explanations.items()}
        page = place / "explained.html"
        title = f"The worst errors of {subject.name}" if errors else f"What {subject.name} sees in {_counted(len(shown))}"
        write_text(page, made.html(title=title))
    if json:
        told = {
            name: each.to_json() | {"seconds": made.seconds[name], "files": [str(f) for f in files[name]]} for name, each in made.explanations.items()
        }
        print_json({"model": model, "methods": told, "failures": dict(made.failures), "page": str(page)})
        return
    say(title, style="bold")
    rows = [[name, f"{made.seconds[name]:.1f} s", shown_path(files[name][0])] for name in made.explanations]
    table(["method", "time", "picture"], rows)
    for note in dict.fromkeys(note for each in made.explanations.values() for note in each.notes):
        aside(note)
    for name, reason in made.failures.items():
        aside(f"{name}: {reason}")
    say(shown_path(page))


def _errors(subject: Subject, run: Any, data: str | None, split: str, count: int) -> tuple[Any, list[str]]:
    """Return the pictures the run is most confidently wrong about, and what each is."""
    import torch

    from striate.core.errors import DataError
    from striate.training import evaluate
    from striate.training.figures import worst_errors

    opened = subject.data(data, split)
    measured = evaluate(run, opened, split=split)
    if measured.targets is None:
        raise DataError(f"{opened.name}: {split} has no labels, so nothing is known to be wrong")
    worst = worst_errors(measured.targets, measured.shares, measured.index, count, classes=run.classes)
    if not worst:
        raise DataError(f"{subject.name} makes no error on {split} of {opened.name}: there is nothing to explain")
    pictures = [run.preprocess.fit(picture) for picture in opened.pictures(split, [mistake.index for mistake in worst])]
    return torch.stack(pictures), [f"{run.classes[mistake.target]} ({mistake.index})" for mistake in worst]


def _counted(number: int) -> str:
    return "a picture" if number == 1 else f"{number} pictures"
