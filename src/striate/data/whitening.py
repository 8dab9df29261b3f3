"""Mean, spread and whitening of the training split: exact for 8-bit pictures, in integer arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.core.storage import cache_folder, digest, read_json, write_json
from striate.data.stores import Fixed, Ragged, Store, Tokens, as_tensor

if TYPE_CHECKING:
    from striate.pixels import Preprocess

CHUNK = 256
"""Pictures at a time: 256 * 255**2 < 2**24, so sums of squares over them are exact in float32."""


def channel_statistics(store: Store) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (mean, std) per channel over all pixels, in shares of 1 for uint8 and in their own units for floats.

    The standard deviation is the population's. Pictures of many sizes each give every ⌊H / 64⌋-th row, which is remembered in the cache.
    """
    if isinstance(store, Tokens):
        raise ArgumentError("text has no channels to take a mean of")
    if isinstance(store, Ragged):
        return _remembered(store)
    count, total, squares = _fixed_sums(store)
    largest = 255.0 if store.pixels.dtype == np.uint8 else 1.0
    mean = total / count
    return mean / largest, np.sqrt(np.maximum(squares / count - mean**2, 0)) / largest


def preprocess_for(store: Store, shape: tuple[int, ...], whitening: str = "none") -> Preprocess:
    """Return the preprocessing that standardises (or whitens) `store`'s pictures to `shape` (C H W)."""
    from striate.pixels import Preprocess

    if whitening != "none":
        raise ArgumentError(f"whitening: {whitening!r} is not built yet")
    mean, std = channel_statistics(store)
    if len(mean) != shape[0]:
        raise ArgumentError(f"the pictures have {len(mean)} channels, the input {shape[0]}")
    std = np.where(std > 0, std, 1.0)  # a constant channel stays at zero
    height, width = int(shape[1]), int(shape[2])
    resize = "crop" if isinstance(store, Ragged) else "none"
    return Preprocess(size=(height, width), channels=int(shape[0]), mean=tuple(mean.tolist()), std=tuple(std.tolist()), resize=resize)


def _fixed_sums(store: Fixed) -> tuple[float, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return pixels per channel, sums and sums of squares per channel."""
    pixels = store.pixels
    count, channels, height, width = pixels.shape
    total = torch.zeros(channels, dtype=torch.float64)
    squares = torch.zeros(channels, dtype=torch.float64)
    kind = torch.float32 if pixels.dtype == np.uint8 else torch.float64
    for first in range(0, count, CHUNK):
        part = as_tensor(pixels[first : first + CHUNK]).to(kind).view(-1, channels, height * width)
        total += part.sum(0).double().sum(1)
        squares += part.square_().sum(0).double().sum(1)
    return float(count * height * width), total.numpy(), squares.numpy()


def _remembered(store: Ragged) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    path = cache_folder("statistics") / f"{digest(store.fingerprint, 'mean-std-1')}.json"
    if path.exists():
        kept: dict[str, Any] = read_json(path)
        return np.asarray(kept["mean"]), np.asarray(kept["std"])
    channels = int(store.shapes[:, 2].max())
    total, squares, count = np.zeros(channels), np.zeros(channels), 0
    for i in range(len(store)):
        picture = store.picture(i)
        lines = picture[:: max(1, len(picture) // 64)].reshape(-1, picture.shape[2])
        floats = lines.astype(np.float32)
        total += floats.sum(0, dtype=np.float64)
        squares += np.einsum("pc,pc->c", floats, floats, dtype=np.float64)
        count += len(lines)
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0)) / 255
    mean = mean / 255
    write_json(path, {"mean": mean.tolist(), "std": std.tolist()})
    return mean, std


def covariance(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Return (mean D, covariance D D) of N D samples, float64."""
    samples = samples.double()
    mean = samples.mean(0)
    centred = samples - mean
    return mean, centred.T @ centred / len(samples)
