"""What a linear head may read: which depths, how pooled, each depth scaled to length 1 or not; compared on the same cached codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from striate.core.runtime import derived_seed
from striate.transfer.coding import Codes
from striate.transfer.fitting import Fitted, Kind, checked, fit
from striate.transfer.pooling import Pool

LARGE = 4000
"""With more training pictures the choice is made on so many of them, drawn by class."""
CLOSE = 0.02
"""A choice further down the list has to be better by this share of the log-loss, and by more than one standard error of the difference."""


@dataclass(frozen=True)
class Choice:
    """What a linear head reads: the layers, their pooling, and whether each layer's code is scaled to length 1 (averaged over the views after it)."""

    at: tuple[str, ...]
    pool: Pool = "avg"
    unit: bool = True

    def features(self, codes: Codes) -> npt.NDArray[np.float64]:
        """Return the codes as the head reads them, N D: a linear head's logits of their mean over the views are the mean of its logits."""
        parts = []
        for layer in self.at:
            for pool in ("avg", "max") if self.pool == "both" and (layer, "max") in codes.layers else (self.pool,):
                values = codes.of(layer, pool).astype(np.float64)
                if self.unit:
                    values = values / np.maximum(np.linalg.norm(values, axis=2, keepdims=True), 1e-6)
                parts.append(values.mean(axis=0))
        return np.concatenate(parts, axis=1)

    def __str__(self) -> str:
        """Such as `layer3 + layer4, means and maxima`."""
        return " + ".join(self.at) + (", means and maxima" if self.pool == "both" else "")


@dataclass(frozen=True)
class Compared:
    """One choice and the classifier fitted to it on the pictures the choice was made on, whose held-out losses are `losses`."""

    choice: Choice
    fitted: Fitted
    losses: npt.NDArray[np.float64]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "at": list(self.choice.at),
            "pool": self.choice.pool,
            "cross-validated error": self.fitted.error,
            "cross-validated loss": self.fitted.loss,
            "C": self.fitted.strength,
        }


def candidates(at: Sequence[str]) -> tuple[Choice, ...]:
    """Return what is compared: the top (means and maxima, means only), the two deepest together, and each earlier depth."""
    alone = [Choice((layer,), "both") for layer in reversed(at)]
    return (alone[0], Choice(tuple(at[-1:])), *([Choice(tuple(at[-2:]), "both")] if len(at) > 1 else []), *alone[1:])


def compare(
    codes: Codes, *, choices: Sequence[Choice] | None = None, kind: Kind = "softmax", class_weights: bool = False, seed: int = 0
) -> list[Compared]:
    """Fit a head to every choice, its strength cross-validated; in the order of the choices. Raises what `fit` raises."""
    wanted = candidates(codes.at) if choices is None else tuple(choices)
    part = sample(codes, seed)
    targets = np.asarray(part.targets)
    found = []
    for choice in wanted:
        fitted = fit(choice.features(part), targets, classes=codes.classes, kind=kind, class_weights=class_weights, seed=seed)
        found.append(Compared(choice, fitted, fitted.losses(targets)))
    return found


def best(found: Sequence[Compared]) -> Compared:
    """Return the least cross-validated log-loss; one that stands earlier wins unless a later one is clearly better, picture by picture."""
    chosen = found[0]
    for other in found[1:]:
        gains = chosen.losses - other.losses
        error = float(gains.std(ddof=1)) / np.sqrt(len(gains))
        if gains.mean() > max(CLOSE * chosen.losses.mean(), error):
            chosen = other
    return chosen


def fit_whole(codes: Codes, chosen: Compared, *, kind: Kind = "softmax", class_weights: bool = False, seed: int = 0) -> Fitted:
    """Return the classifier fitted to all training pictures: the one at hand where it was chosen on all of them, else with its strength."""
    if len(codes) <= LARGE:
        return chosen.fitted
    features = chosen.choice.features(codes)
    return fit(
        features,
        np.asarray(codes.targets),
        classes=codes.classes,
        kind=kind,
        strengths=(chosen.fitted.strength,),
        class_weights=class_weights,
        seed=seed,
    )


def sample(codes: Codes, seed: int) -> Codes:
    """Return all codes, or `LARGE` of them, drawn by class; the targets are checked."""
    if codes.targets is None:
        checked(np.zeros((len(codes), 1)), np.zeros(0), codes.classes)
    targets = np.asarray(codes.targets)
    checked(np.zeros((len(targets), 1)), targets, codes.classes)
    if len(targets) <= LARGE:
        return codes
    generator = np.random.Generator(np.random.PCG64(derived_seed(seed, LARGE)))
    least = {int(label): generator.permutation(np.flatnonzero(targets == label)) for label in np.unique(targets)}
    rows = np.concatenate([rows[: max(2, round(LARGE * len(rows) / len(targets)))] for rows in least.values()])
    return codes.take(np.sort(rows))
