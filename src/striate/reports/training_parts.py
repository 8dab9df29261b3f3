"""The parts of a report that say how the network learned and what its first layer looks like."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup

from striate import draw
from striate.draw import html
from striate.reports import wording
from striate.reports.filters import NEAR_ZERO, Filters, first_filters
from striate.reports.stored import StoredRun, number

SHOWN = 128
"""How many filters are drawn; more are counted and said."""
_LABELS = {"train": "training", "val": "validation"}


def learning_section(run: StoredRun) -> html.Section:
    """Return loss, error and learning rate over the epochs, or what there is of them."""
    if not run.history:
        text = "No epoch came to its end, so there is no history yet."
        return html.Section("Nothing learned yet", [text], short="Learning")
    if len(run.history) == 1:
        known = {wording.figure_name(name): _figure(name, value) for name, value in run.history[0].items()}
        return html.Section(_learned(run), [html.facts(known)], short="Learning")
    pieces = []
    for key in ("loss", "error"):
        lines = _lines(run, key)
        if lines:
            dashed = [label for label in lines if label == "training"] if len(lines) > 1 else []
            colours = {label: 1 if label == "training" else 0 for label in lines}
            chart = draw.curves(lines, key, "epoch", percent=key == "error", dashed=dashed, colours=colours, floor=0, width=460, height=250)
            pieces.append(html.figure(chart))
    rates = run.series("lr")
    if rates[0]:
        chart = draw.curves({"learning rate": rates}, "learning rate", "epoch", width=460, height=190, floor=0, colours={"learning rate": 2})
        pieces.append(html.figure(chart))
    notes = _notes(run)
    return html.Section(_learned(run), [html.side_by_side(pieces), *notes], short="Learning")


def filter_section(run: StoredRun) -> html.Section:
    """Return the first convolution's filters on one scale, in colour for three channels, or why there are none."""
    found = first_filters(run)
    if isinstance(found, str):
        return html.Section("No first-layer filters to show", [found], short="Filters")
    outputs, channels, height, width = found.weights.shape
    size = f"{outputs:,} filters of {height} × {width} over {channels} channel{'s' if channels > 1 else ''}"
    if height * width == 1:
        text = f"The first convolution, {found.layer}, has {size}: one number a channel, nothing to see in a picture."
        return html.Section(f"{outputs} filters of one pixel", [text], short="Filters")
    pieces: list[html.Piece] = [_drawn(found)]
    if outputs > SHOWN:
        pieces.append(f"The first {SHOWN} of {outputs:,} are shown.")
    faint = f" ≈ 0: the norm is under {NEAR_ZERO:.0%} of the largest." if found.near_zero else ""
    intro = f"{found.layer} in {found.file}: {size}, all on one scale.{faint}"
    return html.Section(found.title, pieces, intro=intro, short="Filters")


def _lines(run: StoredRun, key: str) -> dict[str, tuple[list[float], list[float]]]:
    lines = {label: run.series(f"{part}/{key}") for part, label in _LABELS.items()}
    return {label: line for label, line in lines.items() if line[0]}


def _learned(run: StoredRun) -> str:
    for part, word in (("val", "Validation"), ("train", "Training")):
        epochs, errors = run.series(f"{part}/error")
        if len(errors) > 1:
            fate = "falls" if errors[-1] < errors[0] else "does not fall:"
            first, last = wording.percent(errors[0], places=1), wording.percent(errors[-1], places=1)
            return f"{word} error {fate} {'from ' if fate == 'falls' else ''}{first} to {last} in {epochs[-1]:g} epochs"
    losses = run.series("train/loss")[1]
    if len(losses) > 1:
        return f"Loss goes from {losses[0]:.3g} to {losses[-1]:.3g} in {len(losses)} epochs"
    if len(run.history) > 1:
        return f"{len(run.history)} epochs of training"
    return "One epoch of training, so there is no curve yet"


def _figure(name: str, value: object) -> str:
    known = number(value)
    if known is None:
        return wording.spelled(value)
    if wording.is_share(name):
        return wording.percent(known, places=2)
    return wording.duration(known) if name == "seconds" else wording.rate(known) if name == "rate" else draw.short(known, 4)


def _notes(run: StoredRun) -> list[html.Piece]:
    notes: list[str] = []
    epochs, errors = run.series("val/error")
    if errors:
        best = int(np.argmin(errors))
        if best < len(errors) - 1:
            notes.append(
                f"The lowest validation error, {wording.percent(errors[best], places=2)}, was reached after epoch {epochs[best]:g}; "
                f"the last epoch has {wording.percent(errors[-1], places=2)}."
            )
    elif not run.series("val/loss")[0]:
        notes.append("There was no validation part, so only the training curves are known.")
    train = run.series("train/error")[1]
    if errors and train and errors[-1] < train[-1]:
        notes.append(
            "Training figures are means over an epoch while the weights still move, with augmentation and dropout on; "
            "so they can lie above validation."
        )
    return list(notes)


def _drawn(found: Filters) -> Markup:
    weights = found.weights[:SHOWN]
    outputs, channels, height, width = weights.shape
    labels: Mapping[int, str] = dict.fromkeys(found.near_zero, "≈ 0")
    largest = float(np.abs(found.weights).max()) or 1.0
    if channels == 3:
        pictures = [(0.5 + 0.5 * kernel.transpose(1, 2, 0) / largest).astype(np.float32) for kernel in weights]
        captions = [labels.get(number, "") for number in range(outputs)] if any(number < outputs for number in labels) else None
        details = [_detail(found, number) for number in range(outputs)]
        gallery = html.pictures(pictures, captions, details=details, size=max(44, min(84, 14 * max(height, width) // 2)), label="filters")
        words = f"Red, green and blue weights from −{largest:.3g} (dark) over 0 (mid-grey) to {largest:.3g} (bright)."
        return Markup("{}{}").format(gallery, html.text(words))
    planes = [kernel[0] if channels == 1 else kernel.mean(axis=0) for kernel in weights]
    side = 72 if outputs <= 32 else 48
    captions = [labels.get(number, "") for number in range(outputs)] if any(number < outputs for number in labels) else None
    drawing = draw.maps(planes, captions, signed=True, shared=True, size=side)
    caption = "" if channels == 1 else f"Each is the mean over its {channels} input channels."
    return html.figure(drawing, caption)


def _detail(found: Filters, number: int) -> str:
    kernel = found.weights[number]
    return f"filter {number}: weights from {kernel.min():.3g} to {kernel.max():.3g}, norm {np.linalg.norm(kernel):.3g}"
