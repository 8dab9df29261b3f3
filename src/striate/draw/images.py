"""Pictures in a grid and maps with their scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from striate.core.errors import ArgumentError
from striate.draw import palette
from striate.draw.canvas import SMALL, Figure, clipped, headline, text_width, title_height
from striate.draw.numbers import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from numpy.typing import ArrayLike

SMALL_PICTURE = 64
"""Pictures with a longer side under so many pixels are enlarged without smoothing."""


def as_rgb(picture: ArrayLike, what: str = "picture") -> np.ndarray[Any, Any]:
    """Return a picture (H W, H W 1, H W 3, H W 4, or C H W with 1 or 3 channels; uint8 or float in [0, 1]) as H W 3 uint8.

    Transparent pixels are laid on white. Raises `ArgumentError` naming the shape, type or range that came.
    """
    array = np.asarray(picture)
    if array.ndim == 3 and array.shape[-1] not in (1, 3, 4) and array.shape[0] in (1, 3):
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4) or 0 in array.shape:
        raise ArgumentError(f"{what}: got shape {tuple(np.shape(picture))}, expected H W, H W C or C H W with 1 or 3 channels")
    if array.dtype == np.bool_:
        array = array.astype(np.float32)
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= -1e-4 and high <= 1 + 1e-4):
            raise ArgumentError(f"{what}: floats run from {low:g} to {high:g}, expected 0 to 1; use maps() for raw values")
        array = np.rint(array.clip(0, 1) * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ArgumentError(f"{what}: got {array.dtype}, expected uint8 or float in [0, 1]")
    if array.shape[-1] == 4:
        alpha = array[..., 3:].astype(np.uint16)
        array = ((array[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(array, 3, axis=-1) if array.shape[-1] == 1 else array)


def fitted(picture: np.ndarray[Any, Any], width: float, height: float) -> np.ndarray[Any, Any]:
    """Return a picture (H W 3 uint8) reduced to at most `width` x `height` pixels, its shape kept; smaller ones stay as they are."""
    from PIL import Image

    factor = min(width / picture.shape[1], height / picture.shape[0])
    if factor >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def grid(
    pictures: Sequence[ArrayLike | None],
    captions: Sequence[str] | None = None,
    *,
    title: str = "",
    columns: int | None = None,
    rows: Sequence[str] | None = None,
    size: float | None = None,
    width: float = 640,
) -> Figure:
    """Draw pictures side by side: no frames, thin gaps, a small caption under each.

    `pictures`: each H W, H W C or C H W, uint8 or float in [0, 1], of any size, or None for a gap;
    `size`: pixels a side, else as large as `width` allows (at most 128);
    `rows`: names written left of each row. Raises `ArgumentError`.
    """
    shown = [None if picture is None else as_rgb(picture, f"picture {number}") for number, picture in enumerate(pictures)]
    _check(len(shown), captions, "pictures")
    labels = [""] * len(shown) if captions is None else [str(c) for c in captions]
    names = [] if rows is None else [str(name) for name in rows]
    margin = min(max((text_width(name, SMALL) for name in names), default=-8) + 8, 150)
    across = _columns(len(shown), columns, width - margin, size)
    side = size or min(128.0, math.floor((width - margin + 4) / across - 4))
    caption = 16 if any(labels) else 0
    tall = max((min(side, side * p.shape[0] / p.shape[1]) for p in shown if p is not None), default=side)
    step_x, step_y = side + 4, math.ceil(tall) + caption + 4
    down = math.ceil(len(shown) / across)
    if names and len(names) != down:
        raise ArgumentError(f"rows: got {len(names)} names for {down} rows of pictures")
    full = max(margin + across * step_x - 4, min(text_width(title, 13.6), width))
    head = title_height(title, full)
    height = head + down * step_y - (0 if caption else 4)

    def build(canvas: Canvas) -> None:
        headline(canvas, title)
        sheet = sheet_of(canvas, full, height)
        for number, (picture, label) in enumerate(zip(shown, labels, strict=True)):
            left, top = margin + number % across * step_x, head + number // across * step_y
            if picture is not None:
                placed(sheet, picture, left, top, side, tall)
            if label:
                text = clipped(label, side + 2, SMALL * 0.9)
                sheet.text(left + side / 2, top + math.ceil(tall) + 3, text, ha="center", va="top", fontsize=SMALL * 0.95, color=_SOFT)
        for number, name in enumerate(names):
            text = clipped(name, margin, SMALL)
            sheet.text(margin - 8, head + number * step_y + tall / 2, text, ha="right", va="center", fontsize=SMALL, color=_SOFT)

    return Figure(full, height, build, title=title or f"{len(shown)} pictures")


def maps(
    values: Sequence[ArrayLike] | np.ndarray[Any, Any],
    captions: Sequence[str] | None = None,
    *,
    title: str = "",
    signed: bool | None = None,
    shared: bool = False,
    columns: int | None = None,
    size: float | None = None,
    width: float = 640,
) -> Figure:
    """Draw raw values (each H W) in colour, with a scale that shows the raw smallest and largest value.

    Signed values (`None`: where any is negative) go from blue over neutral, at zero, to red; magnitudes through magma. `shared`: one scale for all,
    drawn once; otherwise each map has its own. What is not finite is grey and counted in the caption. Raises `ArgumentError`.
    """
    arrays = [np.asarray(v, dtype=np.float64) for v in values]
    for number, array in enumerate(arrays):
        if array.ndim != 2 or 0 in array.shape:
            raise ArgumentError(f"map {number}: got shape {array.shape}, expected H W")
    _check(len(arrays), captions, "maps")
    labels = [""] * len(arrays) if captions is None else [str(c) for c in captions]
    for number, array in enumerate(arrays):
        if missing := int((~np.isfinite(array)).sum()):
            labels[number] = f"{labels[number]} ({missing} not finite)".strip()
    scales = [palette.span(a, signed=signed) for a in arrays]
    if shared:
        low, high = min(s[0] for s in scales), max(s[1] for s in scales)
        scales = [(low, high, low < 0 if signed is None else signed)] * len(arrays)
    across = _columns(len(arrays), columns, width, size)
    side = size or min(160.0, math.floor((width + 8) / across - 8))
    caption, bar = 16 if any(labels) else 0, 0 if shared else 24
    tall = math.ceil(max(min(side, side * a.shape[0] / a.shape[1]) for a in arrays))
    gap = 8 if bar else 3
    step_x, step_y = side + gap, tall + caption + bar + (10 if bar else gap)
    down = math.ceil(len(arrays) / across)
    full = max(across * step_x - gap, min(text_width(title, 13.6), width), 160 if shared else 0)
    head = title_height(title, full)
    height = head + down * step_y + (26 if shared else 0)

    def build(canvas: Canvas) -> None:
        headline(canvas, title)
        sheet = sheet_of(canvas, full, height)
        for number, (array, label, (low, high, both)) in enumerate(zip(arrays, labels, scales, strict=True)):
            left, top = number % across * step_x, head + number // across * step_y
            placed(sheet, palette.colour(array, signed=both, low=low, high=high), left, top, side, tall)
            if label:
                text = clipped(label, side + 2, SMALL * 0.9)
                sheet.text(left + side / 2, top + tall + 3, text, ha="center", va="top", fontsize=SMALL * 0.95, color=_SOFT)
            if bar:
                scale_bar(sheet, left, top + tall + caption + 4, side, low, high, signed=both)
        if shared:
            low, high, both = scales[0]
            scale_bar(sheet, 0, height - 24, min(full, 240), low, high, signed=both)

    return Figure(full, height, build, title=title or f"{len(arrays)} maps")


_SOFT = palette.ROLES["soft"][0]


def _check(found: int, captions: Sequence[str] | None, what: str) -> None:
    if not found:
        raise ArgumentError(f"{what}: got none, expected at least one")
    if captions is not None and len(captions) != found:
        raise ArgumentError(f"captions: got {len(captions)} for {found} {what}")


def _columns(number: int, columns: int | None, width: float, size: float | None) -> int:
    if columns is not None:
        if columns < 1:
            raise ArgumentError(f"columns: got {columns}, expected 1 or more")
        return columns
    if size:
        return max(1, min(number, int((width + 4) // (size + 4))))
    return min(number, 10 if number > 16 else 8)


def sheet_of(canvas: Canvas, width: float, height: float) -> Axes:
    """An axes over the whole figure whose coordinates are pixels from the top left."""
    axes = canvas.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    axes.set_axis_off()
    return axes


def placed(sheet: Axes, picture: np.ndarray[Any, Any], left: float, top: float, side: float, tall: float) -> None:
    """Put a picture (H W 3 uint8) into the box, centred, its shape kept; small ones with hard pixels, large ones reduced first."""
    factor = min(side / picture.shape[1], tall / picture.shape[0])
    wide, high = picture.shape[1] * factor, picture.shape[0] * factor
    smooth = max(picture.shape[:2]) >= SMALL_PICTURE
    content = fitted(picture, 2 * wide, 2 * high) if smooth else picture
    x, y = left + (side - wide) / 2, top + (tall - high) / 2
    shown = sheet.imshow(content, extent=(x, x + wide, y + high, y), aspect="auto", interpolation="none", clip_on=False)
    if smooth:
        shown.set_gid("smooth")
        shown.set_interpolation("antialiased")  # an SVG takes it whole (`Figure.svg`)


def scale_bar(sheet: Axes, left: float, top: float, width: float, low: float, high: float, *, signed: bool) -> None:
    """A thin bar from the raw smallest to the raw largest value, with both written out and zero marked when it lies between."""
    if low == high:
        sheet.text(left + width / 2, top + 8, f"all {short(low)}", ha="center", va="top", fontsize=SMALL * 0.9, color=_SOFT)
        return
    strip = palette.colour(np.linspace(low, high, 256)[None], signed=signed, low=low, high=high)
    sheet.imshow(strip, extent=(left, left + width, top + 5, top), aspect="auto", interpolation="none", clip_on=False)
    words: dict[str, Any] = {"va": "top", "fontsize": SMALL * 0.9, "color": _SOFT}
    sheet.text(left, top + 8, short(low), ha="left", **words)
    sheet.text(left + width, top + 8, short(high), ha="right", **words)
    zero = left + width * (0 - low) / (high - low)
    clear = [text_width(short(v), SMALL * 0.9) + 6 for v in (low, high)]
    if left + clear[0] < zero < left + width - clear[1]:
        sheet.plot([zero, zero], [top - 1, top + 7], color=_SOFT, linewidth=0.8, clip_on=False)
        sheet.text(zero, top + 8, "0", ha="center", **words)
