"""The parts of a report that say how well a run reads: confusion, classes, calibration, and its worst errors with their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from striate import draw
from striate.draw import html
from striate.reports import wording
from striate.reports.reopened import pictures_of
from striate.reports.stored import Predictions, StoredRun
from striate.training import figures

GALLERY = 24
"""How many of the worst errors are shown."""
LARGEST_MATRIX = 200
"""With more classes the confusion matrix is left out and only the most frequent confusions are listed."""
LONG_TABLE = 20
"""With more classes the table shows the hardest first and folds the rest away."""


def result_sections(run: StoredRun, given: Predictions, data: Any | str) -> list[html.Section]:
    """Return the sections on one split's predictions; unlabelled ones get a section that says so. `data`: what `reopen` gave."""
    if given.targets is None:
        text = f"The {wording.part_name(given.split)} part has no labels: {len(given.shares):,} predictions are in predictions/{given.split}.npz."
        return [html.Section("Nothing to compare the predictions with", [text], short="Result")]
    names = _names(run, given)
    matrix = figures.confusion(given.targets, given.shares)
    sections = [_confusions(matrix, names), _classes(given, names), _calibration(given), _gallery(run, given, names, data)]
    return [sections[3], *sections[:3]]


def _names(run: StoredRun, given: Predictions) -> tuple[str, ...]:
    return run.classes or tuple(str(number) for number in range(given.shares.shape[1]))


