"""What style transfer compares: Gram matrices of a layer's features, whole or region by region (row U9)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from striate.core.errors import ArgumentError
from striate.understand.pictures import pixels_of


def gram(features: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the Gram matrices N R C C of features N C H W: the mean over positions of the product of every two channels.

    `mask` R H W or N R H W, 0 to 1, guides it: each region's mean is weighted by its squared mask (without area: zeros). Without a mask R is 1.
    Source: Gatys et al. 2016, equation 3, and 2017, section 4 (guided Gram matrices).
    """
    flat = features.flatten(2)
    if mask is None:
        found: Tensor = flat @ flat.transpose(1, 2) / flat.shape[2]
        return found[:, None]
    weights = (mask if mask.ndim == 4 else mask[None]).to(features).flatten(2)
    guided = flat[:, None] * weights[:, :, None]
    area = weights.square().sum(2).clamp(min=1e-12)
    return guided @ guided.transpose(2, 3) / area[:, :, None, None]


def resized_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Return region masks R H W at the size of a layer's maps: the share of each cell that belongs to the region."""
    return F.adaptive_avg_pool2d(mask[None], size)[0]


def regions(content: Any, style: Any, shapes: tuple[tuple[int, int], tuple[int, int]]) -> tuple[Tensor, Tensor] | None:
    """Return masks R H W of the regions of the content and of the style picture, in the same order, or None where none are given.

    Both are label pictures (an array H W of whole numbers, or a file whose grey values are labels), of any size; the labels must be the same
    in both. `shapes`: H W of the two pictures. Raises `ArgumentError`.
    """
    if content is None and style is None:
        return None
    if content is None or style is None:
        missing = "content_regions" if content is None else "style_regions"
        raise ArgumentError(f"{missing}: got none; regions are given for both pictures, with the same labels")
    first, second = _labels(content, "content_regions"), _labels(style, "style_regions")
    known, other = np.unique(first), np.unique(second)
    if known.tolist() != other.tolist():
        told = ", ".join(map(str, known[:8])), ", ".join(map(str, other[:8]))
        raise ArgumentError(f"style_regions: its labels are {told[1]}, but those of content_regions are {told[0]}; they must be the same")
    if len(known) > 16:
        raise ArgumentError(f"content_regions: {len(known)} different labels, expected at most 16; a smooth picture is no label picture")
    return _masks(first, known, shapes[0]), _masks(second, known, shapes[1])


def _labels(given: Any, what: str) -> np.ndarray[Any, Any]:
    if isinstance(given, (np.ndarray, Tensor)):
        found = given.detach().cpu().numpy() if isinstance(given, Tensor) else given
    else:
        pixels, _, _ = pixels_of(given)
        found = np.rint(pixels[0].mean(0).numpy() * 255)
    if found.ndim != 2 or not found.size or not np.array_equal(found, np.rint(found)):
        raise ArgumentError(f"{what}: got {found.dtype} of shape {found.shape}, expected whole numbers H W, one label a pixel")
    return found.astype(np.int64)


def _masks(labels: np.ndarray[Any, Any], known: np.ndarray[Any, Any], shape: tuple[int, int]) -> Tensor:
    masks = torch.from_numpy(np.stack([labels == label for label in known]).astype(np.float32))
    return F.interpolate(masks[None], size=shape, mode="nearest-exact")[0]
