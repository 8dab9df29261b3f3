"""The report of one run: a single page that says what is seen first and how to do it again last."""

from __future__ import annotations

import datetime
import shlex
from pathlib import Path
from typing import Any

from markupsafe import Markup

from striate.core.storage import write_text
from striate.draw import html
from striate.reports import wording
from striate.reports.baseline_part import baseline_section
from striate.reports.boxes_part import boxes_section
from striate.reports.data_parts import data_section
from striate.reports.reconstruction_page import TASKS, reconstruction_page
from striate.reports.record_parts import again_section, files_section, machine_section, recipe_section
from striate.reports.reopened import reopen
from striate.reports.result_parts import result_sections
from striate.reports.stored import Predictions, StoredRun, number, stored
from striate.reports.training_parts import filter_section, learning_section
from striate.reports.transfer_part import fitted_head, transfer_section
from striate.training import figures


def report(run: Any, path: str | Path | None = None) -> Path:
    """Write a run's report as one self-contained page and return its path.

    `run` is a `Run` or the path of its folder; `path` is the file (default: `report.html` in the folder). A run that stopped, failed or lacks
    pieces gets a report of what there is, which says so. Raises `StorageError` when the folder holds no readable run.json.
    """
    read = stored(run)
    target = Path(path) if path is not None else read.folder / "report.html"
    given_back = read.facts.get("task") in TASKS
    write_text(target, reconstruction_page(read) if given_back else page_of(read, getattr(run, "data", None)))
    return target


def page_of(run: StoredRun, live: Any = None) -> str:
    """Return the report as HTML. `live` is the run's data set where the caller has it at hand."""
    given = run.predictions.get(run.split) if run.split else None
    data = reopen(run, live)
    sections = result_sections(run, given, data) if given is not None else []
    if given is None and run.state == "finished":
        text = "There are no predictions in the folder, so confusion, calibration and errors cannot be shown."
        sections = [html.Section("No predictions", [html.warning(text)], short="Result")]
    where = boxes_section(run, given, data) if given is not None else None
    transfer = transfer_section(run)
    second = [*([transfer] if transfer is not None else []), *([] if fitted_head(run) else [learning_section(run)])]
    n, errors = _errors(run, given)
    beside = baseline_section(run.folder, errors=errors, n=n)
    sections = [*([where] if where is not None else []), *sections[:1], *second, *([beside] if beside is not None else []), *sections[1:]]
    recipe = [] if fitted_head(run) else [recipe_section(run)]
    sections += [filter_section(run), data_section(run, data), *recipe, again_section(run), machine_section(run), files_section(run)]
    versions = run.part("versions")
    foot = f"{run.name} · striate {versions.get('striate', '')} · {run.folder}"
    return html.page(headline(run, given), sections, lead=_lead(run, given), facts=_facts(run, given), foot=foot)


def headline(run: StoredRun, given: Predictions | None) -> str:
    """Return what is seen, in one sentence."""
    model = wording.model_name(run.model)
    if run.state != "finished":
        planned = number(run.part("recipe").get("epochs"))
        of = f" of {planned:g}" if planned else ""
        done = f"after {run.epochs:g}{of} epochs" if run.epochs else "before its first epoch ended"
        if run.state == "running":
            return f"{model} is still training: {f'{run.epochs:g}{of} epochs' if run.epochs else 'no epoch done yet'}"
        fate = {"stopped": "was stopped", "failed": "failed", "killed": "was killed"}.get(run.state, "did not finish:")
        return f"{model} {fate} {done}"
    n, errors = _errors(run, given)
    if n is None or errors is None or run.split is None:
        return f"{model} was trained on {run.data_name}"
    held = {"test": "held-out", "val": "validation"}.get(run.split, wording.part_name(run.split))
    reads = f"{model} reads {wording.percent(1 - errors / n, n)} of {n:,} {held} {wording.things(run.data_name)} right"
    missed = number(run.figures(run.split).get("missed"))
    return reads if missed is None else f"{reads} and finds {wording.percent(1 - missed, n)} of their boxes"


def _errors(run: StoredRun, given: Predictions | None) -> tuple[int | None, int | None]:
    if given is not None and given.targets is not None:
        return len(given.targets), int((given.shares.argmax(axis=1) != given.targets).sum())
    said = run.figures(run.split) if run.split else {}
    n, error = number(said.get("n")), number(said.get("error"))
    return (int(n), round(error * n)) if n and error is not None else (None, None)


