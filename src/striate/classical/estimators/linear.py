"""Linear classifier: softmax, hinge or squared hinge, with its templates as pictures (row C linear)."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from striate.classical.bases import Classifier, softmax
from striate.classical.checking import Rows
from striate.classical.losses import Loss, hinge_loss, softmax_loss, squared_hinge_loss
from striate.classical.registry import estimator
from striate.classical.templates import Templates
from striate.core.errors import ArgumentError, unknown_name

CORNERS = (0.5, 0.1, 0.02)
"""Widths over which the hinge's corner is rounded, one after the other; the last one counts."""
SHARES = tuple(10.0**-power for power in np.arange(0.5, 6.1, 0.5))
"""Values of alpha that are tried, as shares of the mean squared length of a row."""
ONE_FOLD = 1000
"""From so many rows on one held-out fifth is enough to choose alpha by."""
CHOOSE = 12_500
"""Rows among which alpha is chosen, at most."""
PATIENCE = 3
"""How many weaker penalties may fail to improve before the search ends."""


@estimator("linear", help="Linear classifier: softmax, hinge or squared hinge", row="C linear")
class LinearClassifier(Templates, Classifier):
    """Scores W x + b, learned by minimising mean loss + alpha / 2 |W|² (the bias is not shrunk) with L-BFGS.

    `loss`: `softmax` (cross-entropy), `hinge` (multi-class, Weston and Watkins 1999, its corner rounded over 0.02), `squared-hinge` (one against the
    rest: scikit-learn's `LinearSVC` with C = 1 / (n alpha), but for its shrunken bias). `alpha`: None chooses among twelve by stratified
    cross-validation (one held-out fifth from 1,000 rows on; at most 12,500 rows are used), the strongest first, and brings it to the
    number of rows; `chosen_` tells what was tried, as shares read right.
    After `fit`: `weights_` K D, `bias_` K, `alpha_`, `n_iter_`, `converged_`. Raises `ArgumentError`.
    """

    def __init__(
        self,
        loss: Literal["softmax", "hinge", "squared-hinge"] = "softmax",
        *,
        alpha: float | None = None,
        max_iter: int = 1000,
        tol: float = 1e-4,
        image_shape: tuple[int, ...] | None = None,
        random_state: Any = 0,
    ) -> None:
        self.loss = loss
        self.alpha = alpha
        self.max_iter = max_iter
        self.tol = tol
        self.image_shape = image_shape
        self.random_state = random_state

    def predict_proba(self, X: Any) -> npt.NDArray[Any]:
        """Return softmax of the scores, N K: shares of belief for `softmax`, only an order for the hinges."""
        return softmax(self.scores(X))

    def _learn(self, X: Rows, codes: npt.NDArray[np.int64]) -> None:
        self._losses()
        if self.alpha is not None and not self.alpha >= 0:
            raise ArgumentError(f"alpha: got {self.alpha!r}, expected a number from 0 on, or None to choose it")
        mean = X.mean(axis=0, dtype=np.float64).astype(X.dtype)
        if self.alpha is None:
            self.alpha_ = self._choose(X, codes, mean)
        else:
            self.alpha_ = float(self.alpha)
        start = np.zeros((len(self.classes_), X.shape[1] + 1))
        solution = self._solve(X, codes, mean, self.alpha_, start, self._losses(), self.tol)
        self.weights_ = solution[:, :-1].astype(X.dtype)
        self.bias_ = (solution[:, -1] - solution[:, :-1] @ mean).astype(X.dtype)

    def _scores(self, X: Rows) -> npt.NDArray[Any]:
        scores: npt.NDArray[Any] = X @ self.weights_.T + self.bias_
        return scores

    def _losses(self) -> tuple[Loss, ...]:
        if self.loss == "hinge":
            return tuple(hinge_loss(corner) for corner in CORNERS)
        known: dict[str, Loss] = {"softmax": softmax_loss, "squared-hinge": squared_hinge_loss}
        if self.loss not in known:
            raise unknown_name("loss", str(self.loss), ("softmax", "hinge", "squared-hinge"))
        return (known[self.loss],)

    def _solve(
        self, X: Rows, codes: npt.NDArray[np.int64], mean: Rows, alpha: float, start: npt.NDArray[np.float64], losses: tuple[Loss, ...], tol: float
    ) -> npt.NDArray[np.float64]:
        """Return weights K D and, in the last column, the bias for centred rows."""
        shape, kind = start.shape, X.dtype

        def objective(flat: npt.NDArray[np.float64], loss: Loss) -> tuple[float, npt.NDArray[np.float64]]:
            weights = flat.reshape(shape)
            light = weights[:, :-1].astype(kind)
            value, slope = loss(X @ light.T + (weights[:, -1] - weights[:, :-1] @ mean).astype(kind), codes)
            gradient = np.empty(shape)
            total = slope.sum(axis=0, dtype=np.float64)
            gradient[:, :-1] = (slope.T @ X) - np.outer(total, mean) + alpha * weights[:, :-1]
            gradient[:, -1] = total
            return value + alpha / 2 * float(np.square(weights[:, :-1]).sum()), gradient.ravel()

        scale = max(1e-12, float(np.abs(objective(np.zeros(start.size), losses[0])[1]).max()))
        flat, self.n_iter_ = start.ravel(), 0
        for loss in losses:
            options = {"maxiter": self.max_iter, "gtol": tol * scale, "ftol": 1e-9 if kind == np.float32 else 1e-13, "maxcor": 20}
            found: Any = minimize(  # type: ignore[call-overload]
                objective, flat, args=(loss,), jac=True, method="L-BFGS-B", options=options
            )
            flat, self.n_iter_ = found.x, self.n_iter_ + int(found.nit)
            self.converged_ = found.nit < self.max_iter
        return np.asarray(flat).reshape(shape)

    def _choose(self, X: Rows, codes: npt.NDArray[np.int64], mean: Rows) -> float:
        from sklearn.model_selection import StratifiedKFold, train_test_split

        fewest = int(np.bincount(codes).min())
        if fewest < 2:
            label = self.classes_[int(np.bincount(codes).argmin())]
            raise ArgumentError(f"y: class {label!r} has one picture only, and choosing alpha needs two of each; add pictures, or give alpha=1e-3")
        count = len(X)
        if count >= CHOOSE + len(self.classes_):  # equal penalty for each row: alpha shrinks as rows grow
            rows, _ = train_test_split(np.arange(count), train_size=CHOOSE, stratify=codes, random_state=self.random_state)
            X, codes = X[rows], codes[rows]
            fewest = int(np.bincount(codes).min())
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The least populated class")  # a draw of a very uneven set may hold one of a class
            folds = list(StratifiedKFold(max(2, min(5, fewest)), shuffle=True, random_state=self.random_state).split(X, codes))
        folds = folds[:1] if len(X) >= ONE_FOLD else folds
        scale = float(np.square(X - mean).sum(axis=1, dtype=np.float64).mean()) or 1.0
        parts = [(X[kept], codes[kept], X[held], codes[held], np.zeros((len(self.classes_), X.shape[1] + 1))) for kept, held in folds]
        losses = self._losses()[:1]
        self.chosen_: dict[float, float] = {}
        best, since = (-1.0, 1.0), 0
        for alpha in (share * scale for share in SHARES):
            right = 0
            for rows, labels, held, truth, weights in parts:
                weights[:] = self._solve(rows, labels, mean, alpha, weights, losses, max(self.tol, 5e-3))
                right += int((((held - mean) @ weights[:, :-1].T.astype(X.dtype) + weights[:, -1]).argmax(axis=1) == truth).sum())
            self.chosen_[alpha] = right / sum(len(truth) for *_, truth, _ in parts)
            best, since = ((self.chosen_[alpha], alpha), 0) if self.chosen_[alpha] > best[0] else (best, since + 1)
            if since >= PATIENCE:
                break
        return best[1] * len(parts[0][0]) / count
