from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from striate import draw
from striate.core.errors import ArgumentError, UnknownNameError
from striate.draw.images import as_rgb

HOSTILE = 'a<b>&"$x_1$ #0072b2\x07\udcff'
CHECKER = (np.indices((8, 8)).sum(0) % 2 * 255).astype(np.uint8)


def every():
    e = np.arange(1.0, 6)
    noise = np.random.default_rng(0).normal(size=(40, 2))
    return {
        "grid": draw.grid([CHECKER, CHECKER], [HOSTILE, ""], title=HOSTILE, rows=[HOSTILE]),
        "maps": draw.maps([noise, abs(noise)], [HOSTILE, "b"], title=HOSTILE),
        "maps shared": draw.maps([noise[:4], noise[4:8]], title=HOSTILE, shared=True),
        "curves": draw.curves({HOSTILE: (e, 1 / e), "other": (e, e)}, HOSTILE, HOSTILE, HOSTILE, dashed=["other"]),
        "bars": draw.bars({HOSTILE: 2.0, "b": -1.0, "c": float("nan")}, HOSTILE, highlight=["b"], spread={"b": 0.5}),
        "histogram": draw.histogram({HOSTILE: noise, "b": noise + 1}, HOSTILE, HOSTILE),
        "scatter": draw.scatter(noise, np.arange(40) % 2, [HOSTILE, "b"], HOSTILE),
        "confusion": draw.confusion([[3, 1], [0, 2]], [HOSTILE, "b"], HOSTILE),
        "reliability": draw.reliability([0.2, np.nan, 0.9], [0.4, np.nan, 0.8], [5, 0, 9], HOSTILE),
    }


@pytest.fixture(scope="module", name="figures")
def _figures():
    return every()


@pytest.fixture(scope="module", name="drawn")
def _drawn(figures):
    return {name: figure.svg() for name, figure in figures.items()}


def parsed(svg):
    return ET.fromstring(svg)  # noqa: S314 - our own


def texts(svg):
    return list(parsed(svg).iter("{http://www.w3.org/2000/svg}text"))


def words(svg):
    return ["".join(node.itertext()) for node in texts(svg)]


def test_every_figure_is_well_formed_and_shows_hostile_names_as_they_are(drawn):
    shown = HOSTILE.replace("\x07\udcff", "  ")
    for name, svg in drawn.items():
        root = parsed(svg)
        assert root.get("aria-label") == shown, name
        assert any(shown.strip() in line for line in words(svg)), (name, words(svg))


def test_every_colour_of_words_and_axes_is_a_variable(drawn):
    """What is left as plain hex must not be black: it would vanish on a dark page."""
    for name, svg in drawn.items():
        without = re.sub(r"var\([^)]*\)|data:image[^\"]*|>[^<]*<|aria-label=\"[^\"]*\"", "", svg)
        assert not re.search(r"#000000|#ffffff", without), name
        for node in texts(svg):
            assert "fill: var(--" in node.get("style"), name
            assert "system-ui" in node.get("style"), name


def test_ids_are_unique_over_all_figures_and_references_hold(drawn):
    seen = [i for svg in drawn.values() for i in re.findall(r'\bid="([^"]+)"', svg)]
    assert len(set(seen)) == len(seen)
    for svg in drawn.values():
        assert set(re.findall(r'url\(#([^)]+)\)|xlink:href="#([^"]+)"', svg)) <= {pair for i in seen for pair in ((i, ""), ("", i))}


def test_svg_is_the_same_twice_and_fetches_nothing(figures, drawn):
    for name in ("curves", "grid"):
        assert figures[name].svg() == drawn[name]
        assert set(re.findall(r"https?://[^\s\"')]+", drawn[name])) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_png_has_the_asked_size_on_white(figures):
    figure = figures["curves"]
    image = Image.open(io.BytesIO(figure.png(scale=2)))
    assert image.size == (960, 580)
    assert image.convert("RGB").getpixel((955, 575)) == (255, 255, 255)


def test_small_pictures_keep_hard_pixels_in_the_png():
    figure = draw.grid([CHECKER], size=80)
    image = np.asarray(Image.open(io.BytesIO(figure.png(scale=1))).convert("L"))
    assert image.shape == (80, 80)
    assert set(np.unique(image)) == {0, 255}
    np.testing.assert_array_equal(image[5::10, 5::10], CHECKER)


def test_the_grids_svg_carries_the_pictures_own_pixels(drawn):
    import base64

    data = re.findall(r"data:image/png;base64,\s*([A-Za-z0-9+/=\s]+)", drawn["grid"])
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data[0]))).convert("L"))
    assert np.array_equal(pixels, CHECKER) or np.array_equal(pixels[::-1], CHECKER)
    assert "pixelated" in drawn["grid"]


def test_large_pictures_are_smoothed_not_pixelated():
    svg = draw.grid([np.zeros((200, 300, 3), np.uint8)]).svg()
    assert "pixelated" not in svg
    assert len(svg) < 6000


