"""Textons: k-means of a filter bank's answers, and their histogram. Leung and Malik 2001; Varma and Zisserman 2005 (row C textons)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.classical.bases import Feature
from striate.classical.checking import Rows, grey, pictures_of, rows_of, whole
from striate.classical.features.codebook import EACH, counted, learn_words, nearest_word
from striate.classical.features.kernels import Kernel, filtered, gaussian, laplacian_of_gaussian
from striate.classical.registry import feature
from striate.core.errors import ArgumentError

if TYPE_CHECKING:
    from striate.draw import Figure

Array = npt.NDArray[np.float32]
PICTURES = 1000


@feature("textons", help="Histogram of textons", row="C textons")
class Textons(Feature):
    """How often each of `textons` textons occurs in each of `cells` x `cells` regions of the grey picture.

    A texton is a centre of the answers of a bank of filters at one pixel: edges and bars at `orientations` turns, and blobs (Gaussian, and Laplacian
    of Gaussian), at each of the `scales` (pixels). The picture's brightness and contrast are taken off first; answers are scaled by Weber's law as
    Varma and Zisserman do. After `fit`: `textons_` K F.
    """

    def __init__(
        self,
        textons: int = 64,
        *,
        orientations: int = 6,
        scales: tuple[float, ...] = (0.8, 1.6),
        cells: int = 2,
        image_shape: tuple[int, ...] | None = None,
        random_state: Any = 0,
    ) -> None:
        self.textons = textons
        self.orientations = orientations
        self.scales = scales
        self.cells = cells
        self.image_shape = image_shape
        self.random_state = random_state

    def _learn(self, X: Rows, y: Any) -> None:  # noqa: ARG002
        for name in ("textons", "orientations", "cells"):
            whole(name, getattr(self, name))
        if not len(self.scales) or min(self.scales) <= 0:
            raise ArgumentError(f"scales: got {self.scales!r}, expected widths in pixels, above 0")
        some = self._some(X, PICTURES, self.random_state)
        each = max(1, 2 * EACH * self.textons // len(some))
        step = self._chunk()
        samples = [self._every(self.answers(some[first : first + step]), each) for first in range(0, len(some), step)]
        self.textons_ = learn_words(np.concatenate(samples), self.textons, self.random_state, what="textons")

    @property
    def bank(self) -> list[Kernel]:
        """The filters, each of absolute sum 1: by scale edges, then bars, over the turns; Gaussian; Laplacian of Gaussian."""
        found = []
        for scale in self.scales:
            turns = np.arange(self.orientations) * np.pi / self.orientations
            found += [_turned(scale, turn, order) for order in (1, 2) for turn in turns]
            found += [gaussian(scale), laplacian_of_gaussian(scale)]
        return [one / np.abs(one).sum() for one in found]

    def answers(self, pictures: Array) -> Array:
        """Return the bank's answers at every pixel of pictures N C H W, N H W F, scaled."""
        light = grey(pictures)
        light = light - light.mean(axis=(1, 2), keepdims=True)
        light = light / np.maximum(light.std(axis=(1, 2), keepdims=True), 1e-2)
        found = filtered(light, self.bank).transpose(0, 2, 3, 1)
        size = np.sqrt(np.square(found).sum(axis=3, keepdims=True))
        return np.asarray(found * (np.log1p(size / 0.03) / np.maximum(size, 1e-12)), np.float32)

    def places(self, pictures: Array) -> npt.NDArray[np.int64]:
        """Return each pixel's texton, N H W."""
        return nearest_word(self.answers(pictures), self.textons_)

    def _every(self, answers: Array, each: int) -> Array:
        flat = answers.reshape(len(answers), -1, answers.shape[3])
        return flat[:, :: max(1, flat.shape[1] // each)].reshape(-1, flat.shape[2])

    def _features(self, pictures: Array) -> npt.NDArray[Any]:
        found = self.places(pictures)
        height, width = found.shape[1:]
        rows, columns = ([side * part // min(self.cells, side) for part in range(min(self.cells, side) + 1)] for side in (height, width))
        parts = [counted(found[:, a:b, c:d].reshape(len(found), -1), self.textons) for a, b in pairwise(rows) for c, d in pairwise(columns)]
        return np.sqrt(np.concatenate(parts, axis=1))

    def _chunk(self) -> int:
        pixels = self.shape_[1] * self.shape_[2]
        return max(1, (1 << 25) // (pixels * max(self.textons, 2 * len(self.scales) * (self.orientations + 1))))

    def patches(self) -> npt.NDArray[np.float64]:
        """Return the textons as the patches that answer so, K h w: the bank's pseudo-inverse (Leung and Malik)."""
        bank = self.bank
        side = max(one.shape[0] for one in bank)
        matrix = np.zeros((len(bank), side, side))
        for place, one in zip(matrix, bank, strict=True):
            off = (side - one.shape[0]) // 2
            place[off : off + one.shape[0], off : off + one.shape[1]] = one
        inverse = np.linalg.pinv(matrix.reshape(len(bank), -1), rcond=1e-2)
        return (self.textons_ @ inverse.T).reshape(-1, side, side)

    def figure(self, X: Any = None, *, title: str = "") -> Figure:
        """Draw the textons as patches; with rows X, the first pictures and which texton each of their pixels is nearest to."""
        from striate import draw
        from striate.draw import palette

        if X is None:
            return draw.maps(list(self.patches()), title=title or f"{self.textons} textons", signed=True, shared=True, columns=10, size=56)
        pictures = pictures_of(rows_of(self, X, reset=False)[0][:6], self.shape_)
        order = np.argsort(np.argsort(self.textons_[:, -2], kind="stable"), kind="stable")  # by brightness, so that neighbours look alike
        shares = order[self.places(pictures)] / max(1, self.textons - 1)
        maps = [palette.colour(one, signed=False, low=0, high=1) for one in shares]
        shown = [picture if self.shape_[0] in (1, 3) else picture.mean(axis=0) for picture in pictures]
        return draw.grid([*shown, *maps], title=title or "Pictures, and each pixel's texton from dark to light", columns=len(pictures), size=112)


def _turned(scale: float, turn: float, order: int) -> Kernel:
    """Return a Gaussian twice as long as wide, derived `order` times across, its mean 0."""
    reach = int(np.ceil(4 * scale)) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    off, along = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    bell = np.exp(-(off**2) / (2 * scale**2) - along**2 / (2 * (2 * scale) ** 2))
    shape = -off / scale**2 if order == 1 else off**2 / scale**4 - 1 / scale**2
    kernel = bell * shape
    centred: Kernel = kernel - kernel.mean()
    return centred
