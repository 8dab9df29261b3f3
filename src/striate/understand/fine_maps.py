"""Maps of single pixels drawn so that a person sees them: colours end before the few extreme values, and a smoothed map lies over the picture.

Neither is silent: the caption tells the raw range, the arrays keep the raw values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from striate import draw
from striate.understand.figures import ROWS, captions, first_of, gathered, picture_of, seen, side_of, titled

if TYPE_CHECKING:
    from striate.draw import Figure
    from striate.understand.explanation import Explanation

REACHED = 0.995
"""Share of a map's pixels within the colours' ends."""
SMOOTH = 0.02
"""Deviation of the Gaussian for the map laid over the picture, as a share of its longer side."""


def fine_figure(explanation: Explanation) -> Figure:
    """Draw each picture, its map with colours up to the 99.5th percentile, and the size of the map, smoothed, laid over the picture."""
    pixels, words = explanation.arrays["pixels"], captions(explanation)
    rows: list[list[draw.Panel | None]] = []
    for number in range(min(len(explanation), ROWS)):
        values, picture = explanation.arrays["map"][number], picture_of(pixels[number])
        low, high = float(values.min()), float(values.max())
        reach = float(np.quantile(np.abs(values), REACHED)) or max(abs(low), abs(high))
        signed = low < 0
        raw = f"raw {draw.short(low)} to {draw.short(high)}" if low != high else ""
        cell = draw.Panel(values=np.clip(values, -reach, reach), signed=signed, low=-reach if signed else 0.0, high=reach, caption=raw)
        over = draw.Panel(picture, smoothed(np.abs(values)), signed=False, low=0.0, bar=False, caption="size, smoothed")
        rows.append([draw.Panel(picture, caption=words[number]), cell, over])
    title = seen(titled(explanation), gathered(explanation.arrays["map"])) + first_of(len(explanation))
    return draw.panels(rows, title=title, size=side_of(pixels))


def smoothed(values: np.ndarray[Any, Any], share: float = SMOOTH) -> np.ndarray[Any, Any]:
    """Return a map H W after a Gaussian whose deviation is `share` of the longer side; edges are mirrored, so a flat map stays flat."""
    from scipy.ndimage import gaussian_filter

    found: np.ndarray[Any, Any] = gaussian_filter(values.astype(np.float64), share * max(values.shape), mode="reflect")
    return found
