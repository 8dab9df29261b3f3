"""Points in the plane, each drawn as its own picture: what lies where on a map of codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.core.errors import ArgumentError
from striate.draw import palette
from striate.draw.canvas import SMALL, Figure, clipped, headline, text_width, title_height
from striate.draw.images import SMALL_PICTURE, as_rgb, sheet_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas
    from numpy.typing import ArrayLike

SHARP = 2
"""Device pixels for one of the page."""
FORMS = "sDo^"
"""Marks of classes: colours repeat after eight, so the next eight are hollow, the eight after those of another form."""


def pictured(
    points: ArrayLike,
    pictures: Sequence[ArrayLike],
    *,
    labels: Sequence[int] | None = None,
    classes: Sequence[str] = (),
    title: str = "",
    note: str = "",
    side: int = 18,
    width: float = 960,
) -> Figure:
    """Draw each picture at its point (N 2), without overlaps: of pictures that cover each other the first stays, the others are dots.

    `labels` N colour the frame and dot of each by its class (from the ninth class on colours come again, with a white line inside the frame and
    hollow dots); `classes` names them in a legend; `side`: pixels of a picture; `note`: words at the bottom. Raises `ArgumentError`.
    """
    places = np.asarray(points, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != 2 or not len(places) or len(places) != len(pictures):
        raise ArgumentError(f"points: got shape {places.shape} for {len(pictures)} pictures, expected N 2, one point a picture")
    if not np.isfinite(places).all():
        raise ArgumentError("points: some are NaN or infinite")
    if labels is not None and len(labels) != len(places):
        raise ArgumentError(f"labels: got {len(labels)} for {len(places)} points")
    low, spread = places.min(0), np.ptp(places, axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    inner = width - side - 8
    tall = float(np.clip(inner * spread[1] / spread[0], inner * 0.5, inner))
    above = title_height(title, width)
    present = sorted({int(label) for label in labels}) if labels is not None else []
    named = [number for number in present if number < len(classes)]
    lines = _legend(named, classes, width)
    height = above + tall + side + 8 + 18 * len(lines) + (18 if note else 0)
    across = side / 2 + 4 + (places[:, 0] - low[0]) / spread[0] * inner
    down = above + side / 2 + 4 + (1 - (places[:, 1] - low[1]) / spread[1]) * tall
    shown = _free(across, down, side)
    soft = palette.ROLES["soft"][0]
    numbers = [int(label) for label in labels] if labels is not None else []

    def build(canvas: Canvas) -> None:
        headline(canvas, title)
        sheet = sheet_of(canvas, width, height)
        rest = np.setdiff1d(np.arange(len(places)), shown)
        if labels is None:
            sheet.scatter(across[rest], down[rest], s=5, c=soft, linewidths=0, alpha=0.75, zorder=1)
        for label in present:
            mine = rest[[numbers[i] == label for i in rest]]
            sheet.scatter(across[mine], down[mine], s=6, alpha=0.75, zorder=1, **_mark(label))
        stamps = _stamped([(across[i], down[i], numbers[i] if numbers else None, pictures[i]) for i in shown], side, width, height)
        sheet.imshow(stamps, extent=(0, width, height, 0), aspect="auto", interpolation="none", zorder=2)
        base = above + tall + side + 12
        for number, line in enumerate(lines):
            left = 4.0
            for label in line:
                words = clipped(classes[label], 150, SMALL)
                sheet.scatter([left + 5], [base + number * 18 + 6], s=42, **_mark(label))
                sheet.text(left + 14, base + number * 18 + 6, words, va="center", fontsize=SMALL, color=soft)
                left += text_width(words, SMALL) + 28
        if note:
            sheet.text(4, height - 4, clipped(note, width, SMALL), va="bottom", fontsize=SMALL, color=soft)

    return Figure(width, height, build, title=title or f"{len(places)} pictures on a map")


def _mark(label: int) -> dict[str, Any]:
    """Return how the mark of a class is drawn."""
    colour, turn = palette.series(label), label // len(palette.SERIES)
    hollow = turn % 2 == 1
    return {
        "marker": FORMS[turn // 2 % len(FORMS)],
        "facecolors": "none" if hollow else colour,
        "edgecolors": colour,
        "linewidths": 1.2 if hollow else 0,
    }


def _stamped(stamps: Sequence[tuple[float, float, int | None, ArrayLike]], side: int, width: float, height: float) -> np.ndarray[Any, Any]:
    """Return one picture with alpha (H W 4 uint8, `SHARP` pixels each way for one of the page) with every stamp in its frame."""
    from PIL import Image

    sheet = np.zeros((round(height * SHARP), round(width * SHARP), 4), dtype=np.uint8)
    box = side * SHARP
    for x, y, label, picture in stamps:
        rgb = as_rgb(picture)
        hollow = label is not None and label // len(palette.SERIES) % 2 == 1
        edge = 0 if label is None else 2 * SHARP if hollow else SHARP
        room = box - 2 * edge
        factor = room / max(rgb.shape[:2])
        size = (max(1, round(rgb.shape[1] * factor)), max(1, round(rgb.shape[0] * factor)))
        hard = max(rgb.shape[:2]) < SMALL_PICTURE and factor >= 1
        resized = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.NEAREST if hard else Image.Resampling.BOX))
        high, wide = resized.shape[0] + 2 * edge, resized.shape[1] + 2 * edge
        stamp = np.full((high, wide, 4), 255, dtype=np.uint8)
        if label is not None:
            frame = palette.series(label)
            stamp[..., :3] = [int(frame[i : i + 2], 16) for i in (1, 3, 5)]
        if hollow:
            stamp[SHARP : high - SHARP, SHARP : wide - SHARP, :3] = 255
        stamp[edge : high - edge, edge : wide - edge, :3] = resized
        top, left = max(0, round(y * SHARP - high / 2)), max(0, round(x * SHARP - wide / 2))
        part = sheet[top : top + high, left : left + wide]
        part[:] = stamp[: part.shape[0], : part.shape[1]]
    return sheet


def _free(across: np.ndarray[Any, Any], down: np.ndarray[Any, Any], side: float) -> np.ndarray[Any, Any]:
    """Return the numbers of the pictures that are drawn: in order, each that covers none drawn before it."""
    cells: dict[tuple[int, int], list[int]] = {}
    kept = []
    for number, (x, y) in enumerate(zip(across, down, strict=True)):
        column, row = int(x // side), int(y // side)
        near = (other for i in (-1, 0, 1) for j in (-1, 0, 1) for other in cells.get((column + i, row + j), ()))
        if all(abs(across[other] - x) >= side or abs(down[other] - y) >= side for other in near):
            cells.setdefault((column, row), []).append(number)
            kept.append(number)
    return np.array(kept, dtype=np.int64)


def _legend(numbers: Sequence[int], classes: Sequence[str], width: float) -> list[list[int]]:
    lines: list[list[int]] = []
    left = width
    for number in numbers:
        wide = text_width(clipped(classes[number], 150, SMALL), SMALL) + 28
        if left + wide > width:
            lines.append([])
            left = 4.0
        lines[-1].append(number)
        left += wide
    return lines
