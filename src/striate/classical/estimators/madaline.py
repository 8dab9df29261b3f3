"""Madaline: many Adalines that vote, changed as little as turns the vote. Widrow 1962; Ridgway 1962; Widrow and Lehr 1990 (row C adaline)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from striate.classical.bases import Classifier
from striate.classical.checking import Rows, whole
from striate.classical.registry import estimator
from striate.core.errors import ArgumentError, unknown_name


@estimator("madaline", help="Madaline (Widrow): Adalines that vote, Madaline Rule I", row="C adaline")
class Madaline(Classifier):
    """`units` Adalines a class with random first weights, whose signs go through fixed logic: `majority`, `or`, `and`; classes against the rest.

    Madaline Rule I, minimal disturbance: where the logic's answer is wrong, only as many of the disagreeing units as would turn it are changed, those
    whose sums are nearest to zero, each by the delta rule (share `rate` of its error, as in Adaline). `or` and `and` change all units on the side
    where every one counts. With two classes there is one group of units. Unlike one Adaline it can part what no line parts (exclusive or).
    The class is that of the most votes, ties by the sum of the units' sums. After `fit`: `units_` G U D+1, `mistakes_` of each pass.
    """

    def __init__(
        self,
        *,
        units: int = 15,
        logic: Literal["majority", "or", "and"] = "majority",
        epochs: int = 10,
        rate: float = 0.1,
        decay: float = 0.3,
        image_shape: tuple[int, ...] | None = None,
        random_state: Any = 0,
    ) -> None:
        self.units = units
        self.logic = logic
        self.epochs = epochs
        self.rate = rate
        self.decay = decay
        self.image_shape = image_shape
        self.random_state = random_state

    def _learn(self, X: Rows, codes: npt.NDArray[np.int64]) -> None:
        from sklearn.utils import check_random_state

        whole("units", self.units)
        if self.logic not in ("majority", "or", "and"):
            raise unknown_name("logic", str(self.logic), ("majority", "or", "and"))
        if self.logic == "majority" and self.units % 2 == 0:
            raise ArgumentError(f"units: got {self.units}, expected an odd number, so that a majority is never a tie")
        if not 0 < self.rate < 2 or not self.decay >= 0:
            raise ArgumentError(f"rate: got {self.rate!r} with decay {self.decay!r}; expected 0 < rate < 2 and decay >= 0")
        state = check_random_state(self.random_state)
        groups = 1 if len(self.classes_) == 2 else len(self.classes_)
        rows = np.concatenate([X, np.ones((len(X), 1), X.dtype)], axis=1)
        lengths = np.einsum("nd,nd->n", rows, rows)
        spread = 1 / max(1e-12, float(np.sqrt(lengths.mean())))
        units = state.normal(scale=spread, size=(groups, self.units, rows.shape[1])).astype(X.dtype)
        wanted = np.where(codes[:, None] == (np.arange(groups) if groups > 1 else 1), 1, -1)
        flat = units.reshape(-1, rows.shape[1])  # a view: changing it changes the units
        self.mistakes_: list[int] = []
        for epoch in range(whole("epochs", self.epochs)):
            rate, wrong = self.rate / (1 + self.decay * epoch), 0
            for place in state.permutation(len(rows)):
                sums = (flat @ rows[place]).reshape(groups, -1)
                answers = np.where(self._votes(sums) > 0, 1, -1)
                for group in np.flatnonzero(answers != wanted[place]):
                    wrong += 1
                    target = wanted[place, group]
                    chosen = self._least(sums[group], int(target))
                    error = target - sums[group, chosen]
                    units[group, chosen] += np.outer(error * (rate / lengths[place]), rows[place])
            self.mistakes_.append(wrong)
            if not wrong:
                break
        self.units_ = units

    def _votes(self, sums: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the logic's answer for sums ... U, above 0 for yes: for the majority how many more say yes than no."""
        signs = np.where(sums >= 0, 1, -1)
        if self.logic == "or":
            return np.asarray(signs.max(axis=-1))
        return np.asarray(signs.min(axis=-1) if self.logic == "and" else signs.sum(axis=-1))

    def _least(self, sums: npt.NDArray[Any], target: int) -> npt.NDArray[np.int64]:
        """Return the fewest units whose turning turns the answer, nearest to zero first; all that disagree where the logic needs every one."""
        against = np.flatnonzero(np.where(sums >= 0, 1, -1) != target)
        order = against[np.argsort(np.abs(sums[against]), kind="stable")]
        if self.logic == "majority":
            return order[: len(order) - self.units // 2]
        alone = (self.logic == "or") == (target > 0)  # one unit is enough
        return order[:1] if alone else order

    def _scores(self, X: Rows) -> npt.NDArray[Any]:
        sums = np.einsum("nd,gud->ngu", np.concatenate([X, np.ones((len(X), 1), X.dtype)], axis=1), self.units_, optimize=True)
        total = sums.sum(axis=2) if self.logic == "majority" else (sums.max(axis=2) if self.logic == "or" else sums.min(axis=2))
        votes = self._votes(sums) + np.tanh(total / self.units) * 0.5
        return np.concatenate([-votes, votes], axis=1) if votes.shape[1] == 1 else np.asarray(votes)
