"""Filter banks: how strongly each of several small filters answers, region by region (row C filter-banks)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.classical.bases import Feature
from striate.classical.checking import Rows, grey, pictures_of, rows_of, whole
from striate.classical.features.canny import canny_edges
from striate.classical.features.kernels import KERNELS, filtered, kernel, pooled
from striate.classical.registry import feature
from striate.core.errors import ArgumentError, unknown_name

if TYPE_CHECKING:
    from striate.draw import Figure


@feature("filter-bank", help="Answers of named small filters, region by region", row="C filter-banks")
class FilterBank(Feature):
    """Mean strength (and mean) of each filter's answer to the grey picture, over `cells` x `cells` regions.

    `filters`: names among `kernels.KERNELS` (identity, sharpen, box-blur, gaussian-blur, edge-diagonal, edge-cross, edge-all, sobel-rows,
    sobel-columns, laplacian-of-gaussian, gabor-0 to gabor-135) and `canny`, the share of pixels on an edge. `sign`: also the mean answer with its
    sign. Raises `UnknownNameError` with the nearest names.
    """

    def __init__(
        self,
        filters: tuple[str, ...] = (
            "gaussian-blur",
            "sobel-rows",
            "sobel-columns",
            "laplacian-of-gaussian",
            "canny",
            "gabor-0",
            "gabor-45",
            "gabor-90",
            "gabor-135",
        ),
        *,
        cells: int = 4,
        sign: bool = False,
        image_shape: tuple[int, ...] | None = None,
    ) -> None:
        self.filters = filters
        self.cells = cells
        self.sign = sign
        self.image_shape = image_shape

    def _learn(self, X: Rows, y: Any) -> None:  # noqa: ARG002
        whole("cells", self.cells)
        given: Any = self.filters
        if isinstance(given, str) or not len(given):
            raise ArgumentError(f"filters: got {self.filters!r}, expected a tuple of names, such as ('sobel-rows', 'canny')")
        for name in self.filters:
            if name not in KERNELS and name != "canny":
                raise unknown_name("filter", str(name), (*KERNELS, "canny"))

    def responses(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return each filter's answer to pictures N C H W (turned grey), N K H W; Canny's is 1 on an edge and 0 elsewhere."""
        light = grey(pictures)
        out = np.empty((len(light), len(self.filters), *light.shape[1:]), dtype=np.float32)
        linear = [place for place, name in enumerate(self.filters) if name != "canny"]
        if linear:
            out[:, linear] = filtered(light, [kernel(self.filters[place]) for place in linear])
        for place, name in enumerate(self.filters):
            if name == "canny":
                out[:, place] = canny_edges(light)
        return out

    def _features(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        answers = self.responses(pictures)
        parts = [pooled(np.abs(answers), self.cells)]
        if self.sign:
            parts.append(pooled(answers, self.cells))
        return np.concatenate([part.reshape(len(pictures), -1) for part in parts], axis=1)

    def figure(self, X: Any, *, title: str = "") -> Figure:
        """Draw the first row's picture and every filter's answer to it."""
        from striate import draw

        pictures = pictures_of(rows_of(self, X, reset=False)[0][:1], self.shape_)
        answers = self.responses(pictures)[0]
        title = title or f"What {len(self.filters)} filters see in one picture"
        cells = [draw.Panel(picture=grey(pictures)[0], caption="picture, grey")]
        cells += [draw.Panel(values=answer, caption=name) for answer, name in zip(answers, self.filters, strict=True)]
        return draw.panels([cells[first : first + 5] for first in range(0, len(cells), 5)], title=title)
