"""Mean, spread and whitening of the training split: exact for 8-bit pictures, in integer arithmetic."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.core.storage import cache_folder, digest, read_json, write_json
from striate.data.stores import Fixed, Ragged, Store, Tokens, as_tensor
from striate.pixels.scaling import with_channels

if TYPE_CHECKING:
    from striate.pixels import Preprocess

LARGEST = 4096
"""Most numbers a picture may have to be whitened."""

EPSILON = 0.01
"""Added to the eigenvalues in whitening; the input's variance per channel is 1."""

CHUNK = 256
"""Pictures at a time: 256 * 255**2 < 2**24, so sums of squares over them are exact in float32."""


def channel_statistics(store: Store) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (mean, std) per channel over all pixels, in shares of 1 for uint8 and in their own units for floats.

    The standard deviation is the population's. Pictures of many sizes each give every ⌊H / 64⌋-th row.
    Remembered in the cache by the store's fingerprint.
    """
    if isinstance(store, Tokens):
        raise ArgumentError("text has no channels to take a mean of")
    path = cache_folder("statistics") / f"{digest(store.fingerprint, 'mean-std-1')}.json"
    if path.exists():
        kept: dict[str, Any] = read_json(path)
        return np.asarray(kept["mean"]), np.asarray(kept["std"])
    count, total, squares = _ragged_sums(store) if isinstance(store, Ragged) else _fixed_sums(store)
    largest = _largest(store)
    mean = total / count / largest
    std = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0)) / largest
    write_json(path, {"mean": mean.tolist(), "std": std.tolist()})
    return mean, std


def preprocess_for(store: Store, shape: tuple[int, ...], whitening: str = "none", epsilon: float = EPSILON) -> Preprocess:
    """Return the preprocessing that standardises (or whitens) `store`'s pictures to `shape` (C H W)."""
    from striate.pixels import Preprocess

    mean, std = channel_statistics(store)
    if len(mean) != shape[0]:
        raise ArgumentError(f"the pictures have {len(mean)} channels, the input {shape[0]}")
    std = np.where(std > 0, std, 1.0)  # a constant channel stays at zero
    height, width = int(shape[1]), int(shape[2])
    resize: Literal["crop", "none"] = "none" if isinstance(store, Fixed) and store.shape[1:] == (height, width) else "crop"
    plain = Preprocess(size=(height, width), channels=int(shape[0]), mean=tuple(mean.tolist()), std=tuple(std.tolist()), resize=resize)
    return plain if whitening == "none" else dataclasses.replace(plain, whitening=whitening_matrix(store, plain, whitening, epsilon))


def _fixed_sums(store: Fixed) -> tuple[float, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return pixels per channel, sums and sums of squares per channel."""
    pixels = store.pixels
    count, channels, height, width = pixels.shape
    total = torch.zeros(channels, dtype=torch.float64)
    squares = torch.zeros(channels, dtype=torch.float64)
    kind = torch.float32 if pixels.dtype == np.uint8 else torch.float64
    for first in range(0, count, CHUNK):
        part = as_tensor(pixels[first : first + CHUNK]).to(kind)
        total += part.sum(0).double().sum((1, 2))
        squares += part.square_().sum(0).double().sum((1, 2))
    return float(count * height * width), total.numpy(), squares.numpy()


def _ragged_sums(store: Ragged) -> tuple[float, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    channels = int(store.shapes[:, 2].max())
    total, squares, count = np.zeros(channels), np.zeros(channels), 0
    for i in range(len(store)):
        floats = _lines(store, i, channels)
        total += floats.sum(0)
        squares += np.einsum("pc,pc->c", floats, floats)
        count += len(floats)
    return float(count), total, squares


def channel_covariance(store: Store) -> npt.NDArray[np.float64]:
    """Return the C C covariance of the channels over all pixels (floats in shares of 1 for uint8); pictures of many sizes as for the mean.

    Remembered in the cache by the store's fingerprint.
    """
    if isinstance(store, Tokens):
        raise ArgumentError("text has no channels")
    path = cache_folder("statistics") / f"{digest(store.fingerprint, 'covariance-1')}.json"
    if path.exists():
        return np.asarray(read_json(path)["covariance"])
    mean, _ = channel_statistics(store)
    channels = len(mean)
    products, count = np.zeros((channels, channels)), 0
    for rows in _pixel_rows(store, channels):
        products += (rows.T @ rows).numpy()
        count += len(rows)
    result = products / count / _largest(store) ** 2 - np.outer(mean, mean)
    write_json(path, {"covariance": result.tolist()})
    return result


def whitening_matrix(store: Store, preprocess: Preprocess, kind: str, epsilon: float) -> tuple[Tensor, Tensor]:
    """Return (mean D, matrix D D), float32, D = C H W: `(standardised.flatten(1) - mean) @ matrix` has covariance close to the identity.

    `pca` turns to the principal axes, largest first; `zca` turns back, staying as close to the pictures as it can. `epsilon` is added to the
    eigenvalues. Covariance and eigenvectors are float64; the cost is about N D^2 + 10 D^3 multiply-adds once, and D^2 for each picture afterwards.
    Raises `ArgumentError` for pictures of many sizes and for D over 4,096.
    """
    if not isinstance(store, Fixed) or store.shape != (preprocess.channels, *preprocess.size):
        raise ArgumentError("whitening needs pictures that all have the input's size")
    length = int(np.prod(store.shape))
    if length > LARGEST:
        raise ArgumentError(f"whitening: {length:,} numbers a picture need a matrix of {length**2 * 8 / 2**30:.1f} GiB; at most {LARGEST:,} are done")
    total, products = torch.zeros(length, dtype=torch.float64), torch.zeros(length, length, dtype=torch.float64)
    for first in range(0, len(store), 4 * CHUNK):
        values = preprocess(as_tensor(store.pixels[first : first + 4 * CHUNK])).flatten(1)
        total += values.sum(0, dtype=torch.float64)
        products += (values.T @ values).double()
    mean = total / len(store)
    values, vectors = torch.linalg.eigh(products / len(store) - torch.outer(mean, mean))
    matrix = vectors.flip(1) / torch.sqrt(values.flip(0).clamp(min=0) + epsilon)
    if kind == "zca":
        matrix = matrix @ vectors.flip(1).T
    return mean.float(), matrix.float()


def _pixel_rows(store: Fixed | Ragged, channels: int) -> Iterator[Tensor]:
    if isinstance(store, Fixed):
        for first in range(0, len(store), CHUNK):
            yield as_tensor(store.pixels[first : first + CHUNK]).permute(0, 2, 3, 1).reshape(-1, channels).double()
    else:
        for i in range(len(store)):
            yield torch.from_numpy(_lines(store, i, channels))


def _lines(store: Ragged, i: int, channels: int) -> npt.NDArray[np.float64]:
    picture = with_channels(store.picture(i), channels)
    return picture[:: max(1, len(picture) // 64)].reshape(-1, channels).astype(np.float64)


def _largest(store: Fixed | Ragged) -> float:
    return 255.0 if isinstance(store, Ragged) or store.pixels.dtype == np.uint8 else 1.0
