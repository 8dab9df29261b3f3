"""Boxes and points of a table: checked against their pictures, and carried into the network's input and through augmentations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from striate.core.errors import DataError
from striate.data.stores import Fixed, Ragged, Tokens
from striate.pixels.boxes import into_input, moved, moved_points, trouble

if TYPE_CHECKING:
    from striate.data.augment.base import Augmentation, Draw
    from striate.data.dataset import Table
    from striate.pixels import Preprocess

PLACED = ("boxes", "points")
"""Further columns that say where things are in a picture: `boxes` N 4 (x, y, w, h) and `points` N P 2 (x, y; NaN: not seen), in pixels."""


def checked(what: str, table: Table) -> None:
    """Refuse boxes and points that their pictures cannot hold: `DataError` that names the first picture and counts the rest."""
    if isinstance(table.store, Tokens):
        raise DataError(f"{what}: boxes and points belong to pictures, this is text")
    sizes = shapes_of(table)
    boxes = table.extra.get("boxes")
    if boxes is not None:
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise DataError(f"{what}: boxes have shape {boxes.shape}, expected N 4: x, y, w, h")
        low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
        edge = sizes[:, ::-1]
        good = np.isfinite(boxes).all(1) & (boxes[:, 2:] > 0).all(1) & (low >= -0.5).all(1) & (high <= edge + 0.5).all(1)
        bad = np.flatnonzero(~good)
        if len(bad):
            row = int(bad[0])
            said = trouble(boxes[row].tolist(), (int(sizes[row, 0]), int(sizes[row, 1])))
            raise DataError(f"{what}, {_called(table, row)}: {said}{_more(len(bad), len(boxes), 'boxes')}")
    points = table.extra.get("points")
    if points is not None:
        if points.ndim != 3 or points.shape[2] != 2:
            raise DataError(f"{what}: points have shape {points.shape}, expected N P 2: x, y of each")
        outside = ((points < -0.5) | (points > sizes[:, None, ::-1] + 0.5) | np.isinf(points)).any((1, 2))
        bad = np.flatnonzero(outside)
        if len(bad):
            row = int(bad[0])
            size = f"{sizes[row, 1]} x {sizes[row, 0]}"
            raise DataError(
                f"{what}, {_called(table, row)}: a point of {points[row].tolist()} lies outside the picture of {size} pixels (width x height)"
                f"{_more(len(bad), len(points), 'pictures')}"
            )


def in_input(what: str, table: Table, preprocess: Preprocess) -> dict[str, Tensor]:
    """Return `boxes` and `points` in pixels of the network's input, for all rows. Raises `DataError` where the fitting cuts a box away."""
    motion = torch.from_numpy(into_input(shapes_of(table), preprocess))
    found = carried(_tensors(table.extra), motion, preprocess.size)
    if "boxes" in found:
        gone = np.flatnonzero((found["boxes"][:, 2:] <= 0).any(1).numpy())
        if len(gone):
            raise DataError(
                f"{what}, {_called(table, int(gone[0]))}: fitting the picture to {preprocess.size[1]} x {preprocess.size[0]} by "
                f"{preprocess.resize!r} cuts its box away{_more(len(gone), len(table), 'boxes')}; open the data with resize='pad' or 'squash'"
            )
    return found


def in_cut(table: Table, parts: npt.NDArray[np.float64], draw: Draw, size: tuple[int, int]) -> dict[str, Tensor]:
    """Return `boxes` and `points` of the draw's rows in the input, where each picture's part (left, top, right, bottom) became `size` H W."""
    rows = draw.index.numpy()
    motion = cut_motion(torch.from_numpy(parts).float(), size)
    return carried(_tensors({name: values[rows] for name, values in table.extra.items() if name in PLACED}), motion, size)


def cut_motion(parts: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the motions N 2 3 that bring parts N 4 (left, top, right, bottom) to a picture of `size` H W."""
    left, top, right, bottom = parts.unbind(1)
    across, down, zero = size[1] / (right - left), size[0] / (bottom - top), torch.zeros_like(left)
    return torch.stack([torch.stack([across, zero, -left * across], 1), torch.stack([zero, down, -top * down], 1)], 1)


def carried(placed: Mapping[str, Tensor], motion: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
    """Return `boxes` and `points` after a motion N 2 3, within a picture of `size` H W."""
    found = {}
    for name, values in placed.items():
        where = motion.to(values.device)
        found[name] = moved(values, where, size) if name == "boxes" else moved_points(values, where)
    return found


def followed(
    extra: dict[str, Tensor], plan: Sequence[tuple[int, Augmentation]], draw: Draw, size: tuple[int, int], *, skip: int | None = None
) -> dict[str, Tensor]:
    """Return `extra` with boxes and points moved as the augmentations of `plan` (position, augmentation) move the pictures, bar that at `skip`."""
    placed = {name: extra[name] for name in PLACED if name in extra}
    for position, augment in plan:
        if placed and augment.places and position != skip:
            placed = carried(placed, augment.motion(draw.part(position), size), size)
    return {**extra, **placed}


def shapes_of(table: Table) -> npt.NDArray[np.int64]:
    """Return the pictures' H W, N 2."""
    store = table.store
    if isinstance(store, Fixed):
        return np.tile(np.array(store.shape[1:], dtype=np.int64), (len(store), 1))
    if isinstance(store, Ragged):
        return store.shapes[:, :2].astype(np.int64)
    raise DataError("boxes and points belong to pictures, this is text")


def _tensors(extra: Mapping[str, npt.NDArray[Any]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(extra[name], dtype=np.float32)) for name in PLACED if name in extra}


def _called(table: Table, row: int) -> str:
    return table.names[row] if table.names is not None else f"sample {row}"


def _more(bad: int, count: int, things: str) -> str:
    return f" ({bad} of {count} {things} are wrong)" if bad > 1 else ""
