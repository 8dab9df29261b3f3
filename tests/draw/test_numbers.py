from __future__ import annotations

import pytest

from striate.draw import count, percent, short


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1, "1"), (1.0, "1"), (0.03124, "0.0312"), (1280, "1,280"), (1234567, "1,234,567"), (-4.4949, "−4.49"), (3e-7, "3×10⁻⁷"),
        (1e-5, "10⁻⁵"), (-1e-5, "−10⁻⁵"), (9.999e-6, "10⁻⁵"), (2.5e9, "2.5×10⁹"), (float("nan"), "–"), (float("-inf"), "−∞"), (0.999999, "1"),
    ],
)  # fmt: skip
def test_short(value, text):
    assert short(value) == text


def test_counts_and_percentages():
    assert count(60000) == "60,000"
    assert percent(0.00824) == "0.82\u2009%"
    assert percent(1, 0) == "100\u2009%"
    assert percent(float("nan")) == "–"
