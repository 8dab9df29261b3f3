"""Histogram of oriented gradients, for whole batches at once. Dalal and Triggs 2005 (row C hog)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.classical.bases import Feature
from striate.classical.checking import Rows, whole
from striate.classical.registry import feature
from striate.core.errors import ArgumentError

if TYPE_CHECKING:
    from striate.draw import Figure

Array = npt.NDArray[Any]


@feature("hog", help="Histogram of oriented gradients", row="C hog")
class HOG(Feature):
    """Gradient strength by orientation in cells, normalised over blocks: the numbers of `skimage.feature.hog`, for many pictures at once.

    `orientations` bins over 180 degrees; `cell` pixels a side (what is left at the right and bottom edge is not used); `block` cells a side, every
    block of overlapping ones; `block_norm` is L2-Hys (scale to length 1, clip at 0.2, scale again). Of colour pictures each pixel gives the gradient
    of its strongest channel; `root` takes the root of the pixels first. Order: block rows, block columns, cell rows, cell columns, orientations.
    Raises `ArgumentError` where a picture has no whole block.
    """

    def __init__(
        self, *, orientations: int = 9, cell: int = 4, block: int = 2, root: bool = False, image_shape: tuple[int, ...] | None = None
    ) -> None:
        self.orientations = orientations
        self.cell = cell
        self.block = block
        self.root = root
        self.image_shape = image_shape

    def _learn(self, X: Rows, y: Any) -> None:  # noqa: ARG002
        for name in ("orientations", "cell", "block"):
            whole(name, getattr(self, name))
        side = self.cell * self.block
        if min(self.shape_[1:]) < side:
            raise ArgumentError(f"cell: pictures of {self.shape_[1]} x {self.shape_[2]} hold no block of {self.block} cells of {self.cell} pixels")

    def _features(self, pictures: npt.NDArray[np.float32]) -> Array:
        cells = self.cells(pictures)
        windows = np.lib.stride_tricks.sliding_window_view(cells, (self.block, self.block), axis=(1, 2))  # N rows columns bins b b
        blocks = windows.transpose(0, 1, 2, 4, 5, 3).reshape(*windows.shape[:3], -1)
        return _hys(blocks).reshape(len(pictures), -1)

    def cells(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return each cell's histogram before normalisation, N rows columns orientations: mean gradient strength a pixel."""
        across, down = gradient(np.sqrt(pictures) if self.root else pictures)
        n, height, width = across.shape
        rows, columns = height // self.cell, width // self.cell
        across, down = across[:, : rows * self.cell, : columns * self.cell], down[:, : rows * self.cell, : columns * self.cell]
        strength = np.sqrt(across * across + down * down)
        place = ((np.arange(n)[:, None] * rows + np.arange(rows * self.cell) // self.cell) * columns)[:, :, None] + np.arange(
            columns * self.cell
        ) // self.cell
        index = place * self.orientations + orientation_bins(across, down, self.orientations)
        summed = np.bincount(index.ravel(), weights=strength.ravel(), minlength=n * rows * columns * self.orientations)
        return (summed / self.cell**2).astype(np.float32).reshape(n, rows, columns, self.orientations)

    def figure(self, X: Any, *, title: str = "") -> Figure:
        """Draw pictures, and under each its cells as stars of strokes: along the edge, the stronger the lighter. The transformer must be fitted."""
        from striate import draw
        from striate.classical.checking import pictures_of, rows_of

        pictures = pictures_of(rows_of(self, X, reset=False)[0], self.shape_)
        stars = stroke_pictures(self.cells(pictures))
        shown = [picture if self.shape_[0] in (1, 3) else picture.mean(axis=0) for picture in pictures]
        return draw.grid([*shown, *stars], title=title or "Where edges run, cell by cell", columns=len(pictures), size=112)


def gradient(pictures: npt.NDArray[np.float32]) -> tuple[Array, Array]:
    """Return central differences along columns and rows, N H W each, not halved and 0 at the border; of the channel where they are strongest."""
    across, down = np.zeros_like(pictures), np.zeros_like(pictures)
    across[..., 1:-1] = pictures[..., 2:] - pictures[..., :-2]
    down[:, :, 1:-1] = pictures[:, :, 2:] - pictures[:, :, :-2]
    if pictures.shape[1] == 1:
        return across[:, 0], down[:, 0]
    best, strength = (across[:, 0].copy(), down[:, 0].copy()), across[:, 0] ** 2 + down[:, 0] ** 2
    for channel in range(1, pictures.shape[1]):
        a, d = across[:, channel], down[:, channel]
        other = a * a + d * d
        better = other > strength
        for kept, new in zip(best, (a, d), strict=True):
            np.copyto(kept, new, where=better)
        np.copyto(strength, other, where=better)
    return best


def orientation_bins(across: Array, down: Array, bins: int, *, whole_turn: bool = False) -> npt.NDArray[np.int64]:
    """Return which of `bins` equal parts of 180 degrees (or of 360, `whole_turn`) each gradient's direction lies in."""
    if whole_turn:
        turn = np.arctan2(down, across) * (bins / (2 * np.pi))
        return np.floor(turn).astype(np.int64) % bins
    flip = down < 0
    angle = np.arctan2(np.where(flip, -down, down), np.where(flip, -across, across))
    found = (angle * (bins / np.pi)).astype(np.int64)
    found[found == bins] = 0
    return found


def _hys(blocks: Array, epsilon: float = 1e-5) -> Array:
    blocks = blocks / np.sqrt(np.square(blocks).sum(axis=-1, keepdims=True) + epsilon**2)
    blocks = np.minimum(blocks, 0.2)
    clipped: Array = blocks / np.sqrt(np.square(blocks).sum(axis=-1, keepdims=True) + epsilon**2)
    return clipped


def stroke_pictures(cells: npt.NDArray[np.float32], side: int = 15) -> list[npt.NDArray[np.float32]]:
    """Return for each picture its cells (rows columns orientations) as strokes along the edges, one square of `side` pixels a cell, in [0, 1]."""
    bins = cells.shape[-1]
    centred = np.arange(side) - (side - 1) / 2
    y, x = np.meshgrid(centred, centred, indexing="ij")
    strokes = []
    for turn in (np.arange(bins) + 0.5) * np.pi / bins:
        off, along = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
        strokes.append(np.clip(1.1 - np.abs(off), 0, 1) * (np.abs(along) <= (side - 1) / 2))
    drawn = np.einsum("nrco,oij->nricj", cells, np.array(strokes, np.float32))
    n, rows, _, columns, _ = drawn.shape
    pictures = drawn.reshape(n, rows * side, columns * side)
    return [picture / max(1e-12, float(picture.max())) for picture in pictures]
