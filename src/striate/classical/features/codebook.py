"""Words for what occurs again and again: k-means over samples, and which word is nearest."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError

Array = npt.NDArray[np.float32]
EACH = 400
"""Samples a word is learned from, at most."""


def learn_words(samples: Array, count: int, seed: Any, *, what: str = "words") -> Array:
    """Return `count` centres of samples M D by k-means. Raises `ArgumentError` where there are fewer samples that differ."""
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_random_state

    state = check_random_state(seed)
    if len(samples) > EACH * count:
        samples = samples[np.sort(state.permutation(len(samples))[: EACH * count])]
    if len(samples) < count or (len(samples) < 20 * count and len(np.unique(samples, axis=0)) < count):
        raise ArgumentError(f"{what}: got {count}, but the pictures give fewer samples that differ; ask for fewer, or give more pictures")
    few = len(samples) <= 5000
    kind = KMeans(count, n_init=1, random_state=state) if few else MiniBatchKMeans(count, n_init=1, batch_size=4096, max_iter=60, random_state=state)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # equal samples: some centres fall together, and are never the nearest
        kind.fit(samples)
    return np.ascontiguousarray(kind.cluster_centers_, np.float32)


def likeness(samples: npt.NDArray[Any], words: Array) -> Array:
    """Return x·w - |w|² / 2 for samples ... D, ... K: largest for the nearest word, and half the difference of squared distances apart."""
    found = samples @ words.T
    found -= np.square(words).sum(axis=1) / 2
    return np.asarray(found, np.float32)


def nearest_word(samples: npt.NDArray[Any], words: Array) -> npt.NDArray[np.int64]:
    """Return the number of the nearest word for samples ... D."""
    return np.asarray(likeness(samples, words).argmax(axis=-1), np.int64)


def counted(places: npt.NDArray[np.int64], words: int) -> Array:
    """Return how often each word occurs in each row of word numbers N P, as shares, N K."""
    index = places + np.arange(len(places))[:, None] * words
    counts = np.bincount(index.ravel(), minlength=len(places) * words).reshape(len(places), words)
    return np.asarray(counts / max(1, places.shape[1]), np.float32)
