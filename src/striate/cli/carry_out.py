"""Training as the command line does it: told beforehand, watched, summed up, reported."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.cli.output import aside, duration, facts, percent, print_json, say, shown_path, table
from striate.cli.progress import Watcher, watcher

if TYPE_CHECKING:
    from striate.cli.plan import Plan
    from striate.core.contracts import Recipe
    from striate.core.runtime import Settings

LABELS = 7
"""Width of the first column, the same before and after training."""


def train_as_planned(plan: Plan, *, report: bool, json: bool, quiet: bool) -> None:
    """Open the data, say what will happen, train, and sum up."""
    if plan.transfer is not None:
        transfer_as_planned(plan, report=report, json=json, quiet=quiet)
        return
    from striate.core.runtime import settings
    from striate.training import recipes, train

    use = settings(plan.keywords.get("device", "auto"), plan.keywords.get("precision", "auto"))
    data = plan.data.open()
    model = plan.model or recipes.default_model(recipes.known_as(data), data.shape, plan.keywords.get("task", "classify"))
    if not quiet and not json:
        tell_plan(plan.python(model), model, data, plan.recipe(model, data), use, plan.keywords.get("seed", 0))
    watch_and_sum_up(lambda progress: train(model, data, **plan.keywords, progress=progress), report=report, json=json, quiet=quiet)


def transfer_as_planned(plan: Plan, *, report: bool, json: bool, quiet: bool) -> None:
    """Open the data, say what will happen, look, choose and fit, and sum up."""
    from striate.core.runtime import settings
    from striate.transfer import fine_tune
    from striate.transfer.opening import missing_from

    keywords = dict(plan.transfer or {})
    use = settings(keywords.get("device", "auto"), keywords.get("precision", "auto"))
    data = plan.data.open()
    model = str(plan.model)
    if not quiet and not json:
        counts = ", ".join(f"{len(table):,} {name}" for name, table in data.tables.items())
        facts(
            {
                "train": f"{model} from {keywords['weights']} on {data.name}: {counts}; {len(data.classes)} classes",
                "runs on": f"{use.device} {use.precision}, {use.threads} thread{'s' * (use.threads != 1)}, seed {keywords.get('seed', 0)}",
                "Python": f"import striate as st; run = {plan.python(model)}",
            },
            first=LABELS,
        )
        later = missing_from(data)  # said in full once the run begins
        for note in getattr(data, "notes", ()):
            if not any(sentence.startswith(note) for sentence in later):
                aside(f"note: {note}")
    watch_and_sum_up(lambda progress: fine_tune(model, data, **keywords, progress=progress), report=report, json=json, quiet=quiet)


def watch_and_sum_up(action: Callable[[Watcher], Any], *, report: bool, json: bool, quiet: bool, kept: Path | None = None) -> None:
    """Run `action` (which trains and returns the run) under a progress line; then the table, and the report's path last.

    `kept`: the page of a run that is finished already; where it is there, it is not written again.
    """
    with watcher(quiet=quiet) as progress:
        run = action(progress)
    path = None
    if not quiet and not json:
        _tell_result(run)
    if report:
        path = kept if kept is not None and kept.is_file() else _report(run)
    if json:
        print_json({"run": str(run.folder), "state": run.state, "report": None if path is None else str(path), **(run.result or {})})
        return
    if quiet:
        say(shown_path(path or run.folder))
    else:
        facts({"run": shown_path(run.folder), "report": shown_path(path) if path else None}, first=LABELS)


def tell_plan(python: str, model: str, data: Any, recipe: Recipe, use: Settings, seed: int) -> None:
    """Print what will be done: the network and the data, the settings, the Python that does the same."""
    lengths = {name: data.split(name).length for name in data.splits}
    counts = ", ".join(f"{count:,} {name}" if count is not None else f"{name} (a stream)" for name, count in lengths.items())
    shape = f"{data.shape[0]} words" if len(data.shape) == 1 else " x ".join(map(str, data.shape))
    average, views = [f"{recipe.average} average"] * (recipe.average != "none"), [f"views {recipe.views}"] * (recipe.views != "one")
    epochs = f"{recipe.epochs:g} epoch{'s' * (recipe.epochs != 1)}"
    how = [
        f"{recipe.name}: {epochs} of batch {recipe.batch}",
        f"{recipe.optimiser} lr {recipe.lr:g} {recipe.schedule}",
        *recipe.augment,
        *average,
        *views,
    ]
    facts(
        {
            "train": f"{model} on {data.name}: {counts}; {len(data.classes)} classes, {shape}",
            "recipe": ", ".join(how),
            "runs on": f"{use.device} {use.precision}, {use.threads} thread{'s' * (use.threads != 1)}, seed {seed}",
            "Python": f"import striate as st; run = {python}",
        },
        first=LABELS,
    )
    for note in getattr(data, "notes", ()):
        aside(f"note: {note}")
    problems = len(getattr(data, "problems", ()))
    if problems:
        aside(f"{problems} broken file{'s' * (problems != 1)} left out; striate data {shlex.quote(str(data.spec or ''))} lists them")


def result_rows(splits: dict[str, dict[str, float]]) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows of the table of figures: one line a split, errors in percent."""
    names = list(dict.fromkeys(name for figures in splits.values() for name in figures if name != "n"))
    ordered = [*[name for name in ("error", "top5_error", "loss") if name in names], *[n for n in names if n not in ("error", "top5_error", "loss")]]
    rows = []
    for split, figures in splits.items():
        cells = ["" if name not in figures else _figure(name, figures[name]) for name in ordered]
        wrong = [f"{round(figures['error'] * figures['n']):,}"] if "error" in figures else [""]
        rows.append([split, f"{int(figures['n']):,}", *wrong, *cells])
    return ["split", "samples", "wrong", *[name.replace("top5_error", "top-5 error").replace("_", " ") for name in ordered]], rows


