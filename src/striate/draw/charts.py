"""Curves, bars, histograms and scatters: words on the lines themselves, no frames, a light grid."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from striate.core.errors import ArgumentError, unknown_name
from striate.draw import palette
from striate.draw.canvas import SMALL, Figure, clipped, frame, headline, note, printable, settle, text_width, title_height
from striate.draw.numbers import count, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure as Canvas
    from numpy.typing import ArrayLike

Log = Literal["", "x", "y", "xy"]
_INK, _SOFT, _LINE, _PAPER, _ACCENT = (palette.ROLES[role][0] for role in ("ink", "soft", "line", "paper", "accent"))


def curves(
    lines: Mapping[str, tuple[ArrayLike, ArrayLike]],
    title: str = "",
    x: str = "",
    y: str = "",
    *,
    log: Log = "",
    percent: bool = False,
    dashed: Collection[str] = (),
    colours: Mapping[str, int] | None = None,
    points: bool = False,
    floor: float | None = None,
    width: float = 480,
    height: float = 290,
) -> Figure:
    """Draw lines `{label: (x, y)}`, each named at its right end.

    `log`: which axes are logarithmic; `percent`: y holds shares 0 to 1, written as percentages; `dashed`: labels of lines drawn dashed;
    `colours`: label to series number (equal numbers, equal colour); `points`: mark every point; `floor`: where y begins.
    Points that cannot be drawn (not finite, or
    not above zero on a logarithmic axis) are left out and counted below. Raises `ArgumentError`.
    """
    _log(log)
    if not lines:
        raise ArgumentError("lines: got none, expected {label: (x, y)}")
    for label in [*dashed, *(colours or {})]:
        if label not in lines:
            raise unknown_name("line", label, lines)
    drawn, dropped = {}, 0
    for label, (first, second) in lines.items():
        xs, ys = np.asarray(first, dtype=np.float64).ravel(), np.asarray(second, dtype=np.float64).ravel()
        if xs.shape != ys.shape:
            raise ArgumentError(f"line {label!r}: x has {xs.size} values and y has {ys.size}")
        good = np.isfinite(xs) & np.isfinite(ys) & ((xs > 0) | ("x" not in log)) & ((ys > 0) | ("y" not in log))
        dropped += int((~good).sum())
        drawn[label] = (xs, np.where(good, ys * (100 if percent else 1), np.nan), good)
    number = {label: (colours or {}).get(label, place) for place, label in enumerate(lines)}
    named = len(lines) > 1
    room = min(max(text_width(label, SMALL) for label in lines) + 10, width * 0.34) if named else 6

    def build(canvas: Canvas) -> None:
        axes = frame(canvas, title, right=room, bottom=14 if dropped else 0)
        for label, (xs, ys, good) in drawn.items():
            style: Any = (0, (4, 2.5)) if label in dashed else "-"
            lone = points or int(good.sum()) == 1
            axes.plot(xs, ys, color=palette.series(number[label]), linestyle=style, marker="o" if lone else "", markersize=4, clip_on=False)
        _axes(axes, x, y, log, whole=all(np.array_equal(xs, np.round(xs)) for xs, _, _ in drawn.values()))
        if floor is not None:
            axes.set_ylim(bottom=floor)
        if percent:
            axes.yaxis.set_major_formatter(lambda value, _: f"{short(value)}\u2009%")
        note(canvas, f"{count(dropped)} points cannot be drawn and are left out" if dropped else "")
        settle(canvas)
        if named:
            ends = {label: (xs[good][-1], ys[good][-1]) for label, (xs, ys, good) in drawn.items() if good.any()}
            _name_ends(axes, ends, number, room)

    return Figure(width, height, build, title=title or "curves")


def bars(
    values: Mapping[str, float],
    title: str = "",
    *,
    unit: str = "",
    digits: int = 3,
    spread: Mapping[str, float] | None = None,
    highlight: Collection[str] = (),
    width: float = 480,
) -> Figure:
    """Draw one horizontal bar a label, its value written at its end.

    `spread`: plus-minus for each label; `highlight`: labels drawn in the accent colour, the others quieter. Raises `ArgumentError`.
    """
    if not values:
        raise ArgumentError("values: got none, expected {label: number}")
    for label in [*highlight, *(spread or {})]:
        if label not in values:
            raise unknown_name("bar", label, values)
    labels = list(values)
    amounts = np.asarray([values[label] for label in labels], dtype=np.float64)
    finite = np.where(np.isfinite(amounts), amounts, 0.0)
    written = [
        f"{short(float(v), digits)}{unit}" + (f" ± {short(spread[k], 2)}" if spread and k in spread else "")
        for k, v in zip(labels, amounts, strict=True)
    ]
    left = min(max(text_width(label) for label in labels), width * 0.4) + 8
    right = max(text_width(text) for text in written) + 6
    step = 22
    head = title_height(title, width)
    height = head + step * len(labels) + 2
    low, high = min(0.0, float(finite.min())), max(0.0, float(finite.max()))
    scale = (width - left - right) / ((high - low) or 1.0)

    def build(canvas: Canvas) -> None:
        headline(canvas, title)
        axes = canvas.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        zero = left - low * scale
        for place, label in enumerate(labels):
            middle = head + (place + 0.5) * step
            strong = not highlight or label in highlight
            end = zero + finite[place] * scale
            axes.barh(
                middle,
                end - zero,
                left=zero,
                height=step - 7,
                color=palette.series(0) if strong else palette.series(7),
                alpha=1.0 if strong else 0.55,
            )
            if spread and label in spread:
                reach = spread[label] * scale
                axes.plot([end - reach, end + reach], [middle, middle], color=_INK, linewidth=1.2)
            axes.text(left - 8, middle, clipped(label, left - 8), ha="right", va="center")
            beyond = spread[label] * scale if spread and label in spread else 0
            axes.text(max(end + beyond, zero) + 5, middle, written[place], ha="left", va="center", color=_INK if strong else _SOFT)

    return Figure(width, height, build, title=title or "bars")


def histogram(
    values: Mapping[str, ArrayLike] | ArrayLike,
    title: str = "",
    x: str = "",
    y: str = "count",
    *,
    bins: int = 40,
    log: Log = "",
    width: float = 480,
    height: float = 250,
) -> Figure:
    """Draw how often values fall into equal bins: one filled shape, or an outline for each label of `{label: values}`.

    What is not finite is left out and counted below. Raises `ArgumentError`.
    """
    _log(log)
    groups = dict(values) if isinstance(values, Mapping) else {"": values}
    arrays = {label: np.asarray(v, dtype=np.float64).ravel() for label, v in groups.items()}
    kept = {label: a[np.isfinite(a) & ((a > 0) | ("x" not in log))] for label, a in arrays.items()}
    dropped = sum(a.size for a in arrays.values()) - sum(a.size for a in kept.values())
    if not any(a.size for a in kept.values()):
        raise ArgumentError("values: got no finite number, expected at least one")
    low, high = min(a.min() for a in kept.values() if a.size), max(a.max() for a in kept.values() if a.size)
    if low == high:
        low, high = (low / 2, high * 2) if "x" in log else (low - 0.5, high + 0.5)
    edges = np.geomspace(low, high, bins + 1) if "x" in log else np.linspace(low, high, bins + 1)
    heights = {label: np.histogram(a, edges)[0] for label, a in kept.items()}

    def build(canvas: Canvas) -> None:
        axes = frame(canvas, title, right=6, bottom=14 if dropped else 0)
        for place, (label, amounts) in enumerate(heights.items()):
            axes.stairs(amounts, edges, fill=True, color=palette.series(place), alpha=0.28 if len(heights) > 1 else 0.75)
            if len(heights) > 1:
                axes.stairs(amounts, edges, color=palette.series(place), linewidth=1.5)
                peak = int(amounts.argmax())
                axes.annotate(
                    printable(label), ((edges[peak] + edges[peak + 1]) / 2, amounts[peak]), xytext=(0, 3), textcoords="offset points", ha="center",
                    fontsize=SMALL, color=palette.series_text(place), annotation_clip=False,
                )  # fmt: skip
        _axes(axes, x, y, log)
        axes.margins(x=0, y=0.1 if len(heights) > 1 else 0.03)
        note(canvas, f"{count(dropped)} values cannot be drawn and are left out" if dropped else "")
        settle(canvas)

    return Figure(width, height, build, title=title or "histogram")


def scatter(
    points: ArrayLike,
    groups: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    title: str = "",
    x: str = "",
    y: str = "",
    *,
    log: Log = "",
    labels: Sequence[str] | None = None,
    width: float = 480,
    height: float = 400,
) -> Figure:
    """Draw points (N 2), coloured by `groups` (N, whole numbers) and each group named at its middle, or each point named by `labels`.

    Raises `ArgumentError`.
    """
    _log(log)
    spots = np.asarray(points, dtype=np.float64)
    if spots.ndim != 2 or spots.shape[1] != 2 or not len(spots):
        raise ArgumentError(f"points: got shape {spots.shape}, expected N 2")
    kinds = np.zeros(len(spots), dtype=np.int64) if groups is None else np.asarray(groups).astype(np.int64)
    if len(kinds) != len(spots) or (labels is not None and len(labels) != len(spots)):
        raise ArgumentError(f"groups and labels must have one entry for each of the {len(spots)} points")
    good: Any = np.isfinite(spots).all(axis=1)
    dropped = int((~good).sum())
    area = float(np.clip(9000 / len(spots), 5, 36))
    marks = ("o", "^", "s", "D", "v", "P", "X", "*")

    def build(canvas: Canvas) -> None:
        axes = frame(canvas, title, right=6, bottom=14 if dropped else 0)
        axes.grid(visible=True, axis="both")
        middles = {}
        for kind in np.unique(kinds[good]):
            of = spots[good & (kinds == kind)]
            mark = marks[int(kind) // len(palette.SERIES) % len(marks)]
            axes.scatter(of[:, 0], of[:, 1], s=area, color=palette.series(int(kind)), alpha=0.8, linewidths=0, marker=mark)
            middles[int(kind)] = np.median(of, axis=0)
        _axes(axes, x, y, log)
        note(canvas, f"{count(dropped)} points cannot be drawn and are left out" if dropped else "")
        settle(canvas)
        if names is not None:
            for kind, (across, up) in middles.items():
                name = names[kind] if 0 <= kind < len(names) else str(kind)
                _haloed(axes, across, up, printable(name), palette.series_text(kind))
        for place, label in enumerate(labels or ()):
            if good[place]:
                axes.annotate(printable(label), spots[place], xytext=(5, 4), textcoords="offset points", fontsize=SMALL, color=_INK)

    return Figure(width, height, build, title=title or "scatter")


def _log(log: str) -> None:
    if log not in ("", "x", "y", "xy"):
        raise ArgumentError(f"log: got {log!r}, expected '', 'x', 'y' or 'xy'")


def _axes(axes: Axes, x: str, y: str, log: str, *, whole: bool = False) -> None:
    """Name the axes and give them few, plainly written ticks (on whole numbers of x where `whole`).

    y's name stands above its axis, to be read without turning the head.
    """
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(printable(x), loc="right")
    if y:
        axes.set_title(printable(y), loc="left", fontsize=SMALL, color=_SOFT, pad=6, x=0)
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)
    for which, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if which in log:
            (axes.set_xscale if which == "x" else axes.set_yscale)("log")
            _decades(axis)
        else:
            integer = whole and which == "x"
            axis.set_major_locator(
                MaxNLocator(nbins=6 if which == "x" else 5, steps=[1, 2, 5, 10] if integer else [1, 2, 2.5, 5, 10], integer=integer)
            )
            axis.set_major_formatter(lambda value, _: short(float(f"{value:.10g}"), 6))


def _decades(axis: Axis) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    low, high = axis.get_data_interval()
    narrow = low > 0 and high > 0 and math.log10(high / low) < 1.7
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,), numticks=7))
    axis.set_major_formatter(lambda value, _: short(value))
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(NullLocator())


def _name_ends(axes: Axes, ends: Mapping[str, tuple[float, float]], number: Mapping[str, int], room: float) -> None:
    """Write each line's name right of its last point, moved apart where two would touch."""
    step = SMALL * 1.25
    spots = sorted((float(axes.transData.transform((x, y))[1]), label) for label, (x, y) in ends.items())
    heights = [height for height, _ in spots]
    bottom, top = axes.bbox.y0, axes.bbox.y1
    for _ in range(200):
        moved = False
        for place in range(len(heights) - 1):
            overlap = step - (heights[place + 1] - heights[place])
            if overlap > 0.1:
                heights[place] -= overlap / 2
                heights[place + 1] += overlap / 2
                moved = True
        shift = max(0.0, bottom + 4 - heights[0]) - max(0.0, heights[-1] - top)
        heights = [height + shift for height in heights]
        if not moved:
            break
    for (_, label), height in zip(spots, heights, strict=True):
        up = (height - bottom) / (top - bottom)
        text = clipped(label, room - 8, SMALL)
        axes.annotate(
            text, (1, up), xycoords="axes fraction", xytext=(7, 0), textcoords="offset points", va="center", ha="left",
            fontsize=SMALL, color=palette.series_text(number[label]), annotation_clip=False,
        )  # fmt: skip


def _haloed(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    from matplotlib.patheffects import withStroke

    words = axes.text(x, y, text, ha="center", va="center", fontsize=SMALL, fontweight="bold", color=colour)
    words.set_path_effects([withStroke(linewidth=3, foreground=_PAPER)])
