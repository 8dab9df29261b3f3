"""Schedules against their closed forms."""

from __future__ import annotations

import math

import pytest

from striate.core.contracts import Recipe
from striate.core.errors import UnknownNameError
from striate.training.registry import schedules
from striate.training.schedules import Plateau, rate_share


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.75, 0.999])
def test_cosine_is_half_a_cosine(share):
    assert rate_share(Recipe(schedule="cosine"), share) == pytest.approx((1 + math.cos(math.pi * share)) / 2)


def test_linear_is_a_triangle_with_its_top_at_the_end_of_the_warm_up():
    recipe = Recipe(schedule="linear", warmup=0.25)
    assert [rate_share(recipe, share) for share in (0, 0.125, 0.25, 0.625, 1.0)] == pytest.approx([0, 0.5, 1, 0.5, 0])


def test_steps_divides_once_a_milestone():
    recipe = Recipe(schedule="steps", milestones=(0.5, 0.75), divide=10)
    assert [rate_share(recipe, share) for share in (0.49, 0.5, 0.74, 0.75, 0.99)] == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])


def test_one_cycle_starts_at_a_twenty_fifth_and_ends_at_zero():
    recipe = Recipe(schedule="one-cycle", warmup=0.4)
    assert [rate_share(recipe, share) for share in (0, 0.2, 0.4, 0.7, 1.0)] == pytest.approx([0.04, 0.52, 1, 0.5, 0], abs=1e-12)


def test_every_schedule_stays_between_zero_and_the_full_rate():
    for entry in schedules:
        recipe = Recipe(schedule=entry.name, warmup=0.2, milestones=(0.5,))
        values = [rate_share(recipe, i / 200) for i in range(201)]
        assert min(values) >= 0
        assert max(values) == pytest.approx(1)


def test_an_unknown_schedule_names_the_nearest():
    with pytest.raises(UnknownNameError, match="cosine"):
        rate_share(Recipe(schedule="cosin"), 0)


def test_plateau_divides_after_patience_epochs_without_progress():
    plateau = Plateau(patience=2, divide=10)
    divided = [plateau.saw(figure) for figure in (3.0, 2.0, 2.0, 2.5, 2.0, 1.0, 1.0)]
    assert divided == [False, False, False, False, True, False, False]
    assert plateau.factor == pytest.approx(0.1)


def test_plateau_state_goes_through_json_and_back():
    first, second = Plateau(1, 10), Plateau(1, 10)
    first.saw(1.0), first.saw(2.0)
    second.load(first.state())
    assert second.saw(3.0) is first.saw(3.0) is True
