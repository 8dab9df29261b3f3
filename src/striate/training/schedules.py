"""Learning-rate schedules: the share of the full rate at a point of training, a pure function of (share done, recipe)."""

from __future__ import annotations

import math

from striate.core.contracts import Recipe
from striate.training.registry import schedule, schedules


@schedule("constant", help="the full rate, after the warm-up if there is one")
def constant(share: float, recipe: Recipe) -> float:
    """Return 1 after a linear warm-up."""
    return _rise(share, recipe.warmup)


@schedule("steps", help="divided at each milestone (the ImageNet papers)")
def steps(share: float, recipe: Recipe) -> float:
    """Return 1 / divide^k after k milestones."""
    passed = sum(share >= milestone for milestone in recipe.milestones)
    return _rise(share, recipe.warmup) / float(recipe.divide**passed)


@schedule("plateau", help="divided when the watched figure stops falling")
def plateau(share: float, recipe: Recipe) -> float:
    """Return 1 after the warm-up; the loop divides by `divide` after `patience` epochs without progress (see `Plateau`)."""
    return _rise(share, recipe.warmup)


@schedule("cosine", help="half a cosine from the full rate to zero (Loshchilov and Hutter 2017)")
def cosine(share: float, recipe: Recipe) -> float:
    """Return the warm-up, then (1 + cos) / 2 down to 0."""
    return _rise(share, recipe.warmup) * 0.5 * (1 + math.cos(math.pi * _rest(share, recipe.warmup)))


@schedule("linear", help="rises over the warm-up, falls in a straight line to zero")
def linear(share: float, recipe: Recipe) -> float:
    """Return the triangle with its top at the end of the warm-up."""
    return _rise(share, recipe.warmup) * (1 - _rest(share, recipe.warmup))


@schedule("one-cycle", help="rises from 1/25 over the warm-up, falls by a cosine to zero (Smith 2018)")
def one_cycle(share: float, recipe: Recipe) -> float:
    """Return one cycle; with `warmup=0` the rise takes the first 30 %."""
    top = recipe.warmup or 0.3
    if share < top:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * share / top))
    return 0.5 * (1 + math.cos(math.pi * _rest(share, top)))


def rate_share(recipe: Recipe, share: float) -> float:
    """Return the share of the full rate when `share` (0 to 1) of training is done; an unknown schedule raises `UnknownNameError`."""
    return float(schedules.get(recipe.schedule)(share, recipe))


class Plateau:
    """Divides the rate when the watched figure has not fallen for `patience` epochs; its state is three numbers, saved with checkpoints."""

    def __init__(self, patience: int, divide: float) -> None:
        self.patience, self.divide = patience, divide
        self.best, self.waited, self.factor = math.inf, 0, 1.0

    def saw(self, figure: float) -> bool:
        """Tell it the figure of an ended epoch; returns whether the rate was divided."""
        if figure < self.best:
            self.best, self.waited = figure, 0
            return False
        self.waited += 1
        if self.waited <= self.patience:
            return False
        self.factor, self.waited = self.factor / self.divide, 0
        return True

    def state(self) -> dict[str, float | None]:
        """Return plain JSON values (no figure seen yet is null)."""
        return {"best": None if math.isinf(self.best) else self.best, "waited": self.waited, "factor": self.factor}

    def load(self, state: dict[str, float | None]) -> None:
        """Take `state`'s output back."""
        best, waited, factor = state["best"], state["waited"], state["factor"]
        self.best = math.inf if best is None else best
        self.waited, self.factor = int(waited or 0), float(factor or 1.0)


def _rise(share: float, warmup: float) -> float:
    return min(1.0, share / warmup) if warmup else 1.0


def _rest(share: float, start: float) -> float:
    return min(1.0, max(0.0, (share - start) / (1 - start)))
