"""Corners: where the picture changes in both directions. Harris and Stephens 1988; Shi and Tomasi 1994 (row C corners)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from striate.classical.bases import Feature
from striate.classical.checking import Rows, grey, pictures_of, rows_of, whole
from striate.classical.features.kernels import pooled
from striate.classical.registry import feature
from striate.core.errors import ArgumentError, unknown_name

if TYPE_CHECKING:
    from striate.draw import Figure


@feature("corners", help="Corner strength (Harris or Shi-Tomasi), region by region", row="C corners")
class Corners(Feature):
    """How corner-like the grey picture is, over `cells` x `cells` regions: the largest and the mean strength, and how many peaks there are.

    `kind`: `harris` (determinant - 0.05 trace² of the structure tensor) or `shi-tomasi` (its smaller eigenvalue); `sigma` pixels of smoothing.
    Strengths are told as signed fourth roots (the tensor has the fourth power of the contrast for Harris) or square roots, so contrast counts once.
    """

    def __init__(
        self,
        kind: Literal["harris", "shi-tomasi"] = "shi-tomasi",
        *,
        sigma: float = 1.0,
        cells: int = 4,
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.kind = kind
        self.sigma = sigma
        self.cells = cells
        self.image_shape = image_shape

    def _learn(self, X: Rows, y: Any) -> None:  # noqa: ARG002
        whole("cells", self.cells)
        if self.kind not in ("harris", "shi-tomasi"):
            raise unknown_name("kind", str(self.kind), ("harris", "shi-tomasi"))
        if not self.sigma > 0:
            raise ArgumentError(f"sigma: got {self.sigma!r}, expected pixels, above 0")

    def _features(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        strength = corner_strength(grey(pictures), kind=self.kind, sigma=self.sigma)
        told = np.sign(strength) * np.abs(strength) ** (0.25 if self.kind == "harris" else 0.5)
        at_peaks = peaks(strength)[:, None].astype(np.float32)
        count = pooled(at_peaks, self.cells) * (strength[0].size / self.cells**2)
        parts = [pooled(told[:, None], self.cells, how="max"), pooled(told[:, None], self.cells), count]
        return np.concatenate([part.reshape(len(pictures), -1) for part in parts], axis=1)

    def figure(self, X: Any, *, title: str = "") -> Figure:
        """Draw the rows' pictures with their corners marked, stronger ones in full red."""
        from striate import draw

        pictures = pictures_of(rows_of(self, X, reset=False)[0], self.shape_)
        strength = corner_strength(grey(pictures), kind=self.kind, sigma=self.sigma)
        shown = []
        for picture, force, at in zip(pictures, strength, peaks(strength), strict=True):
            canvas = np.repeat(grey(picture[None]).transpose(1, 2, 0), 3, axis=2).repeat(3, axis=0).repeat(3, axis=1)
            for row, column in np.argwhere(at):
                power = float(np.clip(np.sqrt(force[row, column] / max(1e-12, float(force.max()))), 0.25, 1))
                spot = canvas[3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
                spot[:] = (1 - power) * spot + power * np.array([0.84, 0.15, 0.1], np.float32)
            shown.append(np.clip(canvas, 0, 1))
        return draw.grid(shown, title=title or "Corners, the strong ones in full red", size=112)


def corner_strength(pictures: npt.NDArray[Any], *, kind: str = "shi-tomasi", sigma: float = 1.0, k: float = 0.05) -> npt.NDArray[Any]:
    """Return the corner strength at every pixel of N H W: what scikit-image's `corner_harris` and `corner_shi_tomasi` give, a batch at once."""
    slope, smooth = [-1.0, 0.0, 1.0], [1.0, 2.0, 1.0]

    def sobel(axis: int, other: int) -> npt.NDArray[Any]:
        return ndimage.correlate1d(ndimage.correlate1d(pictures, slope, axis=axis, mode="constant"), smooth, axis=other, mode="constant")

    down, across = sobel(1, 2), sobel(2, 1)
    rr, rc, cc = (ndimage.gaussian_filter(product, (0, sigma, sigma), mode="constant") for product in (down * down, down * across, across * across))
    if kind == "harris":
        return np.asarray(rr * cc - rc * rc - k * (rr + cc) ** 2)
    return np.asarray(((rr + cc) - np.sqrt((rr - cc) ** 2 + 4 * rc * rc)) / 2)


def peaks(strength: npt.NDArray[Any], *, share: float = 0.1) -> npt.NDArray[np.bool_]:
    """Return where the strength (N H W) is the largest among its eight neighbours, above 0 and above `share` of its picture's largest."""
    highest = ndimage.maximum_filter(strength, size=(1, 3, 3), mode="constant")
    floor = np.maximum(share * strength.max(axis=(1, 2), keepdims=True), 1e-12)
    found: npt.NDArray[np.bool_] = (strength == highest) & (strength > floor)
    return found
