from __future__ import annotations

import pytest

from striate.reports import wording


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("lenet5", "LeNet-5"),
        ("lenet5-1998", "LeNet-5-1998"),
        ("resnet20", "ResNet-20"),
        ("resnet18", "ResNet-18"),
        ("vgg16_bn", "VGG-16-bn"),
        ("my_net2", "my_net2"),
        ("Net", "Net"),
    ],
)
def test_models_are_spelled_as_in_papers(name, spelled):
    assert wording.model_name(name) == spelled


@pytest.mark.parametrize(
    ("share", "n", "spelled"),
    [
        (0.0082, 10_000, "0.82 %"),
        (4 / 360, 360, "1.1 %"),
        (10 / 140, 140, "7 %"),
        (1 - 1 / 360, 360, "99.7 %"),
        (1 - 1 / 5000, 5000, "99.98 %"),  # one decimal would read 100.0
        (1 / 3000, 3000, "0.03 %"),
        (0.0, 360, "0.0 %"),
        (1.0, 20, "100 %"),
        (None, 20, "–"),
    ],
)
def test_percentages_have_the_digits_they_deserve(share, n, spelled):
    assert wording.plain(wording.percent(share, n)) == spelled


def test_intervals():
    assert wording.plain(wording.interval(82, 10_000)) == "0.66–1.02 %"
    assert wording.plain(wording.interval(4, 360)) == "0.4–2.8 %"


@pytest.mark.parametrize(
    ("seconds", "spelled"), [(3.72, "3.7 s"), (99.96, "1 min 40 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (None, "–"), (float("nan"), "–")]
)
def test_durations(seconds, spelled):
    assert wording.plain(wording.duration(seconds)) == spelled


@pytest.mark.parametrize(("value", "spelled"), [(4187.3, "4,190"), (31_264, "31,300"), (72.44, "72.4"), (0.5, "0.500"), (None, "–"), (0, "–")])
def test_rates(value, spelled):
    assert wording.rate(value) == spelled


def test_values_and_shapes():
    assert wording.spelled({"betas": (0.9, 0.99), "fused": None}) == "betas 0.9, 0.99, fused none"
    assert wording.spelled(value=True) == "yes"
    assert wording.shape_name([1, 28, 28]) == "28 × 28, grey"
    assert wording.shape_name([5, 8, 8]) == "8 × 8, 5 channels"
    assert wording.shape_name(None) == "–"
    assert wording.plain(wording.size(61_234)) == "61 kB"


def test_code_in_words():
    assert wording.with_code("`striate resume <a>` goes on") == "<code>striate resume &lt;a&gt;</code> goes on"
    assert wording.with_code("it's 5` long") == "it&#39;s 5` long"
