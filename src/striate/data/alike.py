"""Which pictures are the same, pixel for pixel or nearly: hashes, small grey thumbnails, and a search that never compares all with all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.core.errors import StorageError
from striate.core.storage import cache_folder, digest, read_json, write_json
from striate.data.stores import Fixed, Ragged, Store, Tokens

FINE, COARSE, DETAIL = 32, 16, 8
"""Sides of the thumbnails: for edges, for the search, for how much of a picture has edges at all."""
LIKE = 0.98
"""Least correlation of two coarse thumbnails."""
EDGES = 0.75
"""Least correlation of two pictures' edges when nothing else in the set comes nearly as close."""
DETAILED = ((0.7, 0.96), (0.8, 0.9))
"""Otherwise: (share of a picture's 64 tiles that have edges, least correlation of the edges), in between by a straight line.

Photographs reach 0.8; handwriting (0.2) and clothes on black (0.5) do not.
"""
GAP = 0.45
"""Pictures with little detail must lie at no more than this share of their distance to anything else."""
MANY = 30_000_000
"""Most pairs the search looks at; a set in which more look alike is searched with a stricter correlation, and the result says so."""
_VERSION = 1


@dataclass(frozen=True)
class Alike:
    """What is the same in a row of stores; samples are numbered through all of them.

    `groups`: samples with equal content; `blank`: pictures of one flat colour; `pairs` (M 2) and `likeness` (M, correlation): near duplicates;
    `common`: pairs that look alike but no more than much of the set does (the ones of handwriting), so not counted; `least`: the correlation
    asked for.
    """

    groups: list[list[int]]
    blank: list[int]
    pairs: npt.NDArray[np.int64]
    likeness: npt.NDArray[np.float64]
    common: int = 0
    least: float = LIKE


def find_alike(stores: Sequence[Store], *, near: bool = True) -> Alike:
    """Return what is alike in `stores`; kept in the cache under the stores' fingerprints, so the second time is instant."""
    limits = str((_VERSION, LIKE, EDGES, DETAILED, GAP))
    key = digest(limits, str(near), *(store.fingerprint for store in stores))
    kept = cache_folder("alike") / f"{key}.json"
    if kept.exists():
        try:
            return _from_json(read_json(kept))
        except (StorageError, KeyError, TypeError, ValueError):
            kept.unlink(missing_ok=True)
    parts = [_look(store) for store in stores]
    contents = [content for part in parts for content in part.contents]
    blank = np.concatenate([part.blank for part in parts])
    groups = equal_groups(contents)
    found = Alike(groups, np.flatnonzero(blank).tolist(), np.empty((0, 2), np.int64), np.empty(0))
    if near and not any(isinstance(store, Tokens) for store in stores):
        alone = ~blank
        for group in groups:
            alone[group[1:]] = False
        rows = np.flatnonzero(alone)
        pairs, likeness, common, least = near_pairs(np.concatenate([part.fine for part in parts])[rows])
        found = Alike(groups, found.blank, rows[pairs], likeness, common, least)
    write_json(kept, _to_json(found))
    return found


def equal_groups(contents: Sequence[bytes]) -> list[list[int]]:
    """Return the positions of equal contents, in order, for every content that occurs more than once."""
    places: dict[bytes, list[int]] = {}
    for place, content in enumerate(contents):
        places.setdefault(content, []).append(place)
    return [group for group in places.values() if len(group) > 1]


