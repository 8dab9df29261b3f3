"""Which pixels the class score hangs on most: the size of its gradient (row U3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate.understand.explanation import Explanation
from striate.understand.fine_maps import fine_figure
from striate.understand.inputs import prepare
from striate.understand.pixel_gradients import pixel_gradients
from striate.understand.registry import method

if TYPE_CHECKING:
    from striate.draw import Figure


@method("saliency", help="The pixels that the class score hangs on most, by its gradient", needs="images", kind="map")
def saliency(model: Any, images: Any, *, target: Any = None, preprocess: Any = None, batch: int | None = None, seed: int = 0) -> Explanation:
    """Return `map` N H W: max over channels of |∂S/∂pixel|, S the class score before softmax.

    Pixels are in [0, 1]; preprocessing is part of what is differentiated. Raises `ArgumentError`. Row U3; Simonyan, Vedaldi and Zisserman 2014.
    """
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        return p.explanation("saliency", "map", {"map": pixel_gradients(p).abs().amax(1)}, targeted=True)


def figure(explanation: Explanation) -> Figure:
    """Draw it as a map of single pixels."""
    return fine_figure(explanation)
