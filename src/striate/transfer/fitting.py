"""Linear classifiers on cached codes: logistic regression and linear SVM by scikit-learn, their strength cross-validated, ending as weights and bias.

With fewer pictures than features all is done in the space the pictures span: the solutions are the same (the penalty is rotation invariant), the time
is that of N x N instead of N x D. Codes are centred and brought to a mean squared length of 1, so the same strengths suit every network.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError, DataError
from striate.core.runtime import derived_seed
from striate.data.splits import fold_of, stratified
from striate.training import figures
from striate.training.calibration import find_temperature, softmax

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Kind = Literal["softmax", "hinge"]
STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Values of C, the inverse of the penalty's weight, that are compared; then those half way (by the logarithm) to the best one's neighbours."""
FOLDS = 5
FEW, SHUFFLES = 150, 5
"""Below so many pictures the folds are dealt again by other shuffles, up to so often: what few pictures say of each other is mostly chance."""
LARGE = 4000
"""With more pictures one held-out fifth is enough to choose by."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A linear classifier on codes: `weight` K D and `bias` K of raw codes; `temperature` is already divided in.

    `strength` is the C that was chosen; `held_logits` are logits of pictures that the classifier which gave them had not seen (their rows in
    `held_rows`), before the temperature; `error` and `loss` are theirs after it; `tried` maps each C to its cross-validated log-loss.
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    strength: float
    temperature: float
    held_logits: Floats
    held_rows: Ints
    error: float
    loss: float
    tried: dict[float, float]

    def losses(self, targets: npt.ArrayLike) -> Floats:
        """Return each picture's mean held-out log-loss, in the order of `np.unique(held_rows)`; `targets` are those of all pictures, N."""
        wanted = np.asarray(targets)[self.held_rows]
        shares = softmax(self.held_logits / self.temperature)[np.arange(len(wanted)), wanted]
        rows, place = np.unique(self.held_rows, return_inverse=True)
        return np.bincount(place, weights=-np.log(np.maximum(shares, 1e-12))) / np.bincount(place, minlength=len(rows))

    def logits(self, codes: npt.ArrayLike) -> Floats:
        """Return logits N K of codes N D."""
        return np.asarray(codes, np.float64) @ self.weight.T.astype(np.float64) + self.bias


def checked(codes: npt.ArrayLike, targets: npt.ArrayLike, classes: Sequence[str]) -> tuple[Floats, Ints]:
    """Return codes N D float64 and targets N, or raise `DataError` for what no classifier can be fitted to, each with its reason."""
    values, wanted = np.asarray(codes, np.float64), np.asarray(targets)
    if values.ndim != 2 or wanted.shape != values.shape[:1]:
        raise ArgumentError(f"codes: got shape {values.shape} and {wanted.shape} targets, expected N D and N")
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(broken):
        raise DataError(f"codes: {len(broken)} of {len(values)} rows hold NaN or infinite values, the first is row {broken[0]}")
    counts = np.bincount(wanted, minlength=len(classes))
    if (counts > 0).sum() < 2:
        only = classes[int(counts.argmax())] if len(classes) else "nothing"
        raise DataError(f"train: all {len(wanted)} pictures are of one class, {only}; there is nothing to tell apart. Add pictures of another class")
    missing = [classes[k] for k in np.flatnonzero(counts == 0).tolist()]
    if missing:
        raise DataError(
            f"train: no picture of {', '.join(missing[:5])}, so the class cannot be learned. Add pictures of it, or leave the class out of the data"
        )
    single = [classes[k] for k in np.flatnonzero(counts == 1).tolist()]
    if single:
        raise DataError(
            f"train: one picture only of {', '.join(single[:5])}; regularisation is cross-validated, which takes two pictures of every class or more"
        )
    return values, wanted.astype(np.int64)


