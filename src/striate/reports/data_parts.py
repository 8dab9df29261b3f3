"""The part of a report that says what the data is and whether something is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from striate.draw import html
from striate.reports import wording
from striate.reports.stored import StoredRun


def data_section(run: StoredRun) -> html.Section:
    """Return what run.json says about the data, the preprocessing, and the data check of data.json."""
    data = run.part("data")
    splits = {name: n for name, n in run.part("splits", data).items() if isinstance(n, int)}
    known: dict[str, object] = {
        "name": run.data_name,
        "samples": ", ".join(f"{n:,} {wording.part_name(name)}" for name, n in splits.items()) or None,
        "classes": _classes(run.classes),
        "size": wording.shape_name(data.get("shape")),
        "where it is": data.get("spec") or "it came from memory",
        "preprocessing": _preprocessing(run.part("preprocess")),
        "fingerprint": data.get("fingerprint"),
    }
    pieces: list[html.Piece] = [html.facts(known)]
    title = f"The data: {run.data_name}"
    if run.check is None:
        where = data.get("spec")
        hint = f"; `striate data {where}` makes one" if isinstance(where, str) else ""
        pieces.append(html.text(wording.with_code(f"There is no data check in the folder{hint}.")))
        return html.Section(title, pieces, short="Data")
    findings = _findings(run.check)
    pieces.append(html.heading("The data check"))
    pieces += [html.warning(text) for text in findings] or ["Nothing was found: no broken picture, no duplicate, no leak between parts."]
    return html.Section(f"{title}, {len(findings)} warning{'' if len(findings) == 1 else 's'}" if findings else title, pieces, short="Data")


def _findings(check: Mapping[str, Any]) -> list[str]:
    listed = check.get("warnings", check.get("findings", []))
    if not isinstance(listed, list):
        return [wording.spelled(listed)]
    return [str(item.get("text", wording.spelled(item))) if isinstance(item, dict) else str(item) for item in listed]


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
