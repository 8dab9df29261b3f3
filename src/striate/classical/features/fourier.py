"""Fourier features: low frequencies, magnitudes, or energy by ring and wedge (row C fourier)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import fft

from striate.classical.bases import Feature
from striate.classical.checking import Rows, grey, whole
from striate.classical.registry import feature
from striate.core.errors import unknown_name


@feature("fourier", help="Fourier features: low frequencies, magnitudes, rings and wedges", row="C fourier")
class Fourier(Feature):
    """The two-dimensional Fourier transform (orthonormal) of each channel, or of the grey picture.

    `kind`: `low`, real and imaginary parts of the frequencies up to `keep` cycles a picture each way, each counted once and scaled so that squared
    lengths are kept (Parseval: with all frequencies the features are a turn of the pixels); `magnitude`, log(1 + size) of the same frequencies, which
    a cyclic shift does not change; `rings`, log energy in `keep` rings of equal width and `keep` wedges of orientation, for textures.
    """

    def __init__(
        self,
        kind: Literal["low", "magnitude", "rings"] = "low",
        *,
        keep: int = 8,
        colour: Literal["keep", "grey"] = "grey",
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.kind = kind
        self.keep = keep
        self.colour = colour
        self.image_shape = image_shape

    def _learn(self, X: Rows, y: Any) -> None:  # noqa: ARG002
        whole("keep", self.keep)
        for name, allowed in (("kind", ("low", "magnitude", "rings")), ("colour", ("keep", "grey"))):
            if getattr(self, name) not in allowed:
                raise unknown_name(name, str(getattr(self, name)), allowed)

    def _features(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        values = grey(pictures)[:, None] if self.colour == "grey" else pictures
        if self.kind == "rings":
            return self._rings(values)
        height, width = values.shape[2:]
        spectrum = fft.fft2(values, norm="ortho")
        rows, columns, weight = half_plane(height, width, self.keep)
        kept = spectrum[:, :, rows, columns]
        if self.kind == "magnitude":
            return np.log1p(np.abs(kept)).reshape(len(pictures), -1)
        own = weight == 1  # these are their own mirror image: their imaginary part is 0
        parts = np.concatenate([kept.real * np.sqrt(weight), kept.imag[:, :, ~own] * np.sqrt(2)], axis=2)
        return np.asarray(parts.reshape(len(pictures), -1))

    def _rings(self, values: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        height, width = values.shape[2:]
        energy = np.abs(fft.fft2(values - values.mean(axis=(2, 3), keepdims=True), norm="ortho")) ** 2
        down, across = np.meshgrid(fft.fftfreq(height), fft.fftfreq(width), indexing="ij")
        radius, turn = np.hypot(down, across), np.arctan2(down, across) % np.pi
        ring = np.minimum((radius / 0.5 * self.keep).astype(int), self.keep - 1)
        wedge = np.minimum((turn / np.pi * self.keep).astype(int), self.keep - 1)
        parts = [energy[..., which == number].sum(axis=-1) for which in (ring, wedge) for number in range(self.keep)]
        return np.asarray(np.log1p(np.stack(parts, axis=-1)).reshape(len(values), -1))


def half_plane(height: int, width: int, keep: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return rows and columns of the frequencies up to `keep` cycles each way, one of each mirrored pair, and how many it stands for: 1 or 2."""
    rows, columns, weights = [], [], []
    for row in range(height):
        for column in range(width):
            mirror = (-row % height, -column % width)
            if min(row, height - row) <= keep and min(column, width - column) <= keep and (row, column) <= mirror:
                rows.append(row)
                columns.append(column)
                weights.append(1.0 if mirror == (row, column) else 2.0)
    return np.array(rows), np.array(columns), np.array(weights)
