"""What a layer's maps have in common, whatever the class: their first principal component (row U3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from striate.understand.cams import look
from striate.understand.explanation import Explanation
from striate.understand.inputs import prepare
from striate.understand.registry import method


@method("eigen_cam", help="What a layer's maps have in common, whatever the class", needs="images", kind="map")
def eigen_cam(model: Any, images: Any, *, layer: str | None = None, preprocess: Any = None, batch: int | None = None, seed: int = 0) -> Explanation:
    """Return `map` N h w at the layer's own resolution: its vectors at each position, projected on their first singular vector (not centred).

    The sign, which a singular vector leaves open, is chosen so that the map's sum is not negative. No class and no gradient are involved.
    Receipt `explained`: the least share, over the pictures, of the maps' squares that this one direction holds. `layer` as in `grad_cam`.
    Raises `UnknownNameError` for a layer, `ArgumentError`. Row U3; Muhammad and Yeasin 2020.
    """
    with prepare(model, images, preprocess=preprocess, batch=batch, seed=seed) as p:
        seen = look(p, layer, gradients=False)
        found, share = zip(*(_first_component(maps) for maps in seen.maps), strict=True)
        receipts = {"explained": min(share)}
        return p.explanation("eigen_cam", "map", {"map": torch.stack(found)}, layer=seen.layer, receipts=receipts)


def _first_component(maps: Tensor) -> tuple[Tensor, float]:
    """Return the projection h w of maps C h w on their first singular vector, and the share of their squares it holds; float64 inside."""
    rows = maps.flatten(1).double()  # C P
    tall = len(rows) > rows.shape[1]
    values, vectors = torch.linalg.eigh(rows.T @ rows if tall else rows @ rows.T)  # the smaller of the two
    strongest = values[-1].clamp_min(0)
    found = vectors[:, -1] * strongest.sqrt() if tall else vectors[:, -1] @ rows
    whole = float(rows.square().sum())
    signed = -found if float(found.sum()) < 0 else found
    return signed.view(maps.shape[1:]).to(maps.dtype), float(strongest) / whole if whole else 1.0
