"""What a classifier confuses, and whether its confidence can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from striate.core.errors import ArgumentError
from striate.draw import palette
from striate.draw.canvas import SMALL, Figure, clipped, frame, settle, text_width, title_height
from striate.draw.numbers import count, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas
    from numpy.typing import ArrayLike

_INK, _SOFT, _PAPER = (palette.ROLES[role][0] for role in ("ink", "soft", "paper"))
_RIGHT, _WRONG = (59, 130, 196), (213, 94, 0)


def confusion(matrix: ArrayLike, classes: Sequence[str], title: str = "", *, width: float | None = None) -> Figure:
    """Draw counts (K K; row: the true class, column: the predicted one): the diagonal in blue, errors in orange, both by their share of the row.

    Up to 20 classes carry their numbers, up to 60 their names. Errors are coloured by the root of their share, so that rare ones show.
    Raises `ArgumentError`.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    size = len(classes)
    if counts.shape != (size, size) or not size:
        raise ArgumentError(f"matrix: got shape {counts.shape} for {size} classes, expected ({size}, {size})")
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise ArgumentError("matrix: got a negative or non-finite number, expected counts")
    totals = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    diagonal = np.eye(size, dtype=bool)
    cells = np.zeros((size, size, 4))
    cells[..., :3] = np.where(diagonal[..., None], _RIGHT, _WRONG) / np.float64(255)
    worst = max(float(share[~diagonal].max()) if size > 1 else 0.0, 0.02)
    cells[..., 3] = np.where(diagonal, 0.5 * share, 0.62 * np.sqrt(share / worst))
    names = [clipped(str(name), 110, SMALL) for name in classes]
    longest = max(text_width(name, SMALL) for name in names)
    cell = max(34.0 if size <= 12 else 26.0, 0.0) if size <= 20 else max(11.0, 420 / size) if size <= 60 else 480 / size
    named, written = size <= 60, size <= 20
    turned = named and longest > cell - 2
    side = cell * size if width is None else max(width - longest - 40, 60)
    full = side + (longest if named else 0) + 40
    head = title_height(title, full)
    high = head + side + (longest * (0.75 if turned else 0) if named else 0) + 44

    def build(canvas: Canvas) -> None:
        axes = frame(canvas, title, right=4)
        axes.grid(visible=False)
        axes.imshow(cells, interpolation="none")
        axes.set_aspect("equal")
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("predicted", fontsize=SMALL, labelpad=7)
        axes.set_ylabel("true", fontsize=SMALL)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0, labelcolor=_INK)
        if named:
            small = min(SMALL, cell * side / (cell * size) * 0.95)
            axes.set_xticks(
                range(size), names, rotation=50 if turned else 0, ha="left" if turned else "center", rotation_mode="anchor", fontsize=small
            )
            axes.set_yticks(range(size), names, fontsize=small)
        else:
            axes.set_xticks([])
            axes.set_yticks([])
        if size <= 30:
            edges = np.arange(1, size) - 0.5
            axes.hlines(edges, -0.5, size - 0.5, color=_PAPER, linewidth=1.5)
            axes.vlines(edges, -0.5, size - 0.5, color=_PAPER, linewidth=1.5)
        if written:
            for row, column in np.argwhere(counts > 0):
                text = count(counts[row, column]) if counts[row, column] < 10000 else short(counts[row, column] / 1000) + "k"
                axes.text(column, row, text, ha="center", va="center", fontsize=min(SMALL, 1.55 * cell / max(len(text), 2)), color=_INK)
        settle(canvas)

    return Figure(full, high, build, title=title or f"confusion of {size} classes")


def reliability(
    confidence: ArrayLike,
    accuracy: ArrayLike,
    number: ArrayLike,
    title: str = "",
    *,
    width: float = 380,
    height: float = 330,
) -> Figure:
    """Draw, for each bin of confidence, how often the net was right; the diagonal is what the confidence promises.

    `confidence`, `accuracy`: means of each bin, 0 to 1 (NaN where a bin is empty); `number`: samples in each bin, shown as the area of its dot.
    Raises `ArgumentError`.
    """
    said, right, samples = (np.asarray(v, dtype=np.float64).ravel() for v in (confidence, accuracy, number))
    if not (said.shape == right.shape == samples.shape and said.size):
        raise ArgumentError(f"reliability: got {said.size} confidences, {right.size} accuracies and {samples.size} counts, expected equal numbers")
    full = (samples > 0) & np.isfinite(said) & np.isfinite(right)

    def build(canvas: Canvas) -> None:
        axes = frame(canvas, title, right=8)
        axes.plot([0, 1], [0, 1], color=_SOFT, linewidth=1, linestyle=(0, (3, 3)))
        area = 16 + 284 * samples[full] / max(samples.max(), 1)
        axes.vlines(said[full], said[full], right[full], color=palette.series(1), linewidth=1.6)
        axes.plot(said[full], right[full], color=palette.series(0), linewidth=1.2)
        axes.scatter(said[full], right[full], s=area, color=palette.series(0), alpha=0.85, linewidths=0, zorder=3, clip_on=False)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.set_aspect("equal")
        ticks = [0, 0.25, 0.5, 0.75, 1]
        axes.set_xticks(ticks[1:], [f"{t * 100:.0f}\u2009%" for t in ticks[1:]])
        axes.set_yticks(ticks, [f"{t * 100:.0f}\u2009%" for t in ticks])
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("how sure it says it is", loc="right")
        axes.set_title("how often it is right", loc="left", fontsize=SMALL, color=_SOFT, pad=6)
        axes.text(0.04, 0.1, "too modest above,\ntoo sure below the line", fontsize=SMALL * 0.95, color=_SOFT, transform=axes.transAxes) if not (
            full & (said < 0.5) & (right < 0.25)
        ).any() else None
        settle(canvas)

    return Figure(width, height, build, title=title or "reliability")
