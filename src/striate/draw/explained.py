"""Pictures, maps and maps laid over their pictures, side by side in rows: how an explanation is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.core.errors import ArgumentError
from striate.draw import palette
from striate.draw.canvas import SMALL, Figure, clipped, headline, text_width, title_height
from striate.draw.images import as_rgb, placed, scale_bar, sheet_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from numpy.typing import ArrayLike

LINE = 14
"""Height of a legend's line."""
FAINT = 0.45
"""Strength of a picture under a map that is laid over it: the rest is white."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One cell: a `picture` (as `draw.grid` takes it), a raw `values` map (H W), or, with both, the map laid over the picture.

    `signed`: None for blue and red where any value is negative; `low`, `high`: a shared scale's ends; `bar`: draw the scale under it;
    `shape`: H W of the picture a coarse map belongs to, whose proportions it is drawn in; `legend`: colours (`#rrggbb`) of a picture and what they
    mean, a line each under it.
    """

    picture: ArrayLike | None = None
    values: ArrayLike | None = None
    caption: str = ""
    signed: bool | None = None
    low: float | None = None
    high: float | None = None
    bar: bool = True
    shape: tuple[int, int] | None = None
    legend: Sequence[tuple[str, str]] = ()


def panels(
    rows: Sequence[Sequence[Panel | None]],
    *,
    title: str = "",
    heads: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    size: float | None = None,
    width: float = 640,
) -> Figure:
    """Draw rows of panels: `heads` over the columns, `names` left of the rows, a caption under each panel, and every map's scale with its raw ends.

    A head may run on over columns whose own is empty; a column of gaps alone is narrow. `size`: pixels a side, else as large as `width` allows (at
    most 200). Raises `ArgumentError`.
    """
    across = max((len(row) for row in rows), default=0)
    if not across:
        raise ArgumentError("rows: got none, expected at least one panel")
    for what, given, wanted in (("heads", heads, across), ("names", names, len(rows))):
        if given is not None and len(given) != wanted:
            raise ArgumentError(f"{what}: got {len(given)}, expected {wanted}")
    margin = min(max((text_width(name, SMALL) for name in names or ()), default=-8) + 8, 170)
    gaps = [all(place >= len(row) or row[place] is None for row in rows) for place in range(across)]
    shares = [0.25 if gap else 1.0 for gap in gaps]
    side = size or min(200.0, math.floor((width - margin + 8 - across * 8) / sum(shares)))
    lefts = [margin + place * 8 + side * sum(shares[:place]) for place in range(across + 1)]
    full = max(lefts[-1] - 8, min(text_width(title, 13.6), width))
    above = title_height(title, full)
    laid = [_Row([None if panel is None else _Cell(panel, number) for panel in row], side) for number, row in enumerate(rows)]
    head = above + (20 if heads is not None else 0)
    height = head + sum(row.height for row in laid)

    def build(canvas: Canvas) -> None:
        headline(canvas, title)
        sheet = sheet_of(canvas, full, height)
        for place, words in enumerate(heads or ()):
            end = next((later for later in range(place + 1, across) if (heads or ())[later]), across)
            sheet.text(lefts[place], above + 2, clipped(words, lefts[end] - lefts[place] - 2, SMALL * 0.95), ha="left", va="top", **_WORDS)
        top = head
        for number, row in enumerate(laid):
            if names is not None:
                sheet.text(margin - 8, top + row.tall / 2, clipped(names[number], margin, SMALL * 0.95), ha="right", va="center", **_WORDS)
            row.draw(sheet, lefts, top)
            top += row.height

    return Figure(full, height - 8, build, title=title or f"{sum(len(row) for row in rows)} panels")


