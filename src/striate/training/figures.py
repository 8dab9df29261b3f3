"""Figures of a classifier from its class shares, in plain NumPy: errors, confusion, calibration, intervals, paired tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassFigures:
    """How one class fares: `n` samples of it, shares in [0, 1]; None where the share has no denominator."""

    label: int
    n: int
    predicted: int
    recall: float | None
    precision: float | None
    f1: float | None
    confused_with: int | None
    """The class its samples are most often taken for, wrongly; None when none are."""
    confused: int
    """How many samples of it are taken for `confused_with`."""


@dataclass(frozen=True)
class Calibration:
    """Reliability of the confidence (the largest share) over bins; empty bins hold NaN and weigh nothing."""

    ece: float
    """Expected calibration error: the mean over samples of |confidence - accuracy| of their bin, 0 to 1."""
    edges: Floats
    """B + 1 borders of the bins; a bin holds its upper border."""
    counts: Ints
    confidence: Floats
    accuracy: Floats
    bins: Literal["width", "mass"]

    @property
    def rule(self) -> str:
        """How the bins were made, in words."""
        return f"{len(self.counts)} bins of equal {'width' if self.bins == 'width' else 'count'}"


@dataclass(frozen=True)
class Mistake:
    """One wrongly read sample: its row in the shares, its position in the split, what it is and what it was taken for."""

    row: int
    index: int
    target: int
    predicted: int
    share: float
    """Confidence in the wrong class, 0 to 1."""
    target_share: float
    caption: str
    """Such as `4 -> 6`."""


def confusion(targets: npt.ArrayLike, shares: npt.ArrayLike) -> Ints:
    """Count samples by true class (row) and predicted class (column): K K, int64.

    `targets` N class numbers; `shares` N K. A tie is read as its first class. Raises `ArgumentError`.
    """
    wanted, given = _checked(targets, shares)
    classes = given.shape[1]
    return np.bincount(wanted * classes + given.argmax(axis=1), minlength=classes * classes).reshape(classes, classes)


def per_class(targets: npt.ArrayLike, shares: npt.ArrayLike) -> list[ClassFigures]:
    """Return recall, precision, F1 and the most frequent confusion of each class, in label order. Raises `ArgumentError`."""
    matrix = confusion(targets, shares)
    rows, columns, hits = matrix.sum(axis=1), matrix.sum(axis=0), np.diag(matrix)
    wrong = matrix - np.diag(hits)
    figures = []
    for label in range(len(matrix)):
        n, predicted, hit = int(rows[label]), int(columns[label]), int(hits[label])
        other = int(wrong[label].argmax())
        confused = int(wrong[label, other])
        recall = hit / n if n else None
        precision = hit / predicted if predicted else None
        f1 = 2 * hit / (n + predicted) if n + predicted else None
        figures.append(ClassFigures(label, n, predicted, recall, precision, f1, other if confused else None, confused))
    return figures


def topk_error(targets: npt.ArrayLike, shares: npt.ArrayLike, k: int = 1) -> float:
    """Return the share of samples whose class is not among the `k` largest shares (ties go to the lower class number).

    `targets` N, `shares` N K. Raises `ArgumentError` when `k` is not in 1..K.
    """
    wanted, given = _checked(targets, shares)
    if not 1 <= k <= given.shape[1]:
        raise ArgumentError(f"k: got {k}, expected 1 to {given.shape[1]} (the number of classes)")
    own = given[np.arange(len(wanted)), wanted][:, None]
    before = np.arange(given.shape[1])[None, :] < wanted[:, None]
    rank = ((given > own) | ((given == own) & before)).sum(axis=1)
    return float((rank >= k).mean())


def log_loss(targets: npt.ArrayLike, shares: npt.ArrayLike) -> float:
    """Return the mean negative log-likelihood of the true classes, in nats.

    A share below the smallest normal float32 (1.2e-38) counts as that, so the figure stays finite (at most 87.3). Raises `ArgumentError`.
    """
    wanted, given = _checked(targets, shares)
    own = given[np.arange(len(wanted)), wanted]
    return float(-np.log(np.maximum(own, float(np.finfo(np.float32).tiny))).mean())


def calibration(targets: npt.ArrayLike, shares: npt.ArrayLike, *, bins: int = 15, equal: Literal["width", "mass"] = "width") -> Calibration:
    """Compare confidence with accuracy over bins of equal width (Guo et al. 2017) or of equal count.

    `targets` N, `shares` N K. Returns the expected calibration error and the bins. Raises `ArgumentError`.
    """
    wanted, given = _checked(targets, shares)
    if bins < 1:
        raise ArgumentError(f"bins: got {bins}, expected 1 or more")
    if equal not in ("width", "mass"):
        raise ArgumentError(f"equal: got {equal!r}, expected 'width' or 'mass'")
    confidence = given.max(axis=1)
    right = given.argmax(axis=1) == wanted
    if equal == "width":
        edges = np.linspace(0.0, 1.0, bins + 1)
        place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    else:
        order = np.argsort(confidence, kind="stable")
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order)) * bins // len(order)
        edges = np.concatenate([[0.0], np.quantile(confidence, np.arange(1, bins) / bins), [1.0]])
    counts = np.bincount(place, minlength=bins)
    filled = np.maximum(counts, 1)
    hollow = np.where(counts > 0, 1.0, np.nan)
    mean_confidence = np.bincount(place, confidence, bins) / filled * hollow
    accuracy = np.bincount(place, right.astype(np.float64), bins) / filled * hollow
    gap = np.nan_to_num(np.abs(mean_confidence - accuracy))
    return Calibration(float((gap * counts).sum() / len(wanted)), edges, counts, mean_confidence, accuracy, equal)


def worst_errors(
    targets: npt.ArrayLike,
    shares: npt.ArrayLike,
    index: npt.ArrayLike | None = None,
    count: int = 24,
    *,
    classes: Sequence[str] | None = None,
) -> list[Mistake]:
    """Return the `count` wrongly read samples with most confidence in the wrong class, most confident first.

    `index` N gives each row's position in its split (default: the row); `classes` names for the captions (default: numbers). Raises `ArgumentError`.
    """
    wanted, given = _checked(targets, shares)
    positions = np.arange(len(wanted)) if index is None else np.asarray(index)
    if positions.shape != wanted.shape:
        raise ArgumentError(f"index: got shape {positions.shape}, expected {wanted.shape} as the targets")
    names = [str(number) for number in range(given.shape[1])] if classes is None else list(classes)
    if len(names) != given.shape[1]:
        raise ArgumentError(f"classes: got {len(names)} names, the shares have {given.shape[1]} columns")
    predicted = given.argmax(axis=1)
    wrong = np.flatnonzero(predicted != wanted)
    ranked = wrong[np.argsort(-given[wrong, predicted[wrong]], kind="stable")][: max(count, 0)]
    found = []
    for row in ranked.tolist():
        label, guess = int(wanted[row]), int(predicted[row])
        caption = f"{names[label]} -> {names[guess]}"
        found.append(Mistake(row, int(positions[row]), label, guess, float(given[row, guess]), float(given[row, label]), caption))
    return found


def wilson(errors: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval (1927) of a share: `errors` of `n` samples, at `level`. Raises `ArgumentError`."""
    if n < 1 or not 0 <= errors <= n:
        raise ArgumentError(f"errors, n: got {errors} of {n}, expected 0 <= errors <= n and n of 1 or more")
    z = _quantile(level)
    share = errors / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (0.0 if errors == 0 else centre - half), (1.0 if errors == n else centre + half)


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test (1947).

    `only_first` samples only the first reads wrong, `only_second` only the second; samples both read alike say nothing. Raises `ArgumentError`.
    """
    if only_first < 0 or only_second < 0:
        raise ArgumentError(f"only_first, only_second: got {only_first} and {only_second}, expected counts of 0 or more")
    n, least = only_first + only_second, min(only_first, only_second)
    tail = term = 1
    for drawn in range(1, least + 1):  # the binomial coefficients as whole numbers: exact, then one division
        term = term * (n - drawn + 1) // drawn
        tail += term
    return min(1.0, 2 * tail / (1 << n))


def paired_difference(only_first: int, only_second: int, n: int, *, level: float = 0.95) -> tuple[float, float, float]:
    """Return the difference of two error rates on the same `n` samples (first minus second) and its interval (Bonett & Price 2012).

    `only_first` samples only the first reads wrong, `only_second` only the second. Raises `ArgumentError`.
    """
    if n < 1 or only_first < 0 or only_second < 0 or only_first + only_second > n:
        raise ArgumentError(f"only_first, only_second, n: got {only_first}, {only_second}, {n}; the first two are counts among the n samples")
    first, second = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    half = _quantile(level) * math.sqrt((first + second - (first - second) ** 2) / (n + 2))
    centre = first - second
    return (only_first - only_second) / n, max(-1.0, centre - half), min(1.0, centre + half)


def _quantile(level: float) -> float:
    if not 0 < level < 1:
        raise ArgumentError(f"level: got {level!r}, expected a share between 0 and 1, such as 0.95")
    return NormalDist().inv_cdf(0.5 + level / 2)


def _checked(targets: npt.ArrayLike, shares: npt.ArrayLike) -> tuple[Ints, Floats]:
    wanted, given = np.asarray(targets), np.asarray(shares, dtype=np.float64)
    if given.ndim != 2 or not len(given):
        raise ArgumentError(f"shares: got shape {given.shape}, expected N K with N of 1 or more")
    if wanted.shape != given.shape[:1]:
        raise ArgumentError(f"targets: got shape {wanted.shape}, expected {given.shape[:1]} as the shares have rows")
    if not np.issubdtype(wanted.dtype, np.integer):
        raise ArgumentError(f"targets: got {wanted.dtype}, expected whole class numbers")
    if wanted.min() < 0 or wanted.max() >= given.shape[1]:
        raise ArgumentError(f"targets: got class numbers {wanted.min()} to {wanted.max()}, expected 0 to {given.shape[1] - 1}")
    broken = int((~np.isfinite(given)).any(axis=1).sum())
    if broken:
        raise ArgumentError(f"shares: {broken} of {len(given)} rows hold NaN or infinite values; the network's output is not usable")
    return wanted.astype(np.int64), given
