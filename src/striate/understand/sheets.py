"""The Zeiler-Fergus sheet: for feature maps of a network, their strongest patches three by three, beside their projections."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from striate import draw
from striate.core.errors import unknown_name
from striate.understand.figures import picture_of
from striate.understand.projecting import on_grey
from striate.understand.strongest import overlap

if TYPE_CHECKING:
    from striate.draw import Figure
    from striate.understand.explanation import Explanation

Array = np.ndarray[Any, Any]
LAYERS, ACROSS, OF_ONE = 6, 3, 18
"""Layers a figure shows, maps of each of them, and maps where there is one layer only."""


def sheet(explanation: Explanation, *, layer: str | None = None) -> Figure:
    """Draw the sheet of one layer, or of up to six spread over the network's depth; of each the maps that fire most strongly first.

    Projections share one scale within a map, whose largest value stands under them. Raises `UnknownNameError`.
    """
    layers = [name.removeprefix("patches/") for name in explanation.shared if name.startswith("patches/")]
    if layer is not None and layer not in layers:
        raise unknown_name("layer", layer, layers)
    shown = [layer] if layer is not None else [layers[number] for number in _spread(len(layers))]
    one = len(shown) == 1
    rows: list[list[draw.Panel | None]] = []
    names: list[str] = []
    for name in shown:
        maps = _loudest(explanation, name)[: OF_ONE if one else ACROSS]
        for start in range(0, len(maps), ACROSS):
            rows.append([cell for number in maps[start : start + ACROSS] for cell in (*_pair(explanation, name, number), None)][:-1])
            names.append("" if one else name)
    silent, total = int(explanation.receipts["silent"]), int(explanation.receipts["maps"])
    where = f" of {shown[0]}" if one else ""
    title = f"What feature maps{where} look for: projections beside the {explanation.options['count']} patches that move each most"
    if silent:
        title += f"; {silent} of {total} maps never fire"
    heads = (["projections", "patches", ""] * ACROSS)[: len(rows[0])]
    return draw.panels(rows, title=title, names=None if one else names, heads=heads, width=900)


def _pair(explanation: Explanation, layer: str, number: int) -> tuple[draw.Panel, draw.Panel]:
    patches, projections = explanation.arrays[f"patches/{layer}"][number], explanation.arrays[f"projections/{layer}"][number]
    rows = np.flatnonzero(explanation.arrays["layer"] == layer)[number * len(patches) : (number + 1) * len(patches)]
    most = float(np.abs(projections).max(initial=0.0))
    values = explanation.arrays["value"][rows]
    channel = int(explanation.arrays["channel"][rows[0]])
    signals = [on_grey(each, most or None) for each in projections]
    for signal, box in zip(signals, explanation.arrays["box"][rows], strict=True):
        past = np.ones(signal.shape, dtype=bool)
        past[(slice(None), *overlap(signal.shape[1:], explanation.arrays["picture"].tolist(), box.tolist())[1])] = False
        signal[past] = 1.0
    left = draw.Panel(tiled(signals), caption=f"map {channel}: ±{draw.short(most, 2)}")
    least, largest = draw.short(float(values.min()), 2), draw.short(float(values.max()), 2)
    return left, draw.Panel(tiled([picture_of(each) for each in patches]), caption=f"fires {largest} to {least}")


def tiled(pictures: list[Array]) -> Array:
    """Return pictures C h w of one size laid out as a square of them, thin white lines between; small ones are enlarged so that lines stay thin."""
    across = math.ceil(math.sqrt(len(pictures)))
    down = math.ceil(len(pictures) / across)
    channels, high, wide = pictures[0].shape
    times = max(1, math.ceil(40 / max(high, wide)))
    high, wide = high * times, wide * times
    gap = max(1, wide // 40)
    whole = np.ones((channels, down * (high + gap) - gap, across * (wide + gap) - gap), dtype=np.float32)
    for number, picture in enumerate(pictures):
        top, left = number // across * (high + gap), number % across * (wide + gap)
        whole[:, top : top + high, left : left + wide] = picture.repeat(times, 1).repeat(times, 2)
    return whole


def _loudest(explanation: Explanation, layer: str) -> list[int]:
    first = (explanation.arrays["layer"] == layer) & (explanation.arrays["rank"] == 0)
    values = explanation.arrays["value"][first]
    return [int(number) for number in np.argsort(-values, kind="stable")]


def _spread(count: int) -> list[int]:
    return sorted({round(place * (count - 1) / max(1, min(LAYERS, count) - 1)) for place in range(min(LAYERS, count))})