def _figure(name: str, value: float) -> str:
    from striate.reports.wording import is_share

    return percent(value) if is_share(name) else f"{value:.4f}"


def _tell_result(run: Any) -> None:
    result = run.result or {}
    if result.get("splits"):
        say()
        table(*result_rows(result["splits"]))
        say()
    transfer = run.facts.get("transfer")
    if transfer:
        known = transfer.get("calibration") or result.get("calibration") or {}  # a run that was resumed has it in its result alone
        facts(_transfer_facts({**transfer, "calibration": known}), first=LABELS)
    elif result.get("calibration"):
        facts(_calibration_facts(result["calibration"]), first=LABELS)
    if "seconds" in result and (transfer is None or transfer["strategy"] not in ("linear", "svm")):
        epochs = min(float(len(run.history)), run.recipe.epochs)
        best = f"; best epoch {result['best_epoch']}" if result.get("best_epoch") else ""
        told = f"{result['parameters']:,} parameters, {epochs:g} epoch{'s' * (epochs != 1)} in {duration(result['seconds'])}{best}"
        facts({"trained": told}, first=LABELS)


def _transfer_facts(transfer: dict[str, Any]) -> dict[str, str]:
    """Return what was chosen and how sure it is, for the table after training."""
    choice, advice = transfer.get("choice"), transfer.get("advice")
    read = f", on {' + '.join(choice['at'])}" if choice else ""
    told = {"chosen": f"{transfer['strategy']}{read}" + (f" ({advice['words']})" if advice and transfer["asked"] == "auto" else "")}
    return told | _calibration_facts(transfer.get("calibration", {}))


def _calibration_facts(calibration: dict[str, Any]) -> dict[str, str]:
    """Return the calibration error before and after, part by part."""
    return {
        f"sure {split}": f"calibration error {percent(found['ece_before'])} -> {percent(found['ece_after'])} (temperature {found['temperature']:.2f})"
        for split, found in calibration.items()
        if isinstance(found, dict)
    }


def _report(run: Any) -> Path:
    from striate.reports import report

    try:
        path: Path = report(run)
    except Exception:
        aside(f"The run is whole and saved; only its report failed. Try again: striate report {shlex.quote(shown_path(run.folder))}")
        raise
    return path
