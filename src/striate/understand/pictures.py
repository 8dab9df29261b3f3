"""From whatever a user calls images (tensors, arrays, PIL pictures, files) to pixels N C H W in [0, 1]."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.pixels import decode, decode_open
from striate.pixels.decoding import WHITE


def pixels_of(images: Any, preprocess: Any = None) -> tuple[Tensor, tuple[str, ...], list[str]]:
    """Return pixels N C H W (float32, or float64 where it came so) in [0, 1], the pictures' names, and notes on what was changed.

    `images`: a tensor or array, uint8 or float in [0, 1], N C H W or one C H W; a PIL picture; a file; or a list of any of these. Pictures and
    files are read by one decoder (upright, scaled, alpha over the background of `preprocess`, else white) and brought to the size of `preprocess`
    where it has one. Raises `ArgumentError`, `PictureError`.
    """
    notes: list[str] = []
    if isinstance(images, (Tensor, np.ndarray)):
        return _scaled(_batched(_tensor(images, notes))), (), notes
    single = isinstance(images, (str, Path)) or hasattr(images, "convert")
    items: Sequence[Any] = [images] if single else images
    if not isinstance(items, Sequence) or not len(items):
        raise ArgumentError(f"images: got {_came(images)}, expected a tensor or array N C H W, PIL pictures, or files")
    read = [_one(item, "images" if single else f"images[{number}]", preprocess, notes) for number, item in enumerate(items)]
    shapes = {tuple(each.shape[1:]) for each in read}
    if len(shapes) > 1:
        told = ", ".join("×".join(map(str, shape)) for shape in sorted(shapes)[:4])
        raise ArgumentError(f"images: they have different shapes ({told}); give them one size, or a preprocess with a size")
    names = tuple(Path(item).name if isinstance(item, (str, Path)) else "" for item in items)
    return torch.cat(read), names if any(names) else (), notes


def _one(item: Any, name: str, preprocess: Any, notes: list[str]) -> Tensor:
    if isinstance(item, (Tensor, np.ndarray)):
        tensor = _tensor(item, notes)
        if tensor.ndim == 4 and len(tensor) != 1:
            raise ArgumentError(f"images: a list's items are single pictures, got one of shape {tuple(tensor.shape)}")
        return _scaled(_batched(tensor))
    detail, background = getattr(preprocess, "detail", None), getattr(preprocess, "background", WHITE)
    if hasattr(item, "convert"):
        return _scaled(_fitted(decode_open(item, name, background=background, short_side=detail), preprocess, notes)[None])
    if isinstance(item, (str, Path)):
        return _scaled(_fitted(decode(item, background=background, short_side=detail), preprocess, notes)[None])
    raise ArgumentError(f"images: got {_came(item)} in the list, expected tensors, arrays, PIL pictures or files")


def _fitted(picture: np.ndarray[Any, Any], preprocess: Any, notes: list[str]) -> Tensor:
    """Bring H W C uint8 to the network's own size, where that is known."""
    if not hasattr(preprocess, "fit"):
        return torch.from_numpy(picture.transpose(2, 0, 1).copy())  # PIL's own memory may not be written
    fitting = preprocess
    if getattr(preprocess, "resize", "") == "none" and picture.shape[:2] != tuple(preprocess.size):
        fitting = dataclasses.replace(preprocess, resize="crop")
        _note(notes, f"brought to {preprocess.size[0]} x {preprocess.size[1]} pixels, the size this network learned on")
    fitted: Tensor = fitting.fit(picture)
    return fitted


def _tensor(images: Any, notes: list[str]) -> Tensor:
    tensor = _dense(images.detach()) if isinstance(images, Tensor) else torch.from_numpy(_native(images))
    if tensor.ndim == 2:
        tensor = tensor[None]
    if tensor.ndim not in (3, 4) or 0 in tensor.shape:
        raise ArgumentError(f"images: got shape {tuple(tensor.shape)}, expected N C H W or C H W")
    if tensor.shape[-3] > 4 and tensor.shape[-1] in (1, 3) and tensor.shape[-3] != tensor.shape[-1]:
        tensor = tensor.movedim(-1, -3)
        _note(notes, "the channels stood last and were moved to the front")
    return tensor


def _dense(tensor: Tensor) -> Tensor:
    """Return a tensor that holds plain values; raises `ArgumentError` for one that is sparse, nested or without values."""
    if tensor.is_nested:
        raise ArgumentError("images: got a nested tensor, expected one tensor N C H W; pictures of many sizes go in a list, with a preprocess")
    if tensor.layout != torch.strided:
        raise ArgumentError(f"images: got a tensor laid out as {tensor.layout}, expected a dense one; give images.to_dense()")
    if tensor.is_meta:
        raise ArgumentError("images: the tensor lies on the meta device and holds no values; give one on the CPU or the network's device")
    return tensor


def _native(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return an array as torch takes it: numbers in this machine's byte order, at most 8 bytes each. Raises `ArgumentError`."""
    if array.dtype.kind not in "buif":
        hint = "; pictures of many sizes go in a list" if array.dtype == object else ""
        raise ArgumentError(f"images: got an array of {array.dtype}, expected uint8 (0 to 255) or floats (0 to 1){hint}")
    if np.ma.is_masked(array):
        raise ArgumentError("images: got a masked array, expected pixels everywhere; say what stands there: images.filled(0)")
    kind = np.dtype(np.float64) if array.dtype.kind == "f" and array.dtype.itemsize > 8 else array.dtype.newbyteorder("=")
    return np.ascontiguousarray(array, dtype=kind)


def _batched(tensor: Tensor) -> Tensor:
    return tensor if tensor.ndim == 4 else tensor[None]


def _scaled(tensor: Tensor) -> Tensor:
    if tensor.dtype == torch.uint8:
        return tensor.to(torch.float32) / 255
    if not tensor.is_floating_point() or tensor.element_size() < 2:
        raise ArgumentError(f"images: got {tensor.dtype}, expected uint8 (0 to 255) or floats (0 to 1) of 16 bits or more")
    low, high = (float(value) for value in torch.aminmax(tensor))
    if not math.isfinite(high - low):  # one NaN among them makes both NaN
        raise ArgumentError("images: some values are NaN or infinite, expected 0 to 1")
    if low < -1e-4 or high > 1 + 1e-4:
        raise ArgumentError(
            f"images: floats run from {low:.4g} to {high:.4g}, expected 0 to 1: pixels, not standardised values. "
            "Divide by 255, or give uint8; what standardises them goes into preprocess="
        )
    kept = tensor if tensor.dtype == torch.float64 else tensor.to(torch.float32)
    return kept.clone()


def _note(notes: list[str], text: str) -> None:
    if text not in notes:
        notes.append(text)


def _came(value: Any) -> str:
    return f"{len(value)} items of nothing" if isinstance(value, Sequence) and not len(value) else type(value).__name__
