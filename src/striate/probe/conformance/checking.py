"""Running the suite against an explainer: right or wrong, by how much, and what it left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from striate.core.errors import unknown_name
from striate.probe.conformance.cases import CASES, TARGET, Case
from striate.probe.conformance.explicit import Rule
from striate.probe.state import Snapshot

TOLERANCE = 1e-5
"""Relative to the largest value of the right answer."""


@dataclass(frozen=True)
class Outcome:
    """What an explainer did with one case.

    `error`  largest deviation from the right answer, relative to its largest value; infinite when there is no answer of the right shape
    `left`   what it changed about the model or the random state, in words
    `raised` the error it raised, if any
    `plain`  whether its answer is the plain gradient though another rule was asked for: wrong and silent
    """

    case: str
    error: float
    left: tuple[str, ...]
    raised: str
    plain: bool
    right: bool


def check(
    explain: Callable[[nn.Module, Tensor, int], Any], rule: Rule, *, cases: Sequence[str] | None = None, tolerance: float = TOLERANCE
) -> tuple[Outcome, ...]:
    """Run `explain(model, x, target)` on every case (or those named) and compare with `rule` worked out by hand.

    `explain` gets a float64 model in eval mode, x (N C H W) and a class number, and returns the signal at the input, an array or tensor shaped
    like x. Right means: within `tolerance` of the answer, and the model untouched; for the cases that raise, that the error came through and the
    model is untouched. Works for peers too. Raises `UnknownNameError` for a case.
    """
    known = {case.name: case for case in CASES}
    for name in cases or ():
        if name not in known:
            raise unknown_name("case", name, known)
    return tuple(_outcome(explain, rule, known[name], tolerance) for name in (known if cases is None else cases))


def _outcome(explain: Callable[[nn.Module, Tensor, int], Any], rule: Rule, case: Case, tolerance: float) -> Outcome:
    model, x = case.model(), case.x()
    for parameter in model.parameters():
        parameter.grad = parameter.detach().clone()  # gradients of the user's own, which must survive
    before = Snapshot.of(model)
    raised, answer = "", None
    try:
        answer = explain(model, x, TARGET)
    except Exception as problem:  # noqa: BLE001 - whatever a peer raises is its outcome
        raised = f"{type(problem).__name__}: {problem}"
    left = before.differences(model)
    if case.raises:
        return Outcome(case.name, 0.0 if raised else np.inf, left, raised, plain=False, right="injected" in raised and not left)
    right = case.answer(rule)
    error = _deviation(answer, right)
    plain = rule != "gradient" and error > tolerance and _deviation(answer, case.answer("gradient")) <= tolerance
    return Outcome(case.name, error, left, raised, plain=plain, right=error <= tolerance and not left)


def _deviation(answer: Any, right: np.ndarray[Any, Any]) -> float:
    array = answer.detach().cpu().numpy() if isinstance(answer, Tensor) else np.asarray(answer)
    if array.dtype == object or array.shape != right.shape:
        return float("inf")
    return float(np.abs(array - right).max() / np.abs(right).max())
