from __future__ import annotations

import numpy as np
import pytest

from striate.core.errors import ArgumentError
from striate.draw import palette


def test_contrast_is_wcags():
    assert palette.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert palette.contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=1e-3)  # the well-known grey that just fails AA


@pytest.mark.parametrize("side", [0, 1])
def test_words_reach_aa_on_both_grounds_and_lines_reach_three(side):
    colours = {name: pair[side] for name, pair in palette.variables().items()}
    for ground in (colours["paper"], colours["raised"]):
        for name in ("ink", "soft", "accent", "good", "bad", *(f"t{n}" for n in range(8))):
            assert palette.contrast(colours[name], ground) >= 4.5, name
    for number in (0, 1, 2, 6, 7):
        assert palette.contrast(colours[f"c{number}"], colours["paper"]) >= 3, number


def test_variables_have_different_light_colours_so_that_svg_can_tell_them_apart():
    light = [pair[0] for pair in palette.variables().values()]
    assert len(set(light)) == len(light)


def test_signed_colours_are_neutral_at_zero_and_mirror_in_strength():
    rgb = palette.colour(np.array([-2.0, 0.0, 2.0, 1.0]))
    low, zero, high, half = rgb.astype(int)
    assert low[2] > low[0]
    assert high[0] > high[2]
    assert max(zero) - min(zero) < 12
    assert min(zero) > 230
    assert high[1] < half[1] < zero[1]


def test_the_zero_of_a_one_sided_signed_array_stays_neutral():
    assert palette.colour(np.array([-1.0, -0.0])).tolist()[1] == palette.colour(np.array([-1.0, 0.0, 1.0])).tolist()[1]


def test_magnitudes_run_over_the_whole_map_and_lone_values_do_not_divide_by_zero():
    rgb = palette.colour(np.array([3.0, 7.0]))
    assert rgb[0].sum() < 30
    assert rgb[1].sum() > 600
    assert palette.colour(np.zeros((2, 2))).shape == (2, 2, 3)


def test_what_is_not_finite_is_grey_and_does_not_move_the_scale():
    with_gaps = palette.colour(np.array([0.0, np.nan, 1.0, np.inf]))
    assert with_gaps[1].tolist() == [128] * 3 == with_gaps[3].tolist()
    np.testing.assert_array_equal(with_gaps[[0, 2]], palette.colour(np.array([0.0, 1.0])))


def test_a_scale_upside_down_is_refused():
    with pytest.raises(ArgumentError, match="low is 2 and high is 1"):
        palette.colour(np.zeros(3), low=2, high=1)
