"""The report's pictures with boxes: figures by hand, boxes where they belong, and reports without them."""

from __future__ import annotations

import re

import numpy as np

import striate as st
from striate.core.contracts import Recipe
from striate.draw.outlines import GIVEN, TRUE, outlined
from striate.reports import report, wording
from striate.reports.boxes_part import overlaps


def rgb(colour):
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def test_outlines_lie_on_the_edges_of_the_box():
    picture = np.full((10, 20, 3), 90, np.uint8)
    drawn = outlined(picture, [(2, 3, 8, 4)], side=80)  # enlarged 4 times: x 8 to 40, y 12 to 28
    assert drawn.shape == (40, 80, 3)
    white = (drawn == rgb(TRUE)).all(2)
    rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (11, 29, 7, 41)
    assert (drawn[14:26, 10:38] == 90).all()  # nothing inside, and the picture as it was
    assert (picture == 90).all()


def test_a_second_box_and_a_point_have_their_colours_and_nan_is_left_out():
    drawn = outlined(np.zeros((10, 10), np.uint8), [(np.nan, 1, 2, 3), (2, 2, 5, 5)], points=[(8, 8)], side=50)
    assert (drawn == rgb(GIVEN)).all(2).any()
    assert tuple(drawn[40, 40]) == rgb(TRUE)


def test_the_page_shows_boxes_and_their_figures(tmp_path):
    data = st.data.load("pasted", options={"count": 20, "size": 16})
    run = st.train("lenet5", data, task="localise", recipe=Recipe(epochs=1, batch=10), folder=tmp_path / "run", device="cpu", precision="fp32")
    with np.load(run.folder / "predictions" / "test.npz") as kept:
        shares = overlaps(kept["boxes"], kept["true_boxes"])
    page = report(run).read_text(encoding="utf-8")
    assert f"{shares.mean():.3f}" in page
    found = int((shares >= 0.5).sum())
    assert f"({found} of 10)" in page
    assert f"IoU {shares.min():.2f}" in page
    assert page.count(", IoU ") >= 10  # every one of the ten pictures is shown


def test_the_one_epoch_and_the_terminal_tell_figures_in_the_same_units(tmp_path):
    """Of a run that finds no box at all: `missed` is a share, 100 %, and names are words."""
    from striate.cli.carry_out import result_rows

    data = st.data.load("pasted", options={"count": 20, "size": 16})
    run = st.train("lenet5", data, task="localise", recipe=Recipe(epochs=1, batch=10, lr=1e-9), folder=tmp_path / "run", device="cpu")
    text = re.sub(r"<[^>]*>|\s", " ", report(run).read_text(encoding="utf-8")).replace(wording.THIN, " ")
    row = run.history[0]
    assert re.search(rf"validation missed +{100 * row['val/missed']:.2f} %", text)
    assert re.search(rf"training box error +{100 * row['train/box_error']:.2f} %", text)
    assert "box_error" not in text
    heads, (cells,) = result_rows({"val": {"n": 10, **{name.removeprefix("val/"): value for name, value in row.items() if name.startswith("val/")}}})
    for name in ("loss", "error", "box_error", "missed", "localisation_error"):
        head = wording.figure_name(name)
        assert cells[heads.index(head)].endswith("%") == wording.is_share(name), name
