"""Pixels as they are: scaled to [0, 1], in grey or smaller if asked; the plainest feature."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from striate.classical.bases import Feature
from striate.classical.checking import Rows, grey, whole
from striate.classical.registry import feature
from striate.core.errors import unknown_name


@feature("pixels", help="Raw pixels, grey or smaller if asked")
class Pixels(Feature):
    """Pixels in [0, 1]: C H W numbers; `colour="grey"` H W; `shrink` averages squares of so many pixels a side.

    `centre`: `none`; `picture` subtracts each picture's mean and divides by its deviation, so brightness and contrast no longer count.
    """

    def __init__(
        self,
        *,
        colour: Literal["keep", "grey"] = "keep",
        shrink: int = 1,
        centre: Literal["none", "picture"] = "none",
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.colour = colour
        self.shrink = shrink
        self.centre = centre
        self.image_shape = image_shape

    def _learn(self, X: Rows, y: Any) -> None:  # noqa: ARG002
        whole("shrink", self.shrink)
        for name, allowed in (("colour", ("keep", "grey")), ("centre", ("none", "picture"))):
            if getattr(self, name) not in allowed:
                raise unknown_name(name, str(getattr(self, name)), allowed)

    def _features(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        values = grey(pictures)[:, None] if self.colour == "grey" else pictures
        if self.shrink > 1:
            step = min(self.shrink, *values.shape[2:])
            n, c, h, w = values.shape
            values = values[:, :, : h // step * step, : w // step * step].reshape(n, c, h // step, step, w // step, step).mean(axis=(3, 5))
        rows = values.reshape(len(values), -1)
        if self.centre == "picture":
            rows = rows - rows.mean(axis=1, keepdims=True)
            rows = rows / np.maximum(rows.std(axis=1, keepdims=True), 1e-2)
        return rows
