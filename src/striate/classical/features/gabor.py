"""Gabor features: energy at each scale and orientation, region by region. Daugman 1985; Manjunath and Ma 1996 (row C filter-banks)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.classical.bases import Feature
from striate.classical.checking import Rows, grey, whole
from striate.classical.features.kernels import filtered, gabor, pooled
from striate.classical.registry import feature
from striate.core.errors import ArgumentError

if TYPE_CHECKING:
    from striate.draw import Figure


@feature("gabor", help="Energy of Gabor filters at several scales and orientations", row="C filter-banks")
class Gabor(Feature):
    """Root energy of pairs of Gabor filters (even and odd, so the phase does not matter) on the grey picture.

    `frequencies` in cycles a pixel (up to 0.5), `orientations` over 180 degrees, `bandwidth` in octaves; mean and deviation of the energy over
    `cells` x `cells` regions: frequencies x orientations x cells² x 2 numbers.
    """

    def __init__(
        self,
        frequencies: tuple[float, ...] = (0.12, 0.22, 0.4),
        *,
        orientations: int = 6,
        cells: int = 3,
        bandwidth: float = 1.0,
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.frequencies = frequencies
        self.orientations = orientations
        self.cells = cells
        self.bandwidth = bandwidth
        self.image_shape = image_shape

    def _learn(self, X: Rows, y: Any) -> None:  # noqa: ARG002
        for name in ("orientations", "cells"):
            whole(name, getattr(self, name))
        for frequency in self.frequencies:
            if not 0 < frequency <= 0.5:
                raise ArgumentError(f"frequencies: got {frequency!r}, expected cycles a pixel, above 0 up to 0.5")
        if not len(self.frequencies) or not self.bandwidth > 0:
            raise ArgumentError(f"frequencies and bandwidth: got {self.frequencies!r} and {self.bandwidth!r}, expected some, above 0")

    @property
    def bank(self) -> list[npt.NDArray[np.complex128]]:
        """The filters, complex h w: even part real, odd part imaginary; by frequency, then orientation."""
        turns = np.arange(self.orientations) * np.pi / self.orientations
        return [gabor(frequency, turn, bandwidth=self.bandwidth) for frequency in self.frequencies for turn in turns]

    def energies(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the root energy of each pair of filters at every pixel of pictures N C H W, N K H W."""
        light = grey(pictures)
        bank = self.bank
        even = filtered(light, [one.real for one in bank])
        odd = filtered(light, [one.imag for one in bank])
        return np.asarray(np.hypot(even, odd), np.float32)

    def _features(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        energy = self.energies(pictures)
        mean, square = pooled(energy, self.cells), pooled(energy * energy, self.cells)
        spread = np.sqrt(np.maximum(square - mean * mean, 0))
        return np.concatenate([mean.reshape(len(pictures), -1), spread.reshape(len(pictures), -1)], axis=1)

    def _chunk(self) -> int:
        return max(1, super()._chunk() // (2 * len(self.frequencies) * self.orientations))

    def figure(self, *, title: str = "") -> Figure:
        """Draw the even filters, a row a frequency."""
        from striate import draw

        bank = self.bank
        side = max(one.shape[0] for one in bank), max(one.shape[1] for one in bank)
        shown = []
        for one in bank:
            place = np.zeros(side)
            top, left = (side[0] - one.shape[0]) // 2, (side[1] - one.shape[1]) // 2
            place[top : top + one.shape[0], left : left + one.shape[1]] = one.real
            shown.append(place)
        words = [f"{frequency:g}, {turn * 180 / self.orientations:.0f}°" for frequency in self.frequencies for turn in range(self.orientations)]
        title = title or f"{len(bank)} Gabor filters: cycles a pixel, orientation"
        return draw.maps(shown, words, title=title, signed=True, columns=self.orientations)
