"""A check's findings for people: a short table for the terminal, pieces for a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.data.findings import CheckReport, SplitFacts

if TYPE_CHECKING:
    from markupsafe import Markup

    from striate.data.dataset import Dataset

ROWS = 20
"""Most classes that get a row of their own."""


def as_text(report: CheckReport) -> str:
    """Return a few lines: counts for each class and split, what was looked for and what was found."""
    what = "sentences" if report.kind == "text" else "pictures"
    total = sum(facts.n for facts in report.splits.values())
    lines = [f"{report.name}: {total:,} {what}, {len(report.classes):,} classes", ""]
    rows = _class_rows(report)
    heads = ["class", *report.splits]
    widths = [max(len(row[place]) for row in [heads, *rows]) for place in range(len(heads))]
    lines += ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in [heads, *rows]]
    facts = _facts(report)
    longest = max(map(len, facts))
    lines += ["", *(f"{name.ljust(longest)}  {value}" for name, value in facts.items())]
    warnings = report.warnings
    lines += ["", *(f"! {warning}" for warning in warnings)] if warnings else ["", "Nothing to mend."]
    return "\n".join(line.rstrip() for line in lines)


def as_html(report: CheckReport, dataset: Dataset | None = None) -> list[Markup]:
    """Return warnings, the table of classes, the facts, and, with the data set at hand, pictures of the first near duplicates."""
    from striate.draw import html

    pieces = [html.warning(warning) for warning in report.warnings] or [html.text("Nothing to mend.")]
    heads = ["class", *report.splits]
    pieces.append(html.table([dict(zip(heads, row, strict=True)) for row in _class_rows(report)]))
    pieces.append(html.facts(_facts(report)))
    pairs = [*report.near_leaks, *(pair for pair in report.near or () if pair[0].split == pair[1].split)][:12]
    if dataset is not None and pairs:
        samples = [sample for pair in pairs for sample in pair[:2]]
        pictures = [dataset.pictures(sample.split, [sample.index])[0] for sample in samples]
        captions = [f"{sample.split} {sample.label or ''}".strip() for sample in samples]
        pieces += [html.heading("Near duplicates"), html.pictures(pictures, captions, details=[str(sample) for sample in samples])]
    return pieces


def _class_rows(report: CheckReport) -> list[list[str]]:
    """One row a class when they are few; else the largest and the smallest of the training split. The last row is the sum."""
    columns = {split: facts.counts for split, facts in report.splits.items()}
    classes = list(range(len(report.classes)))
    counts = report.splits[report.training].counts or [0] * len(classes)
    shown: list[int | None] = list(classes)
    if len(classes) > ROWS:
        order = sorted(classes, key=lambda number: (-counts[number], number))
        shown = [*order[:5], None, *order[-5:]]
    rows = []
    for number in shown:
        if number is None:
            rows.append([f"… {len(classes) - 10:,} more", *("" for _ in columns)])
        else:
            rows.append([report.classes[number], *("–" if column is None else f"{column[number]:,}" for column in columns.values())])
    return [*rows, ["all", *(f"{facts.n:,}" for facts in report.splits.values())]]


def _facts(report: CheckReport) -> dict[str, str]:
    known: dict[str, str] = {}
    for split, facts in report.splits.items():
        if spoken := _shape(facts):
            known[f"size of {split}" if len(report.splits) > 1 else "size"] = spoken
    spoken_sizes = {name: value for name, value in known.items() if name.startswith("size")}
    if len(set(spoken_sizes.values())) == 1:
        known = {"size": next(iter(spoken_sizes.values()))}
    ratio = report.imbalance
    if ratio is not None:
        known["balance"] = "even" if ratio < 1.005 else f"the largest class has {ratio:.3g} times as many as the smallest"
    known["broken"] = f"{len(report.broken):,} left out" if report.broken else "none"
    copies = sum(len(group) - 1 for group in report.duplicates)
    told = f"{copies:,} {'copy' if copies == 1 else 'copies'}, {_groups(report.leaks)} across splits"
    known["same words" if report.kind == "text" else "same pixels"] = told if copies else "none"
    if report.near is None:
        known["near copies"] = "not looked for"
    else:
        known["near copies"] = f"{_pairs(len(report.near))}, {len(report.near_leaks):,} across splits" if report.near else "none"
        if report.common:
            known["alike"] = f"{_pairs(report.common)} more, no closer than much of the set: not counted as copies"
        if report.least > 0.981:
            known["strictness"] = f"so much looks alike that only correlations of {report.least:.4g} and more were looked at"
    known["blank"] = f"{len(report.blank):,}" if report.blank else "none"
    for number, note in enumerate(report.notes):
        known["note" if number == 0 else f"note {number + 1}"] = note
    return known


def _shape(facts: SplitFacts) -> str:
    if facts.lengths is not None:
        least, middle, most = facts.lengths
        return f"{least:g} to {most:g} words, median {middle:g}"
    if facts.sizes is None:
        return ""
    channels = _channels(facts)
    least_size, middle_size, most_size = (f"{height} × {width}" for height, width in facts.sizes)
    if facts.distinct == 1:
        return f"{least_size}, {channels}"
    aspect = f"width to height {facts.aspect[0]:.2f} to {facts.aspect[2]:.2f}" if facts.aspect else ""
    return f"{least_size} to {most_size}, median {middle_size}; {aspect}; {channels}"


def _channels(facts: SplitFacts) -> str:
    kinds = {1: "grey", 3: "colour"}
    if len(facts.channels) == 1:
        return kinds.get(next(iter(facts.channels)), f"{next(iter(facts.channels))} channels")
    return ", ".join(f"{number:,} {kinds.get(kind, f'with {kind} channels')}" for kind, number in facts.channels.items())


def _pairs(number: int) -> str:
    return "1 pair" if number == 1 else f"{number:,} pairs"


def _groups(groups: Sequence[object]) -> str:
    return f"{len(groups):,} group{'' if len(groups) == 1 else 's'}"
