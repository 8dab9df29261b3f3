"""The part of a report that shows where a network looks for things: boxes and points, its own beside the true ones."""

from __future__ import annotations

import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.core.errors import StriateError
from striate.draw import html
from striate.draw.outlines import GIVEN, TRUE, outlined
from striate.reports import wording
from striate.reports.reopened import pictures_of
from striate.reports.stored import Predictions, StoredRun
from striate.training.localise import ENOUGH

SHOWN = 12
"""How many pictures are shown: half of them as they come, half the worst."""


def boxes_section(run: StoredRun, given: Predictions, data: Any | str) -> html.Section | None:
    """Return figures of the boxes and points with pictures, or None where the run has neither. `data`: what `reopen` gave."""
    kept = _kept(run, given)
    if not kept:
        return None
    n = len(given.index)
    facts: dict[str, object] = {}
    pieces: list[html.Piece] = []
    worst = np.zeros(n)
    title = "Where it looks"
    if "boxes" in kept:
        shares = overlaps(kept["boxes"], kept["true_boxes"])
        found = int((shares >= ENOUGH).sum())
        worst = 1 - shares
        title = f"Its boxes and the true ones have {wording.percent(float(shares.mean()), places=0)} of their area in common"
        facts["mean IoU"] = f"{shares.mean():.3f}"
        facts[f"boxes with IoU of {ENOUGH:g} or more"] = f"{wording.percent(found / n, n)} ({found:,} of {n:,})"
        if given.targets is not None:
            both = int(((shares >= ENOUGH) & (given.shares.argmax(1) == given.targets)).sum())
            facts["class right and IoU of 0.5 or more"] = f"{wording.percent(both / n, n)} ({both:,} of {n:,})"
    if "points" in kept:
        apart = np.sqrt(np.square(kept["points"] - kept["true_points"]).sum(2))
        facts["mean distance of points"] = f"{np.nanmean(apart):.2f} pixels" if np.isfinite(apart).any() else "no point is seen"
        if "boxes" not in kept:
            worst = np.nan_to_num(np.nanmax(np.where(np.isfinite(apart), apart, 0.0), axis=1))
            title = f"Its points lie {np.nanmean(apart):.1f} pixels from the true ones" if np.isfinite(apart).any() else title
    pieces.append(html.facts(facts))
    pieces += _pictures(run, given, kept, worst, data)
    intro = "IoU, intersection over union, is the area both boxes share over the area either covers. White is the true box, orange the network's."
    return html.Section(title, pieces, intro=intro, short="Boxes" if "boxes" in kept else "Points")


def overlaps(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the IoU of paired boxes N 4."""
    from striate.pixels.boxes import iou

    return np.asarray(iou(np.asarray(a, np.float64), np.asarray(b, np.float64)))


def _kept(run: StoredRun, given: Predictions) -> dict[str, npt.NDArray[np.float32]]:
    try:
        with np.load(run.folder / "predictions" / f"{given.split}.npz", allow_pickle=False) as arrays:
            found = {name: np.asarray(arrays[name], np.float32) for name in ("boxes", "true_boxes", "points", "true_points") if name in arrays}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    n = len(given.index)
    usable = {name: found[name] for name in found if len(found[name]) == n and f"true_{name.removeprefix('true_')}" in found}
    return {name: values for name, values in usable.items() if name.removeprefix("true_") in usable}


def _pictures(
    run: StoredRun, given: Predictions, kept: dict[str, npt.NDArray[np.float32]], worst: npt.NDArray[np.float64], data: Any | str
) -> list[html.Piece]:
    n = len(given.index)
    some = np.linspace(0, n - 1, min(SHOWN // 2, n)).astype(int).tolist()
    hard = [int(row) for row in np.argsort(-worst, kind="stable") if row not in some][: SHOWN - len(some)]
    pieces: list[html.Piece] = []
    for heading, rows in (("As they come", some), ("The worst", hard)):
        if not rows:
            continue
        raw = pictures_of(data, given.split, [int(given.index[row]) for row in rows])
        if isinstance(raw, str):
            return [html.warning(raw)]
        try:
            fitted = [np.asarray(data.preprocess.fit(picture)) for picture in raw]  # type: ignore[union-attr]
        except (StriateError, AttributeError) as error:
            return [html.warning(f"The pictures are not shown. {error}")]
        drawn = [_drawn(picture, kept, row) for picture, row in zip(fitted, rows, strict=True)]
        captions = [_caption(run, given, kept, row) for row in rows]
        pieces += [html.heading(heading), html.pictures(drawn, captions, details=captions, size=148, label=heading)]
    return pieces


def _drawn(picture: npt.NDArray[np.uint8], kept: dict[str, npt.NDArray[np.float32]], row: int) -> npt.NDArray[np.uint8]:
    boxes = [kept["true_boxes"][row].tolist(), kept["boxes"][row].tolist()] if "boxes" in kept else []
    points: list[list[float]] = []
    colours = [TRUE, GIVEN]
    if "points" in kept:
        points = [pair.tolist() for pairs in zip(kept["true_points"][row], kept["points"][row], strict=True) for pair in pairs]
    return outlined(picture, boxes, points=points, colours=colours, side=296, line=4)


def _caption(run: StoredRun, given: Predictions, kept: dict[str, npt.NDArray[np.float32]], row: int) -> str:
    names = run.classes or tuple(str(number) for number in range(given.shares.shape[1]))
    said = names[int(given.shares[row].argmax())]
    true = names[int(given.targets[row])] if given.targets is not None else said
    label = true if true == said else f"{true} → {said}"
    if "boxes" not in kept:
        return label
    return f"{label}, IoU {overlaps(kept['boxes'][row : row + 1], kept['true_boxes'][row : row + 1])[0]:.2f}"
