"""The part of a report that says what the data is and whether something is wrong with it."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping
from typing import Any

from striate.core.errors import StriateError
from striate.core.storage import write_json
from striate.data.findings import CheckReport
from striate.draw import html
from striate.reports import wording
from striate.reports.stored import StoredRun

NEAR = 5000
"""Up to so many samples the check made for a report also looks for near duplicates, its slow part."""


def data_section(run: StoredRun, data: Any | str) -> html.Section:
    """Return what run.json says about the data, the preprocessing, and the data check: the folder's, else one made now of what `reopen` gave."""
    said = run.part("data")
    splits = {name: n for name, n in run.part("splits", said).items() if isinstance(n, int)}
    known: dict[str, object] = {
        "samples": ", ".join(f"{n:,} {wording.part_name(name)}" for name, n in splits.items()) or None,
        "classes": _classes(run.classes),
        "size": wording.shape_name(said.get("shape")),
        "where it is": said.get("spec") or "it came from memory",
        "preprocessing": _preprocessing(run.part("preprocess")),
        "fingerprint": said.get("fingerprint"),
    }
    pieces: list[html.Piece] = [html.facts(known), html.heading("The data check")]
    checked = _check(run, data, sum(splits.values()))
    if isinstance(checked, str):
        return html.Section(f"The data: {run.data_name}", [*pieces, html.text(wording.with_code(checked))], short="Data")
    found = len(checked.warnings)
    title = f"The data: {run.data_name}" + (f", with {found} warning{'s' if found > 1 else ''}" if found else ", with nothing to mend")
    same = all(name in checked.splits and checked.splits[name].n == n for name, n in splits.items())
    shown = data if same and not isinstance(data, str) else None
    try:
        pieces += checked.html(shown)
    except StriateError:
        pieces += checked.html()
    if checked.near is None and checked.kind != "text":
        hint = f"; `striate data {shlex.quote(said['spec'])}` does" if isinstance(said.get("spec"), str) else ""
        pieces.append(html.text(wording.with_code(f"Near duplicates were not looked for{hint}.")))
    return html.Section(title, pieces, short="Data")


def _check(run: StoredRun, data: Any | str, samples: int) -> CheckReport | str:
    problem = ""
    if run.check is not None:
        try:
            return CheckReport.from_json(run.check)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problem = f"data.json cannot be read ({type(error).__name__}: {error}). "
    if isinstance(data, str):
        return f"{problem}There is no data check to show. {data}"
    from striate.data.checks import check

    try:
        found = check(data, near=samples <= NEAR)
    except (StriateError, OSError, AttributeError) as error:
        return f"{problem}The data could not be checked: {error}"
    with contextlib.suppress(OSError):  # a folder that may only be read: it is looked at again next time
        write_json(run.folder / "data.json", found.to_json())
    return found


def _classes(classes: tuple[str, ...]) -> str:
    shown = ", ".join(classes[:12])
    return f"{len(classes)}: {shown}" + (f" … and {len(classes) - 12:,} more" if len(classes) > 12 else "")


def _preprocessing(values: Mapping[str, Any]) -> str | None:
    if not values:
        return None
    words = []
    if isinstance(values.get("size"), list):
        to = " × ".join(map(str, values["size"]))
        words.append("size kept" if values.get("resize") == "none" else f"{values.get('resize', 'resized')} to {to}")
    statistics = {name: values[name] for name in ("mean", "std") if isinstance(values.get(name), list)}
    words += [f"{name} {', '.join(f'{value:.4g}' for value in numbers[:4])}" for name, numbers in statistics.items()]
    if values.get("whitening") not in (None, False, "none"):
        words.append("whitened")
    return "; ".join(words) or None
