"""Neocognitron: S-cells that look for a pattern, C-cells that let it shift, learned layer by layer without labels.

Fukushima 1980 (Biological Cybernetics 36); S-cells by similarity and a threshold as in Fukushima 2003, new planes where all are silent as in
Fukushima 2013 (add-if-silent). Row C neocognitron.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.classical.bases import Feature
from striate.classical.checking import Rows, grey, whole
from striate.classical.registry import estimator
from striate.core.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor

    from striate.draw import Figure

PICTURES, SAMPLES = 2000, 20_000
"""Training pictures a layer learns from, and places in them, at most."""


@estimator("neocognitron", help="Neocognitron: S- and C-cells, learned without labels", row="C neocognitron")
class Neocognitron(Feature):
    """The last C-cells' answers to the grey picture; a linear classifier behind it reads them.

    Contrast cells (on and off centre) come first. Then, stage by stage, S-cells: how alike the window and the plane's pattern are (cosine, weighted
    by a Gaussian), less a threshold θ, times the window's strength: |x| max(0, s - θ) / (1 - θ); and C-cells: the root of the Gaussian-weighted mean
    square of each S-plane over a neighbourhood, every `spacing` places. `planes`, `sizes` (of S-windows), `thresholds`, `learning`, `spacing` and
    `blur` (a C-cell's neighbourhood, deviation in places) have one entry a stage.

    Patterns are learned stage after stage, without labels: windows in random order, and one at which all planes are silent (none more alike than the
    higher threshold of `learning`) becomes a new plane, up to `planes`; then `passes` times each pattern moves to the mean of the windows it
    wins. After `fit`: `patterns_`, one K C size size a stage.
    """

    def __init__(
        self,
        planes: tuple[int, ...] = (16, 64, 128),
        *,
        sizes: tuple[int, ...] = (3, 5, 5),
        thresholds: tuple[float, ...] = (0.7, 0.6, 0.5),
        learning: tuple[float, ...] = (0.9, 0.85, 0.8),
        spacing: tuple[int, ...] = (2, 2, 2),
        blur: tuple[float, ...] = (1.0, 1.0, 1.0),
        passes: int = 3,
        image_shape: tuple[int, ...] | None = None,
        random_state: Any = 0,
    ) -> None:
        self.planes = planes
        self.sizes = sizes
        self.thresholds = thresholds
        self.learning = learning
        self.spacing = spacing
        self.blur = blur
        self.passes = passes
        self.image_shape = image_shape
        self.random_state = random_state

    def _learn(self, X: Rows, y: Any) -> None:  # noqa: ARG002 - labels are not looked at
        import torch
        from sklearn.utils import check_random_state

        self._check()
        state = check_random_state(self.random_state)
        self.patterns_: list[npt.NDArray[np.float32]] = []
        with torch.inference_mode():
            below = contrast(torch.from_numpy(grey(self._some(X, PICTURES, state))))
            for stage in range(len(self.planes)):
                windows = _windows(below, self.sizes[stage], state)
                if not len(windows):
                    raise ArgumentError(f"X: stage {stage + 1} sees nothing but flat pictures; there is no pattern to learn")
                self.patterns_.append(self._grow(windows, stage, state).reshape(-1, below.shape[1], self.sizes[stage], self.sizes[stage]))
                below = self._stage(below, stage)

    def _check(self) -> None:
        whole("passes", self.passes, least=0)
        for name in ("sizes", "thresholds", "learning", "spacing", "blur"):
            if len(getattr(self, name)) != len(self.planes) or not len(self.planes):
                raise ArgumentError(f"{name}: got {getattr(self, name)!r}, expected one entry for each of the {len(self.planes)} stages of planes")
        for name in ("planes", "sizes", "spacing"):
            for value in getattr(self, name):
                whole(name, value)
        if any(size % 2 == 0 for size in self.sizes):
            raise ArgumentError(f"sizes: got {self.sizes}, expected odd sides, so that a window has a centre")
        if not all(0 <= value < 1 for value in (*self.thresholds, *self.learning)) or min(self.blur) <= 0:
            got = f"{self.thresholds}, {self.learning} and {self.blur}"
            raise ArgumentError(f"thresholds, learning and blur: got {got}, expected shares from 0 up to 1, and widths above 0")

    def _grow(self, windows: npt.NDArray[np.float32], stage: int, state: Any) -> npt.NDArray[np.float32]:
        """Return patterns K D from windows M D (weighted and of length 1): add where silent, then move to the mean of what is won."""
        alike = np.full(len(windows), -1.0, np.float32)
        found: list[int] = []
        for place in state.permutation(len(windows)):
            if alike[place] <= self.learning[stage]:
                found.append(int(place))
                np.maximum(alike, windows @ windows[place], out=alike)
                if len(found) == self.planes[stage]:
                    break
        patterns = windows[found]
        for _ in range(self.passes):
            winner = (windows @ patterns.T).argmax(axis=1)
            summed = np.zeros_like(patterns)
            np.add.at(summed, winner, windows)
            length = np.sqrt(np.square(summed).sum(axis=1, keepdims=True))
            patterns = np.where(length > 0, summed / np.maximum(length, 1e-12), patterns)
        return np.asarray(patterns, np.float32)

    def _stage(self, below: Tensor, stage: int) -> Tensor:
        import torch

        cells = s_cells(below, torch.from_numpy(self.patterns_[stage]), self.thresholds[stage])
        return c_cells(cells, self.spacing[stage], self.blur[stage])

    def layers(self, pictures: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        """Return the answers of the contrast cells and of each stage's C-cells to pictures N C H W, N K h w each."""
        import torch

        with torch.inference_mode():
            found = [contrast(torch.from_numpy(grey(pictures)))]
            for stage in range(len(self.planes)):
                found.append(self._stage(found[-1], stage))
        return [np.asarray(layer.numpy()) for layer in found]

    def _features(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        return self.layers(pictures)[-1].reshape(len(pictures), -1)

    def _chunk(self) -> int:
        return max(1, (1 << 24) // (self.shape_[1] * self.shape_[2] * max(self.planes)))

    def figure(self, *, title: str = "") -> Figure:
        """Draw the first stage's patterns: what each plane wants bright (on) less what it wants dark (off)."""
        from striate import draw

        first = self.patterns_[0]
        shown = list(first[:, 0] - first[:, 1])
        return draw.maps(shown, title=title or f"{len(shown)} patterns found without labels", signed=True, shared=True, columns=8, size=64)


def contrast(pictures: Tensor) -> Tensor:
    """Return on- and off-centre answers to pictures N H W: the positive and negative part of a difference of Gaussians, N 2 H W."""
    import torch
    from torch.nn import functional

    kernel = _bell(7, 0.8) - _bell(7, 1.8)
    padded = functional.pad(pictures[:, None], (3, 3, 3, 3), mode="replicate")
    found = functional.conv2d(padded, torch.from_numpy(kernel)[None, None])
    return torch.cat([found.clamp(min=0), (-found).clamp(min=0)], dim=1)


def s_cells(below: Tensor, patterns: Tensor, threshold: float) -> Tensor:
    """Return S-cells' answers to N C H W, N K H W; `patterns` K C s s are weighted by the root of the window's Gaussian and have length 1."""
    import torch
    from torch.nn import functional

    size = patterns.shape[2]
    root = torch.from_numpy(np.sqrt(_bell(size, size / 3)))
    dot = functional.conv2d(below, patterns * root, padding=size // 2)
    square = functional.conv2d((below * below).sum(dim=1, keepdim=True), (root * root)[None, None], padding=size // 2)
    strength = square.clamp(min=0).sqrt()
    return (dot - threshold * strength).clamp(min=0) / (1 - threshold)


def c_cells(cells: Tensor, spacing: int, blur: float) -> Tensor:
    """Return C-cells' answers to S-planes N K H W: the root of the Gaussian mean square, every `spacing` places."""
    import torch
    from torch.nn import functional

    reach = max(1, round(2 * blur))
    kernel = torch.from_numpy(_bell(2 * reach + 1, blur)).expand(cells.shape[1], 1, -1, -1)
    mean = functional.conv2d(cells * cells, kernel, stride=spacing, padding=reach, groups=cells.shape[1])
    return mean.clamp(min=0).sqrt()


def _bell(size: int, width: float) -> npt.NDArray[np.float32]:
    """Return a Gaussian of sum 1, size x size."""
    line = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * width**2))
    square = np.outer(line, line)
    return np.asarray(square / square.sum(), np.float32)


def _windows(below: Tensor, size: int, state: Any) -> npt.NDArray[np.float32]:
    """Return windows M D of N C H W, weighted and of length 1, drawn among those that are not weak."""
    from torch.nn import functional

    root = np.sqrt(_bell(size, size / 3))
    rows = below.shape[2] * below.shape[3]
    each = max(1, min(rows, 4 * SAMPLES // len(below)))
    padded = functional.pad(below, (size // 2,) * 4).numpy()
    places = state.randint(0, rows, size=(len(below), each))
    view = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    picture = np.repeat(np.arange(len(below)), each)
    found = view[picture, :, places.ravel() // below.shape[3], places.ravel() % below.shape[3]] * root
    found = found.reshape(len(picture), -1)
    length = np.sqrt(np.square(found).sum(axis=1))
    strong = np.flatnonzero(length > max(1e-6, 0.3 * float(np.quantile(length, 0.95))))[:SAMPLES]
    return np.asarray(found[strong] / length[strong, None], np.float32)