def _confusions(matrix: npt.NDArray[np.int64], names: Sequence[str]) -> html.Section:
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:8]
    pairs = [(int(place) // len(names), int(place) % len(names)) for place in order if wrong.flat[place] > 0]
    rows = [
        {
            "true": names[true],
            "read as": names[guess],
            "times": int(wrong[true, guess]),
            "of the class": wording.percent(wrong[true, guess] / matrix[true].sum(), int(matrix[true].sum())),
            "the other way": int(wrong[guess, true]),
        }
        for true, guess in pairs
    ]
    if len(names) == 2 and pairs:
        title = f"{names[0]} is read as {names[1]} {_times(int(wrong[0, 1]))}, {names[1]} as {names[0]} {_times(int(wrong[1, 0]))}"
    elif not pairs:
        title = f"Nothing is confused: all {matrix.sum():,} are read right"
    else:
        times = int(wrong[pairs[0]])
        title = f"{names[pairs[0][0]]} is most often read as {names[pairs[0][1]]}: {_times(times)}"
        if len(pairs) > 1 and int(wrong[pairs[1]]) == times:
            title = f"No two classes are confused more than {_times(times)}"
    pieces: list[html.Piece] = []
    shown: list[Markup] = []
    if len(names) <= LARGEST_MATRIX:
        caption = "Rows: what it is; columns: what the network says. Blue is right, orange wrong, stronger with its share of the row."
        shown.append(html.figure(draw.confusion(matrix, names), caption))
    else:
        pieces.append(f"The matrix of {len(names):,} classes is too large to be read; these are its largest entries off the diagonal.")
    if rows and len(names) > 2:
        shown.append(html.table(rows, caption="Most frequent confusions"))
    return html.Section(title, [*pieces, html.side_by_side(shown)], short="Confusion")


def _classes(given: Predictions, names: Sequence[str]) -> html.Section:
    found = figures.per_class(given.targets, given.shares)  # type: ignore[arg-type]
    known = [row for row in found if row.recall is not None]
    hardest = sorted(known, key=lambda row: (row.recall if row.recall is not None else 1.0, row.label))
    worst = hardest[0]
    if worst.recall == 1:
        title = "Every class is read right"
    elif len(hardest) > 1 and hardest[1].recall == worst.recall:
        tied = [names[row.label] for row in hardest if row.recall == worst.recall]
        title = f"{_listed(tied)} are the hardest: {wording.percent(worst.recall, worst.n)} of each are read right"
    else:
        title = f"{names[worst.label]} is the hardest: {wording.percent(worst.recall, worst.n)} of them are read right"

    def row_of(row: figures.ClassFigures) -> dict[str, object]:
        taken = "" if row.confused_with is None else f"{names[row.confused_with]} ({row.confused:,})"
        return {
            "class": names[row.label],
            "n": row.n,
            "recall": wording.percent(row.recall, row.n),
            "precision": wording.percent(row.precision, row.predicted),
            "F1": wording.percent(row.f1, row.n),
            "most often taken for": taken,
        }

    absent = [names[row.label] for row in found if row.n == 0]
    pieces: list[html.Piece] = []
    if len(found) <= LONG_TABLE:
        pieces.append(html.table([row_of(row) for row in found]))
    else:
        pieces.append(html.table([row_of(row) for row in hardest[:LONG_TABLE]], caption=f"The {min(LONG_TABLE, len(hardest))} hardest classes"))
        pieces.append(html.folded(f"All {len(found):,} classes", [html.table([row_of(row) for row in found])]))
    if absent:
        pieces.append(f"No sample of {_listed(absent)} is in this part, so nothing is known about {'it' if len(absent) == 1 else 'them'}.")
    intro = "Recall: of this class, how many are found. Precision: of those said to be of it, how many are. F1: their harmonic mean."
    return html.Section(title, pieces, intro=intro, short="Classes")


def _calibration(given: Predictions) -> html.Section:
    found = figures.calibration(given.targets, given.shares, bins=15 if len(given.shares) >= 1000 else 10)  # type: ignore[arg-type]
    confidence = float(given.shares.max(axis=1).astype(np.float64).mean())
    right = float((given.shares.argmax(axis=1) == given.targets).mean())
    gap = abs(confidence - right) * 100
    if gap < 0.5:
        title = f"On average it is as sure as it is right, {wording.percent(right, len(given.shares))} of the time"
    else:
        title = f"It is {gap:.1f} points {'too sure of itself' if confidence > right else 'too modest'}"
    loss = figures.log_loss(given.targets, given.shares)  # type: ignore[arg-type]
    summary = {
        "mean confidence": wording.percent(confidence, places=1),
        "read right": wording.percent(right, places=1),
        "expected calibration error": f"{wording.percent(found.ece, places=1)} ({found.rule})",
        "negative log-likelihood": f"{loss:.4f} nats",
    }
    caption = "Each dot is a bin of samples, its area their number; the orange line is how far it is from the diagonal."
    pieces = [html.figure(draw.reliability(found.confidence, found.accuracy, found.counts), caption), html.facts(summary)]
    return html.Section(title, [html.side_by_side(pieces)], short="Calibration")


def _gallery(run: StoredRun, given: Predictions, names: Sequence[str], data: Any | str) -> html.Section:
    assert given.targets is not None  # noqa: S101 - checked by the only caller
    wrong = int((given.shares.argmax(axis=1) != given.targets).sum())
    worst = figures.worst_errors(given.targets, given.shares, given.index, GALLERY, classes=names)
    things = wording.things(run.data_name)
    if not worst:
        text = f"There is no error to show: all {len(given.shares):,} {wording.part_name(given.split)} {things} are read right."
        return html.Section("It makes no error", [text], short="Errors")
    title = f"All {wrong} errors, the most confident first" if wrong <= GALLERY else f"The {GALLERY} most confident of {wrong:,} errors"
    if wrong == 1:
        title = "Its one error"
    pictures = pictures_of(data, given.split, [mistake.index for mistake in worst])
    intro = "What it is → what the network says, and how sure it is of that."
    captions = [Markup("<b>{} → {}</b><br>{}").format(names[m.target], names[m.predicted], wording.percent(m.share, places=0)) for m in worst]
    details = [f"{m.caption}, {m.share:.1%} sure; the true class got {m.target_share:.1%}; {given.split} sample {m.index}" for m in worst]
    if isinstance(pictures, str):
        rows = [
            {"true": names[m.target], "read as": names[m.predicted], "confidence": wording.percent(m.share, places=1), "sample": m.index}
            for m in worst
        ]
        return html.Section(title, [html.warning(pictures), html.table(rows)], short="Errors")
    return html.Section(
        title, [html.pictures(pictures, captions, details=details, size=_side(pictures, names), label=title)], intro=intro, short="Errors"
    )


def _side(pictures: Sequence[npt.NDArray[np.uint8]], names: Sequence[str]) -> int:
    if max(max(picture.shape[:2]) for picture in pictures) >= 64:
        return 148
    return 84 if max(map(len, names)) <= 6 else 112


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count:,} times")


def _listed(names: Sequence[str], most: int = 5) -> str:
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most:,} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
