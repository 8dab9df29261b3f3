"""Boxes (x, y, w, h) and points (x, y) in a picture: how much boxes overlap, and where they go when the picture is changed.

x and y are a box's left and top edge in pixels from the picture's own, w and h its width and height; the whole picture is (0, 0, W, H).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor

    from striate.pixels.preprocess import Preprocess

SLACK = 0.5
"""Pixels by which a box may stand out of its picture: rounding in whoever drew it."""


def iou(a: Any, b: Any) -> Tensor:
    """Return the intersection over union of each box of `a` with the box of `b` in the same row: N, 0 to 1.

    `a` and `b`: (x, y, w, h) in the last axis, tensors or anything NumPy reads, shapes that broadcast. Boxes without area overlap nothing: 0.
    Raises `ArgumentError` for another last axis and for negative sizes.
    """
    first, second = _boxes(a, "a"), _boxes(b, "b")
    common, union, _ = _areas(first, second)
    return common / union.clamp(min=1e-12)


def iou_matrix(a: Any, b: Any) -> Tensor:
    """Return the intersection over union of every box of `a` (N 4) with every box of `b` (M 4): N M, 0 to 1."""
    return iou(_boxes(a, "a")[:, None], _boxes(b, "b")[None])


def generalised_iou(a: Any, b: Any) -> Tensor:
    """Return the generalised IoU of paired boxes, -1 to 1: IoU less the share of the common hull that neither covers.

    Unlike IoU it has a slope where boxes do not touch (Rezatofighi et al. 2019). Shapes and errors as for `iou`.
    """
    first, second = _boxes(a, "a"), _boxes(b, "b")
    common, union, hull = _areas(first, second)
    return common / union.clamp(min=1e-12) - (hull - union) / hull.clamp(min=1e-12)


def _areas(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a_end, b_end = a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:]
    common = (a_end.minimum(b_end) - a[..., :2].maximum(b[..., :2])).clamp(min=0).prod(-1)
    hull = (a_end.maximum(b_end) - a[..., :2].minimum(b[..., :2])).prod(-1)
    return common, a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - common, hull


def _boxes(value: Any, name: str) -> Tensor:
    import torch

    boxes = value if isinstance(value, torch.Tensor) else torch.from_numpy(np.asarray(value, dtype=np.float64))
    if boxes.ndim < 1 or boxes.shape[-1] != 4:
        raise ArgumentError(f"{name}: boxes have shape {tuple(boxes.shape)}, expected 4 numbers in the last axis: x, y, w, h")
    boxes = boxes if boxes.is_floating_point() else boxes.float()
    if boxes.device.type == "cpu" and boxes.numel() and float(boxes.detach()[..., 2:].min()) < 0:
        raise ArgumentError(f"{name}: a box has a negative width or height; expected x, y, w, h with w and h of 0 or more")
    return boxes


def moved(boxes: Tensor, motion: Tensor, size: tuple[int, int]) -> Tensor:
    """Return boxes N 4 after a motion N 2 3 (an input point (x, y, 1) goes to motion @ point), within a picture of `size` H W.

    The result is the upright hull of the box's four moved corners, so turning enlarges it. What leaves the picture is cut off; a box that leaves it
    altogether has no area.
    """
    x, y, w, h = boxes.unbind(1)
    corners = moved_points(boxes.new_zeros(len(boxes), 4, 2).copy_(_stacked(x, y, w, h)), motion)
    low, high = corners.amin(1), corners.amax(1)
    edge = boxes.new_tensor([size[1], size[0]])
    low, high = low.clamp(min=0).minimum(edge), high.clamp(min=0).minimum(edge)
    return _joined(low, high - low)


def moved_points(points: Tensor, motion: Tensor) -> Tensor:
    """Return points N P 2 (x, y) after a motion N 2 3; points may leave the picture, NaN (not seen) stays NaN."""
    return points @ motion[:, :, :2].transpose(1, 2) + motion[:, None, :, 2]


def _stacked(x: Tensor, y: Tensor, w: Tensor, h: Tensor) -> Tensor:
    import torch

    return torch.stack([torch.stack(pair, 1) for pair in ((x, y), (x + w, y), (x, y + h), (x + w, y + h))], 1)


def _joined(corner: Tensor, size: Tensor) -> Tensor:
    import torch

    return torch.cat([corner, size], 1)


def into_input(shapes: npt.NDArray[np.int64], preprocess: Preprocess) -> npt.NDArray[np.float32]:
    """Return the motions N 2 3 from pixels of whole pictures (`shapes` N 2: H, W) to pixels of a network's input, as `Preprocess.fit` places them."""
    high, wide = preprocess.size
    height, width = shapes[:, 0].astype(np.float64), shapes[:, 1].astype(np.float64)
    alike = (shapes[:, 0] == high) & (shapes[:, 1] == wide) & (preprocess.short_side is None)
    if preprocess.resize in ("squash", "none"):
        across, down, left, top = wide / width, high / height, np.zeros_like(width), np.zeros_like(width)
    elif preprocess.resize == "crop":
        scale = preprocess.short_side / np.minimum(height, width) if preprocess.short_side else np.maximum(high / height, wide / width)
        taken, tall = np.minimum(wide / scale, width), np.minimum(high / scale, height)
        across, down = wide / taken, high / tall
        left, top = -(width - taken) / 2 * across, -(height - tall) / 2 * down
    else:
        scale = np.minimum(high / height, wide / width)
        inner_wide = np.minimum(wide, np.maximum(1, np.round(width * scale)))
        inner_high = np.minimum(high, np.maximum(1, np.round(height * scale)))
        across, down = inner_wide / width, inner_high / height
        left, top = (wide - inner_wide) // 2, (high - inner_high) // 2
    motions = np.zeros((len(shapes), 2, 3))
    motions[:, 0, 0], motions[:, 1, 1] = np.where(alike, 1, across), np.where(alike, 1, down)
    motions[:, 0, 2], motions[:, 1, 2] = np.where(alike, 0, left), np.where(alike, 0, top)
    return motions.astype(np.float32)


def trouble(box: Sequence[float], size: tuple[int, int] | None = None) -> str | None:
    """Return what is wrong with a box (x, y, w, h), in words, or None; `size` H W is its picture's, where that is known."""
    x, y, w, h = (float(value) for value in box)
    told = f"x {x:g}, y {y:g}, w {w:g}, h {h:g}"
    if not all(np.isfinite((x, y, w, h))):
        return f"the box {told} is not all numbers"
    if w <= 0 or h <= 0:
        return f"the box {told} has a width or height of 0 or less; expected x, y (left top corner) and w, h above 0, in pixels"
    if x < -SLACK or y < -SLACK:
        return f"the box {told} begins outside the picture; x and y are counted from its left top corner"
    if size is not None and (x + w > size[1] + SLACK or y + h > size[0] + SLACK):
        return f"the box {told} ends at {x + w:g}, {y + h:g}, outside the picture of {size[1]} x {size[0]} pixels (width x height)"
    return None