def _lead(run: StoredRun, given: Predictions | None) -> Markup:
    pieces = [html.text(_how(run))]
    if run.state != "finished":
        pieces.append(html.warning(wording.with_code(_unfinished(run))))
    pieces += [html.warning(problem) for problem in run.problems]
    said = number(run.figures(given.split).get("error")) if given is not None else None
    n, errors = _errors(run, given)
    if said is not None and n and errors is not None and given is not None and abs(said - errors / n) > 0.5 / n:
        both = f"result.json says an error of {wording.percent(said, n)}, the predictions say {wording.percent(errors / n, n)}"
        words = f"{both}; this page shows the predictions'."
        pieces.append(html.warning(words))
    return Markup("").join(pieces)


def _unfinished(run: StoredRun) -> str:
    reason = str(run.facts.get("reason") or "").strip().rstrip(".")
    state = {
        "running": "The run was still at work when this page was written",
        "killed": "The run was killed: it says it is running, but no process is at work on it",
        "failed": "The run failed",
        "stopped": "The run was stopped before its end",
    }.get(run.state, f"The run's state is {run.state!r}")
    told = reason[:1].upper() + reason[1:] if reason.lower().startswith(run.state) else f"{state}: {reason}" if reason else state
    if (run.folder / "last.safetensors").exists():
        again = (
            ""
            if run.state == "running" or "striate resume" in reason
            else f" `striate resume {shlex.quote(str(run.folder))}` goes on from the last checkpoint."
        )
    else:
        again = "" if "checkpoint" in reason else " There is no checkpoint to go on from."
    return f"{told}.{again} What follows is what there is."


def _how(run: StoredRun) -> str:
    count = run.part("splits", run.part("data")).get("train")
    things = wording.things(run.data_name)
    amount = f"{count:,} " if isinstance(count, int) else ""
    what = f"{amount}{things}" if things == run.data_name else f"{amount}{things} of {run.data_name}"
    lasted = f"for {run.epochs:g} epoch{'' if run.epochs == 1 else 's'} " if run.epochs else ""
    use = ", ".join([*(str(run.facts[key]) for key in ("device", "precision") if run.facts.get(key)), f"seed {run.facts.get('seed', 'unknown')}"])
    how = "A linear head fitted to the codes of" if fitted_head(run) else f"Trained {lasted}on"
    return f"{how} {what} ({use}){_when(run.facts.get('created'))}."


def _when(created: Any) -> str:
    try:
        moment = datetime.datetime.fromisoformat(str(created))
    except ValueError:
        return ""
    return f", {moment.day} {moment:%B %Y}, {moment:%H:%M}{' UTC' if moment.utcoffset() == datetime.timedelta(0) else ''}"


def _facts(run: StoredRun, given: Predictions | None) -> dict[str, object]:
    n, errors = _errors(run, given)
    known: dict[str, object] = {}
    if n and errors is not None:
        label = f"{wording.part_name(run.split or '')} error: {errors:,} of {n:,}; 95{wording.THIN}% interval {wording.interval(errors, n)}"
        known[label] = wording.percent(errors / n, n)
        top5 = number(run.figures(run.split or "").get("top5_error"))
        if given is not None and given.targets is not None and given.shares.shape[1] > 5:
            top5 = figures.topk_error(given.targets, given.shares, 5)
        if top5 is not None and len(run.classes) > 5:
            known["top-5 error"] = wording.percent(top5, n)
        overlap = number(run.figures(run.split or "").get("box_error"))
        if overlap is not None:
            known["mean IoU of boxes"] = f"{1 - overlap:.3f}"
    elif (last := run.series("val/error")[1]) or (last := run.series("train/error")[1]):
        which = "validation" if run.series("val/error")[1] else "training"
        known[f"{which} error, last epoch"] = wording.percent(last[-1], places=1)
    if run.parameters is not None:
        known["parameters"] = wording.count(run.parameters)
    if run.seconds is not None:
        known["of training"] = wording.duration(run.seconds)
    if run.rate is not None:
        known[f"{_samples(run)} a second"] = wording.rate(run.rate)
    return known


def _samples(run: StoredRun) -> str:
    return "samples" if len(run.part("data").get("shape") or ()) == 1 else "pictures"
