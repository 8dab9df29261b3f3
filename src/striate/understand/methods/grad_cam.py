"""Where a layer's maps speak for the class: each weighed by its mean gradient (row U3)."""

from __future__ import annotations

from typing import Any

from striate.understand.cams import combined, look
from striate.understand.explanation import Explanation
from striate.understand.inputs import prepare
from striate.understand.registry import method


@method("grad_cam", help="Where a layer's maps speak for the class: maps weighed by their mean gradient", needs="images", kind="map")
def grad_cam(
    model: Any,
    images: Any,
    *,
    target: Any = None,
    layer: str | None = None,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return `map` N h w at the layer's own resolution: ReLU(Σ_k α_k A_k), α_k the mean over positions of ∂S/∂A_k, S the score before softmax.

    `layer`: a module path or a function's address, default the last with maps before they are pooled. With pooling and one dense layer as the head
    a forward pass is enough. Raises `UnknownNameError` for a layer, `ArgumentError`. Row U3; Selvaraju et al. 2017.
    """
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        seen = look(p, layer)
        found = combined(seen.gradients.mean((2, 3)), seen.maps)
        return p.explanation("grad_cam", "map", {"map": found}, layer=seen.layer, targeted=True)
