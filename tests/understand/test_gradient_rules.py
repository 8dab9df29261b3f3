"""The public methods that send signals back pass the public conformance suite: every way of writing a ReLU, and the model untouched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn

import striate.understand as u
from striate.probe.conformance import CASES, check
from striate.probe.conformance.cases import TARGET


def explained(method: Callable[..., u.Explanation], array: str) -> Callable[[nn.Module, torch.Tensor, int], Any]:
    """The suite's inputs are no pixels: they are brought to [0, 1], and what makes them inputs again is the preprocess."""

    def explain(model: nn.Module, x: torch.Tensor, target: int) -> Any:
        low, span = x.min(), x.max() - x.min()
        made = method(model, (x - low) / span, target=target, preprocess=lambda pixels: pixels * span + low)
        return made.arrays[array] / float(span)

    return explain


@pytest.mark.parametrize(("method", "rule"), [(u.guided, "guided"), (u.deconvnet, "deconvnet")])
def test_conformance_of_the_rules(method: Callable[..., u.Explanation], rule: Literal["guided", "deconvnet"]) -> None:
    outcomes = check(explained(method, "signal"), rule, tolerance=1e-12)
    assert len(outcomes) == len(CASES)
    assert [outcome for outcome in outcomes if not outcome.right] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_saliency_is_the_largest_gradient_over_channels(case: Any) -> None:
    explain = explained(u.saliency, "map")
    if case.raises:
        with pytest.raises(RuntimeError, match="injected"):
            explain(case.model(), case.x(), TARGET)
        return
    want = np.abs(case.answer("gradient")).max(1)
    np.testing.assert_allclose(explain(case.model(), case.x(), TARGET), want, rtol=0, atol=1e-12 * want.max())
