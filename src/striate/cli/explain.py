"""`striate explain`: what a network sees in pictures, by several methods, on one sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from striate.cli.registry import command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from striate.cli.looking import Subject
    from striate.understand import Explained


@command(
    "explain",
    help="Show what a network sees in pictures, by several methods.",
    section="Understanding",
    options={
        "model": "A run's folder or its name under runs/; or a name of the zoo (or timm:NAME) with --weights; or package.module:factory.",
        "images": "Pictures, folders of them, or quoted patterns such as 'scans/*.png'.",
        "method": "Methods with commas between, or all: every map. Only when named: ddn, deepfool, dream, fgsm, filters, fooling, invert, maximise, "
        "pgd, style, which make pictures; attack_curve, code_map, dead_filters, neighbours, sparsity, top_patches, which look at data.",
        "errors": "Explain the run's most confident errors on --split instead of pictures.",
        "target": "The class to explain, its number or name. By default the predicted one.",
        "receipts": "cheap: raw range and completeness; full: also check each method on these pictures (slow).",
        "set_": "A method's option as METHOD.KEY=VALUE, such as occlusion.window=15; may be repeated.",
        "weights": "The weights' file, or published, for a network that is no run.",
        "classes": "How many classes the network tells apart, where it is no run. By default what it was published with.",
        "preprocess": "imagenet or identity, where the network does not bring its own.",
        "data": "Data for --errors, and for methods that look at a data set. By default what the run was trained with.",
        "split": "Which part of the data --errors looks at; val where there is no test.",
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
        "striate explain resnet50 cat.jpg --weights resnet50.safetensors --method all",
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
    from striate.cli.choose import refuse_without_classes
    from striate.cli.looking import Subject, class_word, preprocess_word, watching
    from striate.cli.output import aside, duration, print_json, say, shown_path, table
    from striate.core.errors import ArgumentError
    from striate.core.storage import write_text
    from striate.understand.explaining import chosen, parsed_options, unasked
    from striate.understand.registry import methods
    from striate.use.files import find

    subject = Subject.read(model, weights, classes)
    names = chosen(method)
    options = parsed_options(set_, names)
    how = preprocess_word(preprocess)
    needs = {methods.entry(name).facts["needs"] for name in names}
    if errors and images:
        raise ArgumentError("give pictures to explain, or --errors, not both")
    if needs & {"images", "pair"} and not (errors or images):
        raise ArgumentError("give pictures to explain, or --errors to explain the run's worst errors")
    if errors and subject.folder is None:
        raise ArgumentError("--errors: only a run has errors of its own; name one, or give pictures")
    if errors and subject.folder is not None:
        refuse_without_classes(subject.folder, "it makes no errors to explain")
    found = find(images) if images else None
    if found is not None and str(found):
        aside(str(found))

    from striate.understand import explain as look

    opened = subject.open()
    shown, captions = _errors(subject, opened, data, split, count) if errors else (None if found is None else list(found.files), [])
    with watching(json) as watch:
        looked_at = subject.data(data) if "data" in needs else None
        settings: dict[str, Any] = {
            "receipts": receipts,
            "target": class_word(target),
            "preprocess": how,
            "options": options,
            "seed": seed,
            "watch": watch,
        }
        made = look(opened, shown, method=method, data=looked_at, **settings)
        made = made.named(captions) if captions else made
        place = subject.place(out, "errors-explained" if errors else "explained")
        endings = ("png", "npz") if arrays else ("png",)
        files = {name: [each.save(place / f"{name}.{ending}") for ending in endings] for name, each in made.explanations.items()}
        title = _title(subject.name, 0 if shown is None else len(shown), errors=errors)
        page = place / "explained.html"
        write_text(page, made.html(title=title))
    if json:
        print_json({"model": model, **_as_json(made, files), "page": str(page)})
        return
    say(title, style="bold")
    table(["method", "time", "picture"], [[name, duration(made.seconds[name]), shown_path(files[name][0])] for name in made.explanations])
    for note, names_of in _notes(made).items():
        aside(note if len(names_of) == len(made.explanations) else f"{', '.join(names_of)}: {note}")
    for name, reason in made.failures.items():
        aside(f"{name}: {reason}")
    if made.left_out:
        aside(unasked(made.left_out))
    say(shown_path(page))


def _title(name: str, pictures: int, *, errors: bool) -> str:
    if errors:
        return f"The worst errors of {name}"
    return f"What {name} sees in {'a picture' if pictures == 1 else f'{pictures} pictures'}" if pictures else f"Inside {name}"


def _notes(made: Explained) -> dict[str, list[str]]:
    """Return every note once, with the methods that have it."""
    found: dict[str, list[str]] = {}
    for name, each in made.explanations.items():
        for note in each.notes:
            found.setdefault(note, []).append(name)
    return found


def _as_json(made: Explained, files: Mapping[str, list[Path]]) -> dict[str, Any]:
    told = {name: each.to_json() | {"seconds": made.seconds[name]} for name, each in made.explanations.items()}
    return {
        "methods": {name: told[name] | {"files": [str(file) for file in files[name]]} for name in told},
        "failures": dict(made.failures),
        "left_out": list(made.left_out),
    }


def _errors(subject: Subject, run: Any, data: str | None, split: str, count: int) -> tuple[Any, list[str]]:
    """Return the pictures the run is most confidently wrong about, and what each is."""
    import torch

    from striate.cli.choose import part_of
    from striate.core.errors import DataError
    from striate.training import evaluate
    from striate.training.figures import worst_errors

    opened = subject.data(data)
    split = part_of(opened, split)
    measured = evaluate(run, opened, split=split)
    if measured.targets is None:
        raise DataError(f"{opened.name}: {split} has no labels, so nothing is known to be wrong")
    worst = worst_errors(measured.targets, measured.shares, measured.index, count, classes=run.classes)
    if not worst:
        raise DataError(f"{subject.name} makes no error on {split} of {opened.name}: there is nothing to explain")
    pictures = [run.preprocess.fit(picture) for picture in opened.pictures(split, [mistake.index for mistake in worst])]
    names = opened.tables[split].names
    called = [mistake.index if names is None else Path(names[mistake.index]).name for mistake in worst]
    return torch.stack(pictures), [f"{run.classes[mistake.target]} ({name})" for mistake, name in zip(worst, called, strict=True)]
