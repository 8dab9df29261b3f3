"""Grad-CAM that does justice to several objects of one class: positions weighed by how much they bend the score (row U3)."""

from __future__ import annotations

from typing import Any

import torch

from striate.understand.cams import combined, look
from striate.understand.explanation import Explanation
from striate.understand.inputs import prepare
from striate.understand.registry import method


@method("grad_cam_plus_plus", help="Grad-CAM that does justice to several objects of one class", needs="images", kind="map")
def grad_cam_plus_plus(
    model: Any,
    images: Any,
    *,
    target: Any = None,
    layer: str | None = None,
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return `map` N h w at the layer's own resolution: ReLU(Σ_k w_k A_k) with w_k = Σ_ij a_kij ReLU(g_kij), a = g² / (2 g² + Σ A_k g³), g = ∂S/∂A.

    The paper derives exp(S); its factor exp(S) is common to all weights and left out, so S is the score before softmax.
    `layer` as in `grad_cam`. Raises `UnknownNameError` for a layer, `ArgumentError`. Row U3; Chattopadhay et al. 2018, equations 10 to 19.
    """
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        seen = look(p, layer)
        below = 2 + seen.maps.sum((2, 3), keepdim=True) * seen.gradients  # a, its fraction reduced by g²
        shares = torch.where(below != 0, seen.gradients.relu() / torch.where(below != 0, below, torch.ones_like(below)), torch.zeros_like(below))
        weights = shares.sum((2, 3))
        return p.explanation("grad_cam_plus_plus", "map", {"map": combined(weights, seen.maps)}, layer=seen.layer, targeted=True)