def near_pairs(fine: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], int, float]:
    """Find near duplicates among thumbnails (N 32 32 uint8): pairs (M 2), correlations, how many more were too common, the correlation asked for.

    A pair's coarse thumbnails correlate by 0.98 or more (brightness and contrast do not matter) and so do its edges, by 0.75. Then it counts when
    nothing else in the set comes nearly as close, or when both are full of detail and their edges agree by 0.9 or more.
    """
    empty = np.empty((0, 2), np.int64)
    if len(fine) < 2:
        return empty, np.empty(0), 0, LIKE
    flat = _unit(fine.reshape(-1, COARSE, FINE // COARSE, COARSE, FINE // COARSE).mean(axis=(2, 4), dtype=np.float32).reshape(len(fine), -1))
    pairs, least = _candidates(flat)
    likeness = _pairwise(flat, pairs)
    pairs, likeness = pairs[likeness >= least], likeness[likeness >= least]
    found = len(pairs)
    edges = _edge_correlation(fine, pairs)
    sharp = edges >= EDGES
    pairs, likeness, edges = pairs[sharp], likeness[sharp], edges[sharp]
    detail = np.minimum(_detail(fine, pairs[:, 0]), _detail(fine, pairs[:, 1]))
    shares, wanted = zip(*DETAILED, strict=True)
    rich = (detail >= shares[0]) & (edges >= np.interp(detail, shares, wanted))
    chosen = rich | _apart(flat, pairs, likeness)
    return pairs[chosen], likeness[chosen].astype(np.float64), found - int(chosen.sum()), least


def _candidates(flat: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], float]:
    """Pairs whose first principal components lie as near as the correlation demands: a superset of what is sought."""
    from scipy.spatial import cKDTree

    sample = flat[:: max(1, len(flat) // 4000)]
    _, _, directions = np.linalg.svd(sample - sample.mean(axis=0), full_matrices=False)
    projected = flat @ directions[:24].T
    first = np.ascontiguousarray(projected[:, :8])
    tree = cKDTree(first)
    some = np.random.default_rng(0).permutation(len(flat))[:2000]
    least = LIKE
    few = cKDTree(first[some])
    while (few.count_neighbors(few, _reach(least)) - len(some)) / 2 * (len(flat) / len(some)) ** 2 > MANY and least < 0.9999:
        least = 1 - (1 - least) / 2
    pairs = tree.query_pairs(_reach(least), output_type="ndarray").astype(np.int64)
    good = np.empty(len(pairs), bool)
    for start in range(0, len(pairs), 1 << 18):
        part = slice(start, start + (1 << 18))
        away = projected[pairs[part, 0]] - projected[pairs[part, 1]]
        good[part] = np.einsum("ij,ij->i", away, away) <= _reach(least) ** 2
    pairs = pairs[good]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))], least


def _apart(flat: npt.NDArray[np.float32], pairs: npt.NDArray[np.int64], likeness: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which pairs belong to a small tight group that lies far from everything else."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(pairs):
        return np.zeros(0, bool)
    size = len(flat)
    _, group = connected_components(coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(size, size)), directed=False)
    members = np.bincount(group, minlength=size)
    links = np.bincount(group[pairs[:, 0]], minlength=size)
    tight = (members >= 2) & (members <= 64) & (links >= members * (members - 1) / 4)
    inside = np.flatnonzero(tight[group])
    nearest = np.full(size, -1.0, np.float32)
    for start in range(0, len(inside), 256):
        rows = inside[start : start + 256]
        alike = flat[rows] @ flat.T
        alike[group[rows][:, None] == group[None, :]] = -1
        np.maximum.at(nearest, group[rows], alike.max(axis=1))
    return tight[group[pairs[:, 0]]] & (_distance(likeness) <= GAP * _distance(nearest[group[pairs[:, 0]]]))


def _reach(correlation: float) -> float:
    """The distance between two vectors of length one that correlate so."""
    return float(np.sqrt(2 * (1 - correlation)))


def _distance(correlation: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.sqrt(np.maximum(2 * (1 - correlation), 0), dtype=np.float32)


def _unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rows with mean 0 and length 1; rows without contrast become zero and correlate with nothing."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.where(length > 1e-3, centred / np.maximum(length, 1e-3), 0).astype(np.float32)


def _pairwise(rows: npt.NDArray[np.float32], pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    result = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), 1 << 16):
        part = slice(start, start + (1 << 16))
        result[part] = np.einsum("ij,ij->i", rows[pairs[part, 0]], rows[pairs[part, 1]])
    return result


def _steps(fine: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    grey = fine.astype(np.float32)
    return np.diff(grey, axis=1)[:, :, :-1], np.diff(grey, axis=2)[:, :-1]


def _edge_correlation(fine: npt.NDArray[np.uint8], pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    result = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), 1 << 12):
        part = slice(start, start + (1 << 12))
        first, second = (np.stack(_steps(fine[pairs[part, side]]), axis=1).reshape(-1, 2 * (FINE - 1) ** 2) for side in (0, 1))
        lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
        result[part] = np.einsum("ij,ij->i", first, second) / np.maximum(lengths, 1e-3)
    return result


