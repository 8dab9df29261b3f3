"""Colour histogram, raw or smoothed. Swain and Ballard 1991 (row C colour-histogram)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from striate.classical.bases import Feature
from striate.classical.checking import Rows, grey, whole
from striate.classical.registry import feature
from striate.core.errors import ArgumentError, unknown_name


@feature("colour-histogram", help="Colour histogram, raw or smoothed", row="C colour-histogram")
class ColourHistogram(Feature):
    """How often each colour occurs: a joint histogram of `bins` a channel (bins³ numbers; bins for grey pictures), summing to 1.

    `space`: `rgb`, `hsv` (hue is a circle) or `grey`; `smoothing`: width in bins (standard deviation) of the Gaussian that spreads each count over
    neighbouring bins, 0 for the raw histogram; `root` takes the root of the shares, so that straight distance becomes Hellinger's.
    Pictures of 2 or of more than 3 channels have a histogram a channel, side by side.
    """

    def __init__(
        self,
        *,
        bins: int = 8,
        space: Literal["rgb", "hsv", "grey"] = "rgb",
        smoothing: float = 0.0,
        root: bool = False,
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.bins = bins
        self.space = space
        self.smoothing = smoothing
        self.root = root
        self.image_shape = image_shape

    def _learn(self, X: Rows, y: Any) -> None:  # noqa: ARG002
        whole("bins", self.bins)
        if self.space not in ("rgb", "hsv", "grey"):
            raise unknown_name("space", str(self.space), ("rgb", "hsv", "grey"))
        if not self.smoothing >= 0:
            raise ArgumentError(f"smoothing: got {self.smoothing!r}, expected a width in bins, 0 or more")

    def _features(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        if self.space == "grey":
            pictures = grey(pictures)[:, None]
        elif self.space == "hsv" and pictures.shape[1] == 3:
            pictures = hsv(pictures)
        n, channels = pictures.shape[:2]
        cells = np.clip((pictures * np.float32(self.bins)).astype(np.int64), 0, self.bins - 1).reshape(n, channels, -1)
        if channels == 3:
            joint = (cells[:, 0] * self.bins + cells[:, 1]) * self.bins + cells[:, 2]
            shares = _counted(joint, self.bins**3).reshape(n, self.bins, self.bins, self.bins)
            circle = "wrap" if self.space == "hsv" else "reflect"
            shares = self._smoothed(shares, (circle, "reflect", "reflect"))
        else:
            shares = _counted(cells.reshape(n * channels, -1), self.bins).reshape(n * channels, self.bins) / channels
            shares = self._smoothed(shares, ("reflect",))
        rows: npt.NDArray[Any] = shares.reshape(n, -1)
        return np.sqrt(rows) if self.root else rows

    def _smoothed(self, shares: npt.NDArray[np.float64], modes: tuple[str, ...]) -> npt.NDArray[np.float64]:
        if not self.smoothing:
            return shares
        for axis, mode in enumerate(modes, 1):
            shares = ndimage.gaussian_filter1d(shares, self.smoothing, axis=axis, mode=mode)  # type: ignore[call-overload]
        return shares


def _counted(cells: npt.NDArray[np.int64], bins: int) -> npt.NDArray[np.float64]:
    n, pixels = cells.shape
    index = cells + np.arange(n)[:, None] * bins
    counts: npt.NDArray[np.float64] = np.bincount(index.ravel(), minlength=n * bins).reshape(n, bins) / pixels
    return counts


def hsv(pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return N 3 H W in [0, 1] as hue, saturation and value, each in [0, 1]."""
    red, green, blue = pictures[:, 0], pictures[:, 1], pictures[:, 2]
    high, low = pictures.max(axis=1), pictures.min(axis=1)
    spread = high - low
    safe = np.where(spread > 0, spread, 1)
    hue = np.select([high == red, high == green], [(green - blue) / safe, 2 + (blue - red) / safe], 4 + (red - green) / safe)
    hue = np.where(spread > 0, hue / 6 % 1.0, 0)
    return np.stack([hue, spread / np.where(high > 0, high, 1), high], axis=1).astype(np.float32)
