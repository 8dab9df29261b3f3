"""A class activation map that may be asked of any layer, also an early one: every position has its own weight (row U3)."""

from __future__ import annotations

from typing import Any

from striate.understand.cams import look
from striate.understand.explanation import Explanation
from striate.understand.inputs import prepare
from striate.understand.registry import method


@method("layer_cam", help="Where any layer, also an early one, speaks for the class", needs="images", kind="map")
def layer_cam(
    model: Any,
    images: Any,
    *,
    target: Any = None,
    layer: str | None = None,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return `map` N h w at the layer's own resolution: ReLU(Σ_k ReLU(∂S/∂A_k) · A_k), position by position, S the score before softmax.

    `layer` as in `grad_cam`; earlier ones give finer maps. Raises `UnknownNameError` for a layer, `ArgumentError`. Row U3; Jiang et al. 2021.
    """
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        seen = look(p, layer)
        found = (seen.gradients.relu() * seen.maps).sum(1).relu()
        return p.explanation("layer_cam", "map", {"map": found}, layer=seen.layer, targeted=True)
