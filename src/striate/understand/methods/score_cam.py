"""A class activation map without gradients: each map is weighed by the score of the picture seen through it (row U3)."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from striate.understand.cams import combined, look, resized
from striate.understand.checking import checked, within
from striate.understand.explanation import Explanation
from striate.understand.inputs import prepare
from striate.understand.registry import method
from striate.understand.standins import stand_in
from striate.understand.throughput import Throughput


@method("score_cam", help="Grad-CAM without gradients: maps weighed by the score of the picture seen through them", needs="images", kind="map")
def score_cam(
    model: Any,
    images: Any,
    *,
    target: Any = None,
    layer: str | None = None,
    value: float | Literal["mean", "blur"] = "mean",
    most: int | None = None,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    preprocess: Any = None,
    batch: int | None = None,
    seed: int = 0,
) -> Explanation:
    """Return `map` N h w at the layer's own resolution: ReLU(Σ_k α_k A_k), α the softmax over channels of S(picture seen through A_k) − S(nothing).

    Seen through A_k: pixels · m + stand-in · (1 − m), m the map enlarged and stretched to [0, 1]; `value` is what stands in (a level, `mean`, `blur`)
    and alone is nothing. Flat maps are left out and counted. `most`: only so many channels, those that vary most. One forward pass a channel, in
    bf16 where a sample of them keeps its order (`precision`). Raises `UnknownNameError`, `ArgumentError`. Row U3; Wang et al. 2020.
    """
    options = checked("score_cam", {"value": value, "most": most, "precision": precision})
    if most is not None:
        within("most", most, 1)
    with prepare(model, images, preprocess=preprocess, target=target, batch=batch, seed=seed) as p:
        seen = look(p, layer, gradients=False)
        fast = Throughput(p, precision=options["precision"], batch=batch)
        found, left_out = [], 0
        for picture, maps, goal in zip(p.pixels, seen.maps, p.target, strict=True):
            flat = maps.flatten(1)
            spread = flat.amax(1) - flat.amin(1)
            kept = spread.argsort(descending=True, stable=True)[:most]
            kept = kept[spread[kept] > 0].sort().values
            left_out += len(maps) - len(kept)
            seen_through = partial(_seen_through, picture, stand_in(picture, options["value"]), torch.cat([maps[kept], maps[:1] * 0]))
            run = fast.run(len(kept) + 1, seen_through, partial(_score, goal))
            gained = run.logits[:-1, goal] - run.logits[-1, goal]
            weights = torch.zeros(len(maps), dtype=maps.dtype, device=maps.device)
            weights[kept] = gained.softmax(0).to(maps.dtype)
            found.append(combined(weights[None], maps[None])[0])
        receipts = {"channels": seen.maps.shape[1], **fast.receipts()}
        notes = fast.told()
        if left_out:
            notes.append(f"{left_out} of {len(p) * seen.maps.shape[1]} maps were left out: " + ("flat" if most is None else "flat, or beyond `most`"))
        return p.explanation(
            "score_cam", "map", {"map": torch.stack(found)}, options=options, layer=seen.layer, targeted=True, receipts=receipts, notes=notes
        )


def _seen_through(picture: Tensor, instead: Tensor, maps: Tensor, numbers: Tensor) -> Tensor:
    """Return the picture C H W through each of the maps M h w, enlarged and stretched to [0, 1]; through a flat one nothing is seen."""
    large = resized(maps[numbers.to(maps.device)][None].to(picture.dtype), (picture.shape[-2], picture.shape[-1]))[0]
    low, high = large.amin((1, 2), keepdim=True), large.amax((1, 2), keepdim=True)
    mask = (large - low) / (high - low).clamp_min(1e-30)
    return instead + mask[:, None] * (picture - instead)


def _score(goal: Tensor, logits: Tensor) -> Tensor:
    return logits[:, goal]
