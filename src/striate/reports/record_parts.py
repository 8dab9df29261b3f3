"""The parts of a report that say what was done with what: data, recipe, how to do it again, machine, files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from striate.core.contracts import Recipe
from striate.draw import html
from striate.reports import wording
from striate.reports.stored import StoredRun

_ALWAYS = ("epochs", "batch", "optimiser", "lr", "weight_decay", "schedule", "augment", "average")
_FILES = {
    "run.json": "how the run was started and how it ended",
    "history.jsonl": "one row an epoch",
    "history.csv": "the same as a table",
    "result.json": "the figures at the end",
    "data.json": "the data check",
    "weights.safetensors": "the final weights",
    "best.safetensors": "the weights of the best epoch on the validation part",
    "last.safetensors": "the last checkpoint, to resume from",
    "preprocess.safetensors": "tensors of the preprocessing",
    "report.html": "this page",
}


def recipe_section(run: StoredRun) -> html.Section:
    """Return every field of the recipe, and which of them differ from a recipe's defaults."""
    recipe = run.part("recipe")
    if not recipe:
        return html.Section("The recipe is not known", ["run.json holds no recipe."], short="Recipe")
    usual = {field.name: field.default for field in dataclasses.fields(Recipe)}
    fields = {name: value for name, value in recipe.items() if name != "name"}
    chosen = [name for name in fields if name in _ALWAYS or not _same(fields[name], usual.get(name, dataclasses.MISSING))]
    rest = [name for name in fields if name not in chosen]
    pieces: list[html.Piece] = [_in_two({_words(name): wording.spelled(fields[name]) for name in chosen})]
    if rest:
        pieces.append(html.folded("Everything else, at its default", [_in_two({_words(name): wording.spelled(fields[name]) for name in rest})]))
    return html.Section(f"The recipe: {recipe.get('name', 'custom')}", pieces, short="Recipe")


def again_section(run: StoredRun) -> html.Section:
    """Return the command and the Python that do the same."""
    pieces: list[html.Piece] = []
    if run.facts.get("command"):
        pieces.append(html.code(str(run.facts["command"]), "shell"))
    if run.facts.get("python"):
        source = str(run.facts["python"])
        pieces.append(html.code(source if "import striate" in source else f"import striate as st\n\nrun = {source}", "Python"))
    if not run.facts.get("command"):
        pieces.append("It cannot be spelled as one command: the network or the data came from Python.")
    seed, threads = run.facts.get("seed"), run.part("machine").get("threads")
    pieces.append(
        f"Seed: {'not recorded' if seed is None else seed}; threads: {threads or 'not recorded'}. With both, on the same machine and versions, "
        "the weights come out the same to the bit; elsewhere the same within what chance decides."
    )
    return html.Section("To do it again", pieces, short="Again")


def machine_section(run: StoredRun) -> html.Section:
    """Return the machine, the settings and the versions."""
    machine = {_words(name): wording.spelled(value) for name, value in run.part("machine").items()}
    settings = {"device": run.facts.get("device"), "precision": run.facts.get("precision")}
    versions = {name: str(value) for name, value in run.part("versions").items()}
    if not machine and not versions:
        return html.Section("The machine is not known", ["run.json says nothing about it."], short="Machine")
    known = {name: str(value) for name, value in settings.items() if value}
    return html.Section("Machine and versions", [html.side_by_side([html.facts({**known, **machine}), html.facts(versions)])], short="Machine")


def files_section(run: StoredRun) -> html.Section:
    """Return the files of the folder with their sizes and what they are."""
    paths = sorted(path for path in run.folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    names = [path.relative_to(run.folder).as_posix() for path in paths]
    rows: list[dict[str, Any]] = []
    for path, name in zip(paths, names, strict=True):
        meaning = _FILES.get(name, "class shares, targets and positions of this part" if name.startswith("predictions/") else "")
        if name != "report.html":  # its size is not known before it is written
            rows.append({"file": name, "size": wording.size(path.stat().st_size), "what it is": meaning})
    shown, more = rows[:60], len(rows) - 60
    pieces: list[html.Piece] = [html.table(shown)] if shown else ["The folder is empty."]
    if more > 0:
        pieces.append(f"And {more:,} more.")
    return html.Section("In the folder", pieces, intro=str(run.folder), short="Files")


def _in_two(values: Mapping[str, object]) -> Markup:
    names = list(values)
    half = (len(names) + 1) // 2
    return html.side_by_side([html.facts({name: values[name] for name in part}) for part in (names[:half], names[half:]) if part])


def _same(value: Any, usual: Any) -> bool:
    if usual is dataclasses.MISSING:
        return not value
    return list(value) == list(usual) if isinstance(usual, tuple) and isinstance(value, (list, tuple)) else bool(value == usual)


def _words(name: str) -> str:
    return name.replace("_", " ")
