"""Wavelet features: coefficients, or energy by scale and direction. Mallat 1989 (row C wavelets)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from striate.classical.bases import Feature
from striate.classical.checking import Rows, grey, pictures_of, rows_of, whole
from striate.classical.features.kernels import pooled
from striate.classical.registry import feature
from striate.core.errors import ArgumentError, unknown_name

if TYPE_CHECKING:
    from striate.draw import Figure


@feature("wavelets", help="Wavelet coefficients, or their energy by scale and direction", row="C wavelets")
class Wavelets(Feature):
    """An orthogonal wavelet transform (PyWavelets, periodic at the border) of each channel or of the grey picture, `levels` deep.

    `kind`: `energy`, the root of the mean square of each band (scale and direction) over `cells` x `cells` regions, and the coarsest picture's mean
    there; `coefficients`, all of them, coarse to fine, directions in PyWavelets' order (a few more than pixels where 2^levels does not divide the
    sides), which `inverse_transform` turns back into pixels. `levels` None: as deep as leaves 4 pixels a side.
    Raises `UnknownNameError` for a wavelet that does not exist, `ArgumentError` for one that is not orthogonal or too many levels.
    """

    def __init__(
        self,
        kind: Literal["energy", "coefficients"] = "energy",
        *,
        wavelet: str = "haar",
        levels: int | None = None,
        cells: int = 4,
        colour: Literal["keep", "grey"] = "grey",
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.kind = kind
        self.wavelet = wavelet
        self.levels = levels
        self.cells = cells
        self.colour = colour
        self.image_shape = image_shape

    def _learn(self, X: Rows, y: Any) -> None:  # noqa: ARG002
        import pywt

        whole("cells", self.cells)
        for name, allowed in (("kind", ("energy", "coefficients")), ("colour", ("keep", "grey"))):
            if getattr(self, name) not in allowed:
                raise unknown_name(name, str(getattr(self, name)), allowed)
        known = pywt.wavelist(kind="discrete")
        if self.wavelet not in known:
            raise unknown_name("wavelet", str(self.wavelet), known)
        if not pywt.Wavelet(self.wavelet).orthogonal:
            raise ArgumentError(f"wavelet: {self.wavelet} is not orthogonal; take haar, or one of the families db, sym, coif")
        most = max(1, int(np.log2(min(self.shape_[1:]))))
        self.levels_ = max(1, most - 2) if self.levels is None else whole("levels", self.levels)
        if self.levels_ > most:
            raise ArgumentError(f"levels: got {self.levels}, but pictures of {self.shape_[1]} x {self.shape_[2]} can be halved {most} times")

    def bands(self, pictures: npt.NDArray[np.float32]) -> list[Any]:
        """Return `pywt.wavedec2`'s list for pictures N C H W: the coarsest picture, then (horizontal, vertical, diagonal) details, coarse to fine."""
        import pywt

        values = grey(pictures)[:, None] if self.colour == "grey" else pictures
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Level value of")  # it warns of borders, and there is none: the picture goes round
            return list(pywt.wavedec2(values, self.wavelet, mode="periodization", level=self.levels_, axes=(2, 3)))

    def _features(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        bands = self.bands(pictures)
        if self.kind == "coefficients":
            return np.concatenate([part.reshape(len(pictures), -1) for part in _flat(bands)], axis=1)
        parts = [pooled(bands[0], self.cells)]
        for details in bands[1:]:
            parts += [np.sqrt(pooled(detail * detail, self.cells)) for detail in details]
        return np.concatenate([part.reshape(len(pictures), -1) for part in parts], axis=1)

    def inverse_transform(self, coefficients: Any) -> npt.NDArray[np.float32]:
        """Return the pixels that have these coefficients, N (C H W), or N (H W) where the picture was turned grey. Raises `ArgumentError`."""
        import pywt

        if self.kind != "coefficients":
            raise ArgumentError(f"inverse_transform: energies do not tell the picture; use kind='coefficients' (kind is {self.kind!r})")
        values, first = np.asarray(coefficients, np.float32), 0
        found: list[Any] = []
        for part in _flat(self.bands(np.zeros((1, *self.shape_), np.float32))):
            found.append(values[:, first : first + part.size].reshape(-1, *part.shape[1:]))
            first += part.size
        bands = [found[0], *(tuple(found[place : place + 3]) for place in range(1, len(found), 3))]
        back = pywt.waverec2(bands, self.wavelet, mode="periodization", axes=(2, 3))[:, :, : self.shape_[1], : self.shape_[2]]
        return np.asarray(back, np.float32).reshape(len(values), -1)

    def figure(self, X: Any, *, title: str = "") -> Figure:
        """Draw the first row's grey picture beside its coefficients, laid out coarse to fine."""
        from striate import draw

        pictures = pictures_of(rows_of(self, X, reset=False)[0][:1], self.shape_)
        bands = [np.asarray(part)[0].mean(axis=0) for part in _flat(self.bands(pictures))]
        found = bands[0]
        for place in range(1, len(bands), 3):
            across, down, diagonal = bands[place : place + 3]
            found = np.block([[found[: across.shape[0], : across.shape[1]], down], [across, diagonal]])
        found = np.sign(found) * np.sqrt(np.abs(found))
        title = title or f"{self.levels_} levels of {self.wavelet}: details across, down and diagonal (signed roots)"
        cells = [draw.Panel(picture=grey(pictures)[0], caption="picture, grey"), draw.Panel(values=found, caption="coefficients", signed=True)]
        return draw.panels([cells], title=title, size=240)


def _flat(bands: list[Any]) -> list[npt.NDArray[Any]]:
    """Return the bands one after the other, N C h w each."""
    return [bands[0], *(detail for details in bands[1:] for detail in details)]
