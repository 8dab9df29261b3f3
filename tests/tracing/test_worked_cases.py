"""The course's worked cases (row T1), computed from their data; the expected numbers stand in the course, the terms are recomputed here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from striate.tracing import from_spec
from striate.tracing.opening import opened

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "trace"

VOLUME = np.array(
    [
        [[3, 2, 2, 0, 0], [3, 2, 0, 3, 1], [4, 3, 1, 4, 0], [4, 4, 0, 2, 0], [0, 0, 4, 2, 2]],
        [[4, 1, 4, 2, 3], [2, 3, 4, 0, 0], [1, 2, 0, 1, 4], [2, 3, 1, 0, 0], [3, 1, 4, 4, 0]],
        [[2, 4, 4, 2, 0], [2, 0, 0, 3, 4], [1, 4, 1, 2, 0], [4, 1, 3, 0, 0], [2, 2, 0, 4, 4]],
    ]
)
FILTER = np.array([[[0, 0, 0], [-1, 1, 0], [-1, 1, -1]], [[0, 1, 0], [0, 0, 1], [1, 1, -1]], [[-1, 1, 0], [1, 0, 1], [1, 1, 1]]])


@pytest.fixture(scope="module")
def volume():
    return from_spec("conv(1, 3x3)", VOLUME, parameters={"conv1.weight": FILTER, "conv1.bias": -3})


def test_case_a_the_volume(volume):
    assert volume["conv1"].output.tolist() == [[[[12, 4, 7], [11, 8, 14], [10, 0, 16]]]]
    assert volume.agrees
    assert volume["conv1"].agrees


def test_case_a_terms_of_one_output(volume):
    told = volume.explain("conv1", sample=0, out=(0, 0, 1))
    assert told.value == 4
    assert told.spelled.startswith("2·0 + 2·0 + 0·0 + 2·(−1)")
    assert [(t.factors[0].value, t.factors[1].value) for t in told.terms[:-1]] == [
        (VOLUME[c, u, 1 + v], FILTER[c, u, v]) for c in range(3) for u in range(3) for v in range(3)
    ]
    assert told.terms[-1].value == -3
    assert [f.index for f in told.terms[1].factors] == [(0, 0, 0, 2), (0, 0, 0, 1)]
    assert sum(term.value for term in told.terms) == 4
    assert volume.explain("conv1", out=(0, 2, 1)).value == 0
    assert "= 4" in str(told)


def test_case_a_gradient_and_message_by_hand(volume):
    """With the sum as loss every δ is 1: a weight's gradient is the sum of what it saw, a message the sum of the weights that saw the cell."""
    for c, u, v in np.ndindex(3, 3, 3):
        assert volume.explain("conv1", gradient=("weight", (0, c, u, v))).value == VOLUME[c, u : u + 3, v : v + 3].sum()
    told = volume.explain("conv1", gradient=("weight", (0, 0, 1, 1)))
    assert [t.factors[1].value for t in told.terms] == VOLUME[0, 1:4, 1:4].ravel().tolist()
    for p, q in ((0, 0), (1, 1), (2, 2), (4, 3)):
        seen = sum(FILTER[1, p - i, q - j] for i in range(3) for j in range(3) if 0 <= p - i < 3 and 0 <= q - j < 3)
        back = volume.explain("conv1", input=(1, p, q))
        assert back.value == seen == sum(term.value for term in back.terms)
    assert volume.explain("conv1", gradient=("bias", (0,))).value == 9


def test_case_b_the_exercise():
    x = [[1, 2, 3, 4, 5], [2, 2, 1, 1, 1], [3, 2, 1, 1, 1], [4, 1, 1, 1, 1], [5, 1, 1, 1, 1]]
    found = from_spec("conv(1, 3x3, stride=2) -> relu -> maxpool(2)", x, parameters={"conv1.weight": [[0, -1, 0], [1, 1, 1], [0, -1, 0]]})
    assert found.names == ("conv1", "relu1", "maxpool1", "loss")
    assert [found[name].output.tolist() for name in found.names[:3]] == [[[[[1, -2], [3, 1]]]], [[[[1, 0], [3, 1]]]], [[[[3]]]]]
    assert found["conv1"].message.tolist() == [[[[0, 0], [1, 0]]]]
    assert found["conv1"].gradients["weight"].tolist() == [[[row[0:3] for row in x[2:5]]]], "the only δ sits on the window of rows 2 to 4"
    assert [str(term) for term in found.explain("maxpool1", out=(0, 0, 0)).terms] == ["1·0", "0·0", "3·1", "1·0"]
    assert found.explain("relu1", out=(0, 0, 1)).value == 0
    assert len(found.explain("conv1", out=(0, 0, 1)).terms) == 10
    assert found.agrees


def test_case_c_a_single_channel():
    x = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
    found = from_spec("conv(1, 3x3, bias=no)", x, parameters={"conv1.weight": [[1, 0, 1], [0, 1, 0], [1, 0, 1]]})
    assert found["conv1"].output.tolist() == [[[[4, 3, 4], [2, 4, 3], [2, 3, 4]]]]
    assert found.explain("conv1", out=(0, 1, 0)).spelled == "0·1 + 1·0 + 1·1 + 0·0 + 0·1 + 1·0 + 0·1 + 0·0 + 1·1"


def test_case_d_linear_scores():
    weight, bias, pixels = [[0.2, -0.5, 0.1, 2], [1.5, 1.3, 2.1, 0], [0, 0.25, 0.2, -0.3]], [1.1, 3.2, -1.2], [56, 231, 24, 2]
    found = from_spec("linear(3)", pixels, parameters={"linear1.weight": weight, "linear1.bias": bias}, target=0, loss="hinge")
    assert found["linear1"].output[0] == pytest.approx([-96.8, 437.9, 60.75], abs=1e-12)
    ship = found.explain("linear1", out=(2,))
    assert ship.spelled == "56·0 + 231·0.25 + 24·0.2 + 2·(−0.3) + (−1.2)"
    assert found.loss == pytest.approx((437.9 + 96.8 + 1) + (60.75 + 96.8 + 1), abs=1e-9)
    assert found["loss"].input_messages[0].tolist() == [[-2, 1, 1]]
    assert found["linear1"].gradients["weight"].tolist() == np.outer([-2, 1, 1], pixels).tolist()
    assert found.agrees


@pytest.mark.parametrize(
    ("name", "box", "expected"),
    [
        ("volume", "conv1", [[12, 4, 7], [11, 8, 14], [10, 0, 16]]),
        ("exercise", "maxpool1", [[3]]),
        ("single", "conv1", [[4, 3, 4], [2, 4, 3], [2, 3, 4]]),
        ("scores", "linear1", [-96.8, 437.9, 60.75]),
    ],
)
def test_the_example_files_hold_the_worked_cases(name, box, expected):
    found = opened(str(EXAMPLES / f"{name}.json"))
    assert np.allclose(found[box].output.reshape(np.shape(expected)), expected, rtol=0, atol=1e-12)
    assert found.about
    assert found.agrees