def _detail(fine: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The share of a picture's 8 x 8 tiles that have edges a quarter as strong as the picture's own, or more."""
    names, back = np.unique(rows, return_inverse=True)
    share = np.empty(len(names), np.float32)
    for start in range(0, len(names), 1 << 12):
        down, across = _steps(fine[names[start : start + (1 << 12)]])
        energy = np.pad(down**2 + across**2, ((0, 0), (0, 1), (0, 1)))
        tiles = energy.reshape(-1, DETAIL, FINE // DETAIL, DETAIL, FINE // DETAIL).mean(axis=(2, 4))
        share[start : start + (1 << 12)] = (tiles > tiles.mean(axis=(1, 2), keepdims=True) / 16).mean(axis=(1, 2))
    return share[back]


@dataclass(frozen=True)
class _Looks:
    contents: list[bytes]
    blank: npt.NDArray[np.bool_]
    fine: npt.NDArray[np.uint8]


def _look(store: Store) -> _Looks:
    if isinstance(store, Tokens):
        contents = [_hash(row[:length]) for row, length in zip(store.tokens, store.lengths, strict=True)]
        return _Looks(contents, np.asarray(store.lengths == 0), np.zeros((len(store), FINE, FINE), np.uint8))
    return _look_fixed(store) if isinstance(store, Fixed) else _look_ragged(store)


def _look_fixed(store: Fixed) -> _Looks:
    count, _, height, width = store.pixels.shape
    down, across = _areas(height), _areas(width).T
    low, scale = _range(store.pixels)
    contents: list[bytes] = []
    blank, fine = np.empty(count, bool), np.empty((count, FINE, FINE), np.uint8)
    step = max(1, (1 << 22) // max(1, store.pixels[0].size))
    for start in range(0, count, step):
        part = np.ascontiguousarray(store.pixels[start : start + step])
        contents += [_hash(picture) for picture in part]
        blank[start : start + step] = (part == part[:, :, :1, :1]).all(axis=(1, 2, 3))
        grey = (np.nan_to_num(part).mean(axis=1, dtype=np.float32) - low) * scale
        fine[start : start + step] = np.rint(down @ grey @ across).clip(0, 255)
    return _Looks(contents, blank, fine)


def _look_ragged(store: Ragged) -> _Looks:
    from PIL import Image

    def one(number: int) -> tuple[bytes, bool, npt.NDArray[np.uint8]]:
        picture = np.ascontiguousarray(store.picture(number))
        content = _hash(np.asarray(picture.shape, np.int32), picture)
        flat = bool((picture == picture[:1, :1]).all())
        if picture.shape[2] in (1, 3):
            image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).convert("L")
        else:
            image = Image.fromarray(picture.mean(axis=2).astype(np.uint8))
        factor = max(1, min(image.size) // (4 * FINE))
        return content, flat, np.asarray((image.reduce(factor) if factor > 1 else image).resize((FINE, FINE), Image.Resampling.BOX))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(one, range(len(store))))
    fine = np.stack([look for _, _, look in found]) if found else np.zeros((0, FINE, FINE), np.uint8)
    return _Looks([content for content, _, _ in found], np.asarray([flat for _, flat, _ in found], bool), fine)


def _hash(*arrays: npt.NDArray[Any]) -> bytes:
    hasher = hashlib.blake2b(digest_size=16)
    for array in arrays:
        hasher.update(np.ascontiguousarray(array).data)
    return hasher.digest()


def _range(pixels: npt.NDArray[Any]) -> tuple[float, float]:
    """What brings pixels to 0 .. 255: nothing for bytes, the whole store's range for floats."""
    if pixels.dtype == np.uint8:
        return 0.0, 1.0
    finite = pixels[np.isfinite(pixels)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return low, 255 / ((high - low) or 1.0)


def _areas(length: int) -> npt.NDArray[np.float32]:
    """The matrix (32, length) that averages `length` pixels over 32 equal spans, borders shared by area."""
    edges = np.linspace(0, length, FINE + 1)
    places = np.arange(length)
    overlap = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    weights = np.clip(overlap, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _to_json(found: Alike) -> dict[str, Any]:
    return {
        "groups": found.groups,
        "blank": found.blank,
        "pairs": found.pairs.tolist(),
        "likeness": [round(float(value), 5) for value in found.likeness],
        "common": found.common,
        "least": found.least,
    }


def _from_json(values: dict[str, Any]) -> Alike:
    pairs = np.asarray(values["pairs"], np.int64).reshape(-1, 2)
    return Alike(values["groups"], values["blank"], pairs, np.asarray(values["likeness"], np.float64), int(values["common"]), float(values["least"]))