def test_maps_write_the_raw_range():
    text = words(draw.maps([np.array([[-0.25, 3.5]])]).svg())
    assert "−0.25" in text
    assert "3.5" in text
    assert "0" not in text  # too near the end of the bar to be read
    assert "0" in words(draw.maps([np.array([[-3.0, 3.5]])]).svg())
    assert "all 2" in words(draw.maps([np.full((2, 2), 2.0)]).svg())
    assert any("1 not finite" in line for line in words(draw.maps([np.array([[1.0, np.nan]])], ["m"], size=160).svg()))


def test_curves_count_what_they_cannot_draw():
    svg = draw.curves({"a": ([1, 2, 3], [0.0, 1.0, float("inf")])}, log="y").svg()
    assert "2 points cannot be drawn and are left out" in words(svg)


def test_names_of_lines_that_end_together_do_not_touch():
    e = np.arange(5)
    svg = draw.curves({f"run {n}": (e, e * 1e-3 + 1) for n in range(6)}).svg()
    named = [node for node in texts(svg) if (node.text or "").startswith("run")]
    heights = [float(node.get("y") or re.search(r"translate\([^ ]+ ([^)]+)\)", node.get("transform"))[1]) for node in named]
    assert len(heights) == 6
    assert np.diff(sorted(heights)).min() > 12


def test_confusion_colours_follow_the_row_shares():
    figure = draw.confusion([[90, 10], [0, 50]], ["a", "b"])
    assert {"90", "10", "50"} <= set(words(figure.svg()))
    image = np.asarray(Image.open(io.BytesIO(figure.png(scale=1))).convert("RGB")).astype(int)
    blue, orange = (image[..., 2] - image[..., 0] > 60).sum(), (image[..., 0] - image[..., 2] > 60).sum()
    assert 1.5 < blue / orange < 2.5  # two right cells, one wrong, one empty


@pytest.mark.parametrize("size", [1, 25, 70])
def test_confusion_of_many_classes(size):
    svg = draw.confusion(np.eye(size), [f"class {n}" for n in range(size)], "t").svg()
    named = sum(line.startswith("class") for line in words(svg))
    assert named == (2 * size if size <= 60 else 0)


def test_users_matplotlib_settings_neither_matter_nor_change():
    import matplotlib as mpl

    before = draw.curves({"a": ([1, 2], [1, 2])}).svg()
    with mpl.rc_context({"axes.facecolor": "red", "svg.fonttype": "path", "text.color": "green"}):
        assert draw.curves({"a": ([1, 2], [1, 2])}).svg() == before
        assert mpl.rcParams["axes.facecolor"] == "red"


def test_save_by_ending(tmp_path, figures):
    svg = figures["bars"].save(tmp_path / "a.svg").read_text()
    assert "prefers-color-scheme:dark" in svg
    parsed(svg)
    assert figures["bars"].save(tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ArgumentError, match=r"\.svg or \.png, not as \.jpg"):
        figures["bars"].save(tmp_path / "a.jpg")


def test_as_rgb_reads_every_layout():
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.testing.assert_array_equal(as_rgb(picture.transpose(2, 0, 1)), picture)
    np.testing.assert_array_equal(as_rgb(picture / 255), picture)
    np.testing.assert_array_equal(as_rgb(picture[..., 0])[..., 2], picture[..., 0])
    clear = np.dstack([picture, np.array([[0, 255], [128, 255]], np.uint8)])
    expected = np.rint((picture * (clear[..., 3:] / 255)) + 255 * (1 - clear[..., 3:] / 255))
    np.testing.assert_allclose(as_rgb(clear), expected, atol=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw.grid([]), "got none"),
        (lambda: draw.grid([CHECKER], ["a", "b"]), "captions: got 2 for 1"),
        (lambda: draw.grid([CHECKER.astype(np.float32)]), "run from 0 to 255"),
        (lambda: draw.grid([CHECKER.astype(np.int64)]), "int64"),
        (lambda: draw.grid([np.zeros((2, 2, 5), np.uint8)]), r"shape \(2, 2, 5\)"),
        (lambda: draw.maps([np.zeros((2, 2, 3))]), "expected H W"),
        (lambda: draw.curves({"a": ([1, 2], [1])}), "x has 2 values and y has 1"),
        (lambda: draw.curves({"a": ([1], [1])}, log="z"), "log: got 'z'"),
        (lambda: draw.confusion(np.eye(3), ["a", "b"]), r"expected \(2, 2\)"),
        (lambda: draw.histogram([np.nan]), "no finite number"),
        (lambda: draw.scatter(np.zeros((3, 3))), "expected N 2"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_unknown_labels_get_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean train"):
        draw.curves({"train": ([1], [1])}, dashed=["trian"])


def test_importing_draw_loads_no_matplotlib_and_no_torch():
    code = "import sys, striate.draw.html, striate.draw as d; d.curves; d.grid; print([m for m in ('matplotlib', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_pictures_in_an_svg_keep_twice_their_pixels():
    picture = np.random.default_rng(0).integers(0, 255, (256, 256, 3)).astype(np.uint8)
    text = draw.panels([[draw.Panel(picture, caption="a")]], title="one", size=100, width=120).svg(standalone=True)
    stored = re.search(r"data:image/png;base64,([^\"]+)", text)[1]
    assert Image.open(io.BytesIO(base64.b64decode(re.sub(r"\s", "", stored)))).width >= 190
