"""From codes to places in the plane: PCA, and t-SNE by the fastest library there is."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from striate.core.errors import ArgumentError, unknown_name

KEPT = 50
"""Principal components that t-SNE works on: what lies beyond is noise to neighbours, and costs time."""
PERPLEXITY = 30.0
"""How many neighbours t-SNE heeds, unless told."""
INTERPOLATED, EXACT, THREADED = 8000, 6000, 3000
"""From so many samples on openTSNE's interpolation is faster than its tree; up to so many its exact neighbours are faster than approximate ones;
from so many on threads are worth their waiting for each other."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Flat:
    """Places N 2 float32, figures about them, and what a person should know."""

    points: Array
    receipts: Mapping[str, float]
    notes: tuple[str, ...]


def flattened(codes: Array, *, by: Literal["tsne", "pca"] = "tsne", perplexity: float | None = None, seed: int = 0) -> Flat:
    """Return a place in the plane for each code (N D).

    `by="pca"`: the two principal components, each with its sign so that the largest value is positive. `by="tsne"`: t-SNE, begun at those; openTSNE
    where it is installed (the extra `maps`), else scikit-learn, and the notes say which. `perplexity`: default 30, or a third of the samples where
    that is less, which the notes say. Raises `ArgumentError` for one beyond a third of the samples.
    """
    if by not in ("tsne", "pca"):
        raise unknown_name("by", by, ("tsne", "pca"))
    components, share = principal(codes, min(KEPT, *codes.shape))
    if components.shape[1] < 2:
        components = np.pad(components, ((0, 0), (0, 2 - components.shape[1])))
    if by == "pca":
        return Flat(components[:, :2].astype(np.float32), {"variance": float(share[:2].sum())}, ())
    most = (len(codes) - 1) / 3
    if perplexity is None:
        perplexity = min(PERPLEXITY, max(1.0, most))
        said = () if perplexity == PERPLEXITY else (f"perplexity {perplexity:.3g}, a third of the samples: {PERPLEXITY:g} needs more of them",)
    else:
        said = ()
    if not 1 <= perplexity <= most:
        raise ArgumentError(f"perplexity: got {perplexity:g} for {len(codes)} samples, expected 1 to {(len(codes) - 1) // 3}, a third of them")
    begin = components[:, :2] / max(float(components[:, 0].std()), 1e-12) * 1e-4
    flat = _tsne(components.astype(np.float32), begin, perplexity, seed)
    return replace(flat, notes=(*flat.notes, *said))


def principal(codes: Array, count: int) -> tuple[Array, Array]:
    """Return the first `count` principal components N count (float64) and each one's share of the variance."""
    centred = codes.astype(np.float64) - codes.mean(axis=0, dtype=np.float64)
    if centred.shape[1] <= centred.shape[0]:
        values, axes = np.linalg.eigh(centred.T @ centred)
        found = centred @ axes[:, ::-1][:, :count]
    else:
        values, axes = np.linalg.eigh(centred @ centred.T)
        found = axes[:, ::-1][:, :count] * np.sqrt(np.maximum(values[::-1][:count], 0))
    signs = np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])])
    total = max(float((centred**2).sum()), 1e-300)
    return found * np.where(signs == 0, 1, signs), np.maximum(values[::-1][:count], 0) / total


def _tsne(values: Array, begin: Array, perplexity: float, seed: int) -> Flat:
    threads = torch.get_num_threads() if len(values) >= THREADED else 1  # on a busy machine they spin longer than they work
    if importlib.util.find_spec("openTSNE") is not None:
        import openTSNE

        tool = openTSNE.TSNE(
            perplexity=perplexity,
            initialization=begin,
            negative_gradient_method="fft" if len(values) >= INTERPOLATED else "bh",
            neighbors="exact" if len(values) <= EXACT else "auto",
            n_jobs=threads,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its dependencies' affairs
            return Flat(np.asarray(tool.fit(values), dtype=np.float32), {}, (f"t-SNE by openTSNE {openTSNE.__version__}",))
    import sklearn
    from sklearn.manifold import TSNE

    points = TSNE(perplexity=perplexity, init=begin.astype(np.float32), random_state=seed, n_jobs=threads).fit_transform(values)
    told = f"t-SNE by scikit-learn {sklearn.__version__}; with openTSNE (pip install striate[maps]) it is faster"
    return Flat(points.astype(np.float32), {}, (told,))
