"""Boxes and points drawn into a picture: thin outlines with a dark casing, so that they are seen on any ground."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.core.errors import ArgumentError
from striate.draw import palette
from striate.draw.images import as_rgb

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

TRUE, GIVEN = "#ffffff", palette.SERIES[1][1]
"""Colours of what is and of what a network says: white and orange."""
_CASING = (20, 22, 26)


def outlined(
    picture: ArrayLike,
    boxes: Sequence[Sequence[float]] = (),
    *,
    points: Sequence[Sequence[float]] = (),
    colours: Sequence[str] = (TRUE, GIVEN),
    side: int = 240,
    line: int = 2,
) -> np.ndarray[Any, Any]:
    """Return the picture as H W 3 uint8 with `boxes` (x, y, w, h) and `points` (x, y) drawn in, in pixels of the picture.

    It is first enlarged, without smoothing, by the greatest whole number that keeps its longer side within `side` pixels. Box and point `i` have the
    colour `i` (`#rrggbb`) of `colours`, which repeat; values that are not finite are left out. `line`: pixels of the coloured line.
    Raises `ArgumentError`.
    """
    image = as_rgb(picture)
    factor = max(1, side // max(image.shape[:2]))
    canvas = image.repeat(factor, axis=0).repeat(factor, axis=1)
    if not colours:
        raise ArgumentError("colours: got none, expected at least one")
    for number, box in enumerate(boxes):
        if len(box) != 4:
            raise ArgumentError(f"boxes: box {number} has {len(box)} numbers, expected x, y, w, h")
        if np.isfinite(box).all():
            x, y, w, h = (float(value) * factor for value in box)
            _outline(canvas, x, y, x + w, y + h, _rgb(colours[number % len(colours)]), max(1, line // 2))
    for number, point in enumerate(points):
        if len(point) != 2:
            raise ArgumentError(f"points: point {number} has {len(point)} numbers, expected x, y")
        if np.isfinite(point).all():
            _dot(canvas, float(point[0]) * factor, float(point[1]) * factor, _rgb(colours[number % len(colours)]))
    return canvas


def _outline(canvas: np.ndarray[Any, Any], left: float, top: float, right: float, bottom: float, colour: tuple[int, ...], half: int) -> None:
    height, width = canvas.shape[:2]
    x0, x1 = (int(np.clip(round(v), 2, width - 2)) for v in (left, right))
    y0, y1 = (int(np.clip(round(v), 2, height - 2)) for v in (top, bottom))
    for reach, ink in ((half + (half + 1) // 2, _CASING), (half, colour)):
        for y in (y0, y1):
            canvas[max(y - reach, 0) : y + reach, max(x0 - reach, 0) : x1 + reach] = ink
        for x in (x0, x1):
            canvas[max(y0 - reach, 0) : y1 + reach, max(x - reach, 0) : x + reach] = ink


def _dot(canvas: np.ndarray[Any, Any], x: float, y: float, colour: tuple[int, ...]) -> None:
    column, row = round(x), round(y)
    for reach, ink in ((4, _CASING), (3, colour)):
        canvas[max(row - reach, 0) : max(row + reach, 0), max(column - reach, 0) : max(column + reach, 0)] = ink


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