def laid_over(picture: ArrayLike, values: ArrayLike, *, signed: bool | None = None, low: float | None = None, high: float | None = None) -> Any:
    """Return a picture H W 3 uint8, grey and faint, with a map h w laid over it (enlarged smoothly): strong values cover it, zeros leave it bare."""
    from PIL import Image

    rgb = as_rgb(picture)
    array = np.nan_to_num(np.asarray(values, dtype=np.float64))
    least, most, both = palette.span(array, signed=signed, low=low, high=high)
    large = np.asarray(Image.fromarray(array.astype(np.float32)).resize((rgb.shape[1], rgb.shape[0]), Image.Resampling.BILINEAR), dtype=np.float64)
    base = max(abs(least), abs(most)) if both else most - least
    strength = (np.abs(large) if both else large - least) / base if base > 0 else np.zeros_like(large)
    weight = 0.9 * strength.clip(0, 1)[..., None]
    grey = 255 - FAINT * (255 - (rgb @ np.array([0.299, 0.587, 0.114])))[..., None]
    coloured = palette.colour(large, signed=both, low=least, high=most).astype(np.float64)
    return np.rint(grey * (1 - weight) + coloured * weight).clip(0, 255).astype(np.uint8)


def _spread(rgb: np.ndarray[Any, Any], shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    """Repeat pixels until the map has the proportions of `shape`, its own pixels still hard."""
    high, wide = max(shape[0], 2 * rgb.shape[0]), max(shape[1], 2 * rgb.shape[1])
    down = (np.arange(high) * rgb.shape[0] // high)[:, None]
    return np.ascontiguousarray(rgb[down, np.arange(wide) * rgb.shape[1] // wide])


class _Cell:
    """A panel made ready: its pixels and its scale."""

    def __init__(self, panel: Panel, row: int) -> None:
        self.panel = panel
        self.low = self.high = 0.0
        self.signed = False
        if panel.values is None:
            if panel.picture is None:
                raise ArgumentError(f"row {row}: a panel without picture and values; use None for a gap")
            self.rgb = as_rgb(panel.picture, f"picture in row {row}")
        else:
            array = np.asarray(panel.values, dtype=np.float64)
            if array.ndim != 2 or 0 in array.shape:
                raise ArgumentError(f"map in row {row}: got shape {array.shape}, expected H W")
            self.low, self.high, self.signed = palette.span(array, signed=panel.signed, low=panel.low, high=panel.high)
            scale: dict[str, Any] = {"signed": self.signed, "low": self.low, "high": self.high}
            self.rgb = palette.colour(array, **scale) if panel.picture is None else laid_over(panel.picture, array, **scale)
            if panel.shape is not None and panel.picture is None:
                self.rgb = _spread(self.rgb, panel.shape)
        self.shape = self.rgb.shape
        self.has_bar = panel.values is not None and panel.bar


class _Row:
    """Panels side by side, and how tall they stand with captions and scales."""

    def __init__(self, cells: list[_Cell | None], side: float) -> None:
        self.cells, self.side = cells, side
        shown = [cell for cell in cells if cell is not None]
        self.tall = math.ceil(max((min(side, side * cell.shape[0] / cell.shape[1]) for cell in shown), default=0))
        self.words = 16 if any(cell.panel.caption for cell in shown) else 0
        below = max((LINE * len(cell.panel.legend) for cell in shown), default=0)
        self.height = self.tall + self.words + max(below, 26 if any(cell.has_bar for cell in shown) else 0) + 8

    def draw(self, sheet: Axes, lefts: Sequence[float], top: float) -> None:
        """Draw the row's panels from the places `lefts` on."""
        for cell, left in zip(self.cells, lefts, strict=False):
            if cell is not None:
                placed(sheet, cell.rgb, left, top, self.side, self.tall)
                words = clipped(cell.panel.caption, self.side + 4, SMALL * 0.95)
                sheet.text(left + self.side / 2, top + self.tall + 3, words, ha="center", va="top", **_WORDS)
                if cell.has_bar:
                    scale_bar(sheet, left, top + self.tall + self.words + 5, self.side, cell.low, cell.high, signed=cell.signed)
                self._explain(sheet, cell.panel.legend, left, top + self.tall + self.words + 4)

    def _explain(self, sheet: Axes, legend: Sequence[tuple[str, str]], left: float, top: float) -> None:
        for number, (colour, meaning) in enumerate(legend):
            middle = top + LINE * (number + 0.5)
            sheet.fill([left, left + 8, left + 8, left], [middle - 4, middle - 4, middle + 4, middle + 4], color=colour, linewidth=0)
            sheet.text(left + 13, middle, clipped(meaning, self.side - 13, SMALL * 0.95), ha="left", va="center", **_WORDS)


_WORDS: dict[str, Any] = {"fontsize": SMALL * 0.95, "color": palette.ROLES["soft"][0]}
