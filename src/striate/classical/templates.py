"""A linear classifier's weights as pictures: one template a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from striate.classical.checking import shape_of

if TYPE_CHECKING:
    from striate.draw import Figure


class Templates:
    """What classifiers with one weight a pixel and class add: `templates` and `figure`. They set `weights_`, K D."""

    image_shape: tuple[int, ...] | None
    weights_: npt.NDArray[Any]
    classes_: npt.NDArray[Any]

    @property
    def templates(self) -> npt.NDArray[Any]:
        """The weights as pictures, K C H W; what a class looks for is positive, what speaks against it negative."""
        check_is_fitted(self, "weights_")
        return self.weights_.reshape(len(self.weights_), *shape_of(self.weights_.shape[1], self.image_shape))

    def figure(self, names: Sequence[str] | None = None, *, title: str = "") -> Figure:
        """Draw the templates: signed maps for grey pictures; for colour ones the weights as light, mid grey where there is none."""
        return template_figure(self.templates, [str(name) for name in (self.classes_ if names is None else names)], title=title)


def template_figure(templates: npt.NDArray[Any], names: Sequence[str], *, title: str = "", columns: int = 5) -> Figure:
    """Draw templates K C H W with a name under each; grey ones share one signed scale. Raises `ArgumentError` where names and templates differ."""
    from striate import draw

    title = title or "What each class looks for"
    columns = min(len(templates), columns)
    size = 112.0 if columns <= 5 else 60.0
    if templates.shape[1] != 3:
        return draw.maps(list(templates.mean(axis=1)), list(names), title=title, signed=True, shared=True, columns=columns, size=size)
    largest = np.percentile(np.abs(templates), 99.5, axis=(1, 2, 3), keepdims=True)
    light = np.clip(0.5 + 0.5 * templates / np.maximum(largest, 1e-12), 0, 1)
    return draw.grid(list(light), list(names), title=title, columns=columns, size=size)
