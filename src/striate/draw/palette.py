"""One hand for colour: Okabe-Ito for classes, a diverging map for signed values, magma for magnitudes, and the same roles as CSS variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate.core.errors import ArgumentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

SIGNED = "RdBu_r"
"""Signed values, centred at zero: blue, neutral, red (ColorBrewer's RdBu, safe for colour-blind eyes)."""
MAGNITUDE = "magma"

ROLES: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#15171b"),
    "raised": ("#f5f6f8", "#1e2126"),
    "ink": ("#1b1e23", "#e7e9ec"),
    "soft": ("#5a616b", "#a3abb6"),
    "line": ("#dfe2e7", "#333840"),
    "accent": ("#0b5cad", "#79b8ff"),
    "good": ("#006e4f", "#4fc79b"),
    "bad": ("#a83c00", "#ff9a5c"),
}
"""Role: (on light, on dark). Every text role reaches a contrast of 4.5 on `paper` and on `raised`, both ways."""

SERIES: tuple[tuple[str, str], ...] = (
    ("#0072b2", "#3fa2e0"),
    ("#d55e00", "#f0803c"),
    ("#009e73", "#2fc39a"),
    ("#cc79a7", "#e39cc4"),
    ("#e69f00", "#f2b431"),
    ("#56b4e9", "#8fd0f7"),
    ("#9b8f00", "#f0e442"),
    ("#6b7079", "#c3c8d0"),
)
"""Okabe and Ito's eight colours for classes, on light (yellow darkened, black turned grey, so that neither is lost) and on dark (lighter)."""


def luminance(colour: str) -> float:
    """Return the relative luminance (0 to 1, WCAG 2) of `#rrggbb`."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """Return the contrast (1 to 21, WCAG 2) between two colours `#rrggbb`; text wants 4.5, lines and marks 3."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def readable(colour: str, paper: str, wanted: float = 4.6) -> str:
    """Return `colour` moved towards black or white just far enough to be read as text on `paper`."""
    goal = 0 if luminance(paper) > 0.5 else 255
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    for step in range(101):
        mixed = "#" + "".join(f"{round(p + (goal - p) * step / 100):02x}" for p in parts)
        if contrast(mixed, paper) >= wanted:
            return mixed
    return mixed


def series(number: int) -> str:
    """Return the colour (on light) of the class or line `number`; colours repeat after eight."""
    return SERIES[number % len(SERIES)][0]


def series_text(number: int) -> str:
    """Return the colour (on light) for words about the class or line `number`, dark enough to read."""
    return _text_pair(number)[0]


def _text_pair(number: int) -> tuple[str, str]:
    light, dark = SERIES[number % len(SERIES)]
    words = readable(light, ROLES["raised"][0])
    if words == light:  # one step apart, so that an SVG's colours tell lines from words
        words = f"{light[:5]}{int(light[5:], 16) - 1:02x}"
    return words, readable(dark, ROLES["raised"][1])


def variables() -> dict[str, tuple[str, str]]:
    """Return every CSS variable's name with its colour on light and on dark."""
    named = dict(ROLES)
    for number, pair in enumerate(SERIES):
        named[f"c{number}"] = pair
        named[f"t{number}"] = _text_pair(number)
    return named


def css() -> str:
    """Return the variables as CSS: light first, dark where the reader prefers it, light again on paper."""
    light = "".join(f"--{name}:{pair[0]};" for name, pair in variables().items())
    dark = "".join(f"--{name}:{pair[1]};" for name, pair in variables().items())
    return f":root{{color-scheme:light dark;{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"


def span(values: ArrayLike, *, signed: bool | None = None, low: float | None = None, high: float | None = None) -> tuple[float, float, bool]:
    """Return the raw smallest and largest finite value and whether they are signed (`None`: any is below zero)."""
    import numpy as np

    flat = np.asarray(values, dtype=np.float64).ravel()
    finite = flat[np.isfinite(flat)]
    least = float(finite.min()) if low is None and finite.size else float(low or 0.0)
    most = float(finite.max()) if high is None and finite.size else float(high or 0.0)
    return least, most, least < 0 if signed is None else signed


def colour(
    values: ArrayLike, *, signed: bool | None = None, low: float | None = None, high: float | None = None, name: str | None = None
) -> np.ndarray[Any, Any]:
    """Return `values` (any shape) as RGB, uint8, one axis more.

    Signed values go through the diverging map with its middle at zero; magnitudes through magma from `low` to `high`. Values that are not
    finite become mid grey. `name` picks another of matplotlib's maps. Raises `ArgumentError` when `low` is above `high`.
    """
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    least, most, both = span(array, signed=signed, low=low, high=high)
    if least > most:
        raise ArgumentError(f"colour: low is {least:g} and high is {most:g}; low must not be above high")
    from matplotlib import colormaps

    if both:
        reach = max(abs(least), abs(most)) or 1.0
        place = (array + reach) / (2 * reach)
    else:
        place = (array - least) / ((most - least) or 1.0)
    missing = ~np.isfinite(array)
    rgb = colormaps[name or (SIGNED if both else MAGNITUDE)](np.where(missing, 0.0, place), bytes=True)[..., :3]
    rgb[missing] = 128
    return np.ascontiguousarray(rgb)
