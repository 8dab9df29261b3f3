"""Bag of visual words. Csurka et al. 2004; Lazebnik, Schmid and Ponce 2006; Coates, Lee and Ng 2011 (row C visual-words)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from striate.classical.bases import Feature
from striate.classical.checking import Rows, grey, pictures_of, whole
from striate.classical.features.codebook import EACH, counted, learn_words, likeness, nearest_word
from striate.classical.features.sift import PARTS, dense_sift
from striate.classical.registry import feature
from striate.core.errors import ArgumentError, unknown_name

if TYPE_CHECKING:
    from striate.draw import Figure

Array = npt.NDArray[np.float32]
PICTURES = 4000
"""Training pictures the words are learned from, at most."""


@feature("visual-words", help="Bag of visual words: SIFT or whitened patches, by k-means", row="C visual-words")
class VisualWords(Feature):
    """How often each of `words` visual words occurs, in the whole picture and in each of its `pyramid` x `pyramid` parts.

    `of`: `sift`, upright descriptors with cells of `size` pixels on the grey picture, each counted for its nearest word; `patches`, patches of
    `size` pixels a side in all channels, brightness and contrast taken off, whitened; each speaks for every word nearer than the average one, by as
    much as it is nearer (the triangle of Coates, Lee and Ng), parts only. `step`: pixels from one to the next. After `fit`: `words_` K D.
    """

    def __init__(
        self,
        words: int = 200,
        *,
        of: Literal["sift", "patches"] = "sift",
        size: int = 3,
        step: int = 2,
        pyramid: int = 2,
        image_shape: tuple[int, ...] | None = None,
        random_state: Any = 0,
    ) -> None:
        self.words = words
        self.of = of
        self.size = size
        self.step = step
        self.pyramid = pyramid
        self.image_shape = image_shape
        self.random_state = random_state

    def _learn(self, X: Rows, y: Any) -> None:  # noqa: ARG002
        for name in ("words", "size", "step", "pyramid"):
            whole(name, getattr(self, name))
        if self.of not in ("sift", "patches"):
            raise unknown_name("of", str(self.of), ("sift", "patches"))
        side = self.size * PARTS if self.of == "sift" else self.size
        if min(self.shape_[1:]) < side:
            raise ArgumentError(f"size: pictures of {self.shape_[1]} x {self.shape_[2]} pixels hold no {self.of} of {side} pixels a side")
        some = self._some(X, PICTURES, self.random_state)
        step = self._chunk()
        samples = np.concatenate([self._thinned(self.samples(some[first : first + step]), len(some)) for first in range(0, len(some), step)])
        self.whitening_: tuple[Array, Array] | None = None
        if self.of == "patches":
            self.whitening_ = whitening(samples)
            samples = (samples - self.whitening_[0]) @ self.whitening_[1]
        self.words_ = learn_words(samples, self.words, self.random_state)

    def samples(self, pictures: Array) -> Array:
        """Return what words are made of, before whitening: N P D, row by row over each picture."""
        if self.of == "sift":
            return dense_sift(grey(pictures), self.size, self.step)
        windows = np.lib.stride_tricks.sliding_window_view(pictures, (self.size, self.size), axis=(2, 3))[:, :, :: self.step, :: self.step]
        n, _, rows, columns = windows.shape[:4]
        patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n, rows * columns, -1)
        patches = patches - patches.mean(axis=2, keepdims=True)
        return np.asarray(patches / np.sqrt(np.square(patches).mean(axis=2, keepdims=True) + 10 / 255**2), np.float32)

    def _thinned(self, samples: Array, pictures: int) -> Array:
        """Keep a fair share of each chunk's samples, so that no more than are wanted pile up."""
        rows = samples.reshape(-1, samples.shape[2])
        wanted = max(1, round(2 * EACH * self.words * len(samples) / pictures))
        return rows[:: max(1, len(rows) // wanted)]

    def _features(self, pictures: Array) -> npt.NDArray[Any]:
        samples = self.samples(pictures)
        rows, columns = self._grid(samples.shape[1])
        if self.whitening_ is not None:
            return self._triangle((samples - self.whitening_[0]) @ self.whitening_[1], rows, columns)
        places = nearest_word(samples, self.words_)
        grid = places.reshape(len(places), rows, columns)
        parts = [counted(places, self.words)]
        if self.pyramid > 1:
            parts += [counted(grid[:, a:b, c:d].reshape(len(grid), -1), self.words) for a, b, c, d in self._parts(rows, columns)]
        return np.sqrt(np.concatenate(parts, axis=1))

    def _triangle(self, samples: npt.NDArray[Any], rows: int, columns: int) -> npt.NDArray[Any]:
        distance = np.square(samples).sum(axis=2, keepdims=True) - 2 * likeness(samples, self.words_)
        distance = np.sqrt(np.maximum(distance, 0))
        near = np.maximum(distance.mean(axis=2, keepdims=True) - distance, 0).reshape(len(samples), rows, columns, -1)
        return np.concatenate([near[:, a:b, c:d].mean(axis=(1, 2)) for a, b, c, d in self._parts(rows, columns)], axis=1)

    def _grid(self, count: int) -> tuple[int, int]:
        side = self.size * PARTS if self.of == "sift" else self.size
        rows = (self.shape_[1] - side) // self.step + 1
        return rows, count // rows

    def _parts(self, rows: int, columns: int) -> list[tuple[int, int, int, int]]:
        across, down = min(self.pyramid, columns), min(self.pyramid, rows)
        return [
            (rows * a // down, rows * (a + 1) // down, columns * b // across, columns * (b + 1) // across) for a in range(down) for b in range(across)
        ]

    def _chunk(self) -> int:
        cells = (self.shape_[1] // self.step + 1) * (self.shape_[2] // self.step + 1) * max(self.words, 128)
        return max(1, (1 << 25) // cells)

    def figure(self, X: Any = None, *, count: int = 40, title: str = "") -> Figure:
        """Draw words: whitened patches as they are; for SIFT, the average of the picture parts nearest to each, found among the rows X.

        Raises `ArgumentError` for SIFT without X.
        """
        from striate import draw
        from striate.classical.templates import template_figure

        if self.of == "patches":
            unwhitened = self.words_[:count] @ np.linalg.pinv(self.whitening_[1] if self.whitening_ else np.eye(self.words_.shape[1]))
            shown = np.asarray(unwhitened).reshape(-1, self.shape_[0], self.size, self.size)
            return template_figure(shown, [""] * len(shown), title=title or f"{len(shown)} of {self.words} visual words", columns=10)
        if X is None:
            raise ArgumentError("figure: words of SIFT are shown by the picture parts nearest to them; give some rows X")
        found = self._examples(pictures_of(np.asarray(X), self.shape_), count)
        return draw.grid(found, title=title or f"{len(found)} of {self.words} visual words: the mean of what is nearest", columns=10, size=56)

    def _examples(self, pictures: Array, count: int) -> list[Array]:
        side = self.size * PARTS
        samples = self.samples(pictures)
        rows, columns = self._grid(samples.shape[1])
        top, left = ((length - side) % self.step // 2 for length in self.shape_[1:])
        score = likeness(samples.reshape(-1, samples.shape[2]), self.words_[:count])
        light = grey(pictures)
        means = []
        for word in range(score.shape[1]):
            best = np.argsort(-score[:, word], kind="stable")[:12]
            picture, place = best // (rows * columns), best % (rows * columns)
            y, x = top + place // columns * self.step, left + place % columns * self.step
            means.append(np.mean([light[p, a : a + side, b : b + side] for p, a, b in zip(picture, y, x, strict=True)], axis=0))
        return means


def whitening(samples: Array, *, floor: float = 0.1) -> tuple[Array, Array]:
    """Return the mean D and the matrix D D that make samples M D uncorrelated and keep them most alike (ZCA); `floor` is added to the variances."""
    mean = samples.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov((samples - mean).T.astype(np.float64)).reshape(len(mean), len(mean)))
    matrix = (vectors / np.sqrt(np.maximum(values, 0) + floor)) @ vectors.T
    return mean.astype(np.float32), matrix.astype(np.float32)