def fit(
    codes: npt.ArrayLike,
    targets: npt.ArrayLike,
    *,
    classes: Sequence[str],
    kind: Kind = "softmax",
    strengths: Sequence[float] = STRENGTHS,
    class_weights: bool = False,
    folds: int = FOLDS,
    seed: int = 0,
) -> Fitted:
    """Fit a linear classifier to codes N D and targets N, its strength chosen by cross-validated log-loss, its temperature fitted to the same folds.

    `kind`: `softmax` (logistic regression) or `hinge` (one linear SVM a class). `class_weights` makes each class weigh the same. Raises `DataError`
    for one class only, a class without pictures or with one only, and codes that are not numbers.
    """
    values, wanted = checked(codes, targets, classes)
    if not strengths or min(strengths) <= 0:
        raise ArgumentError(f"strengths: got {tuple(strengths)}, expected numbers above 0")
    mean = values.mean(axis=0)
    centred = values - mean
    scale = float(np.sqrt((centred**2).sum(axis=1).mean())) or 1.0
    small, back = _spanned(centred / scale)
    parts = _parts(wanted, folds, seed)
    tried: dict[float, tuple[float, Floats, float]] = {}
    held = np.concatenate([rows for _, rows in parts])

    def loss_at(strength: float) -> float:
        if strength not in tried:
            logits = np.concatenate([_outputs(small[seen], wanted[seen], small[rows], strength, kind, class_weights) for seen, rows in parts])
            temperature = find_temperature(logits, wanted[held])
            tried[strength] = (figures.log_loss(wanted[held], softmax(logits / temperature)), logits, temperature)
        return tried[strength][0]

    strength = _least(loss_at, sorted(strengths))
    loss, logits, temperature = tried[strength]
    weight, bias = _solved(small, wanted, strength, kind, class_weights, tolerance=1e-5)
    weight = (weight @ back) / scale
    bias = bias - weight @ mean
    return Fitted(
        (weight / temperature).astype(np.float32),
        (bias / temperature).astype(np.float32),
        strength,
        temperature,
        logits,
        held,
        float((logits.argmax(axis=1) != wanted[held]).mean()),
        loss,
        {strength: found[0] for strength, found in sorted(tried.items())},
    )


def _least(loss_at: Callable[[float], float], strengths: Sequence[float]) -> float:
    """Return the strength of the least loss among the given ones, tried upwards until it has risen twice, and half way to its neighbours."""
    losses: list[float] = []
    for strength in strengths:
        losses.append(loss_at(strength))
        if len(losses) > 2 and losses[-1] > losses[-2] > losses[-3]:
            break  # weaker penalties only fit closer
    place = int(np.argmin(losses))
    near = [float(np.sqrt(strengths[place] * other)) for other in (*strengths[max(0, place - 1) : place], *strengths[place + 1 : place + 2])]
    return min([strengths[place], *near], key=loss_at)


def _spanned(values: Floats) -> tuple[Floats, Floats]:
    """Return the values in an orthonormal basis of the space they span, N R, and the basis, R D."""
    count, width = values.shape
    if count >= width:
        return values, np.eye(width)
    powers, vectors = np.linalg.eigh(values @ values.T)
    kept = powers > 1e-10 * max(float(powers[-1]), 1e-30)
    lengths = np.sqrt(powers[kept])
    basis = (vectors[:, kept] / lengths).T @ values
    return vectors[:, kept] * lengths, basis


def _parts(targets: Ints, folds: int, seed: int) -> list[tuple[Ints, Ints]]:
    """Return (seen, held out) rows: folds that leave every class to be seen, of several shuffles where pictures are few; or one held-out fifth."""
    if len(targets) > LARGE:
        return [stratified(targets, len(targets), 0.2, seed)]
    count = max(2, min(folds, len(targets)))  # two of a class are dealt to two folds, so that every class is always seen
    repeats = max(1, min(SHUFFLES, FEW // len(targets)))
    return [fold_of(targets, fold, count, derived_seed(seed, repeat) if repeat else seed) for repeat in range(repeats) for fold in range(count)]


def _outputs(seen: Floats, targets: Ints, held: Floats, strength: float, kind: Kind, class_weights: bool) -> Floats:
    weight, bias = _solved(seen, targets, strength, kind, class_weights)
    return np.asarray(held @ weight.T + bias)


def _solved(values: Floats, targets: Ints, strength: float, kind: Kind, class_weights: bool, tolerance: float = 1e-3) -> tuple[Floats, Floats]:
    """Return weight K R and bias K of the fitted classifier; two classes get a row each, so that softmax reads them."""
    from sklearn import config_context
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    weights = "balanced" if class_weights else None
    made: Any
    if kind == "softmax":
        made = LogisticRegression(C=strength, class_weight=weights, max_iter=2000, tol=tolerance)
    else:
        made = LinearSVC(C=strength, class_weight=weights, max_iter=20_000, tol=tolerance, dual=len(values) < values.shape[1], random_state=0)
    with warnings.catch_warnings(), config_context(assume_finite=True, skip_parameter_validation=True):
        warnings.simplefilter("ignore", ConvergenceWarning)  # at weak penalties the last digits do not matter: the held-out loss decides
        made.fit(values, targets)
    weight, bias = np.asarray(made.coef_, np.float64), np.asarray(made.intercept_, np.float64)
    if len(weight) == 1:  # σ(z) is the softmax of (-z/2, z/2); a margin is read likewise
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias
