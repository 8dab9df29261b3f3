"""Boxes and points of tables: read, refused, fitted and augmented; and the digits pasted on photographs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import striate as st
from striate import data as d
from striate.core.errors import ArgumentError, DataError
from striate.data.sources.pasted import INSTALLED, lit
from striate.data.stores import Fixed


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path_factory.mktemp("cache")))


BOX = (6, 4, 10, 8)


@pytest.fixture
def photos(tmp_path):
    """Eight pictures of 40 x 24 (W x H), black with a white box; the table's columns are for the test to name."""
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[4:12, 6:16] = 255
    for i in range(8):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    return tmp_path


def table(photos, head, cells, rows=8):
    text = "\n".join([f"file,class,{head}", *(f"{i}.png,{'ab'[i % 2]},{cells(i) if callable(cells) else cells}" for i in range(rows))])
    (photos / "boxes.csv").write_text(text, encoding="utf-8")
    return photos / "boxes.csv"


def test_a_table_of_boxes_and_points_reaches_the_batch(photos):
    path = table(photos, "x,y,w,h,nose_x,nose_y,tail_x,tail_y", lambda i: "6,4,10,8,20,12,," if i else "6,4,10,8,20,12,40,24")
    data = st.data.load(path, options={"val": 0, "size": 12, "resize": "squash"})
    batch = next(data.split("train").batches(8, epoch=0, seed=0))
    expected = [6 * 12 / 40, 4 * 12 / 24, 10 * 12 / 40, 8 * 12 / 24]
    torch.testing.assert_close(batch.extra["boxes"], torch.tensor([expected] * 8, dtype=torch.float32))
    torch.testing.assert_close(batch.extra["points"][0], torch.tensor([[6.0, 6.0], [12.0, 12.0]]))
    assert batch.extra["points"][1:, 1].isnan().all()
    assert any("nose, tail" in note for note in data.notes)


def test_boxes_follow_a_random_cut_of_pictures_of_many_sizes(photos):
    data = st.data.load(table(photos, "x,y,w,h", "6,4,10,8"), options={"val": 0, "size": 48})
    for augment in (("resized_crop((0.6, 1.0))", "mirror"), ("affine(0, (0.9, 1.2))",)):
        split = data.prepared(augment=augment).split("train", training=True)
        for batch in split.batches(4, epoch=1, seed=2):
            for picture, (x, y, w, h) in zip(batch.x, batch.extra["boxes"].tolist(), strict=True):
                bright = picture.mean(0) > picture.mean(0).mean() + 0.5 * (picture.mean(0).max() - picture.mean(0).mean())
                columns, rows = (torch.nonzero(bright.any(axis)).flatten() for axis in (0, 1))
                hull = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
                assert np.abs(np.array([x, y, x + w, y + h]) - hull).max() <= 1.6


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ("6,4,-10,8", r"boxes.csv, line 2: the box .* width or height of 0 or less"),
        ("6,4,0,8", r"line 2: .* 0 or less"),
        ("-6,4,10,8", r"line 2: .* begins outside the picture"),
        ("6,4,100,8", r"boxes: train, 0.png: .* ends at 106, 12, outside the picture of 40 x 24 .*\(8 of 8 boxes are wrong\)"),
        ("6,4,,8", r"line 2: w is '', expected a number of pixels"),
        ("6,4,nan,8", r"line 2: .* not all numbers"),
    ],
)
def test_bad_boxes_are_one_clear_error(photos, cells, words):
    with pytest.raises(DataError, match=words):
        st.data.load(table(photos, "x,y,w,h", cells), options={"val": 0})


def test_other_bad_tables_are_one_clear_error(photos):
    with pytest.raises(DataError, match=r"1 of 9 files are not in .*\n +line 10: 8.png"):
        st.data.load(table(photos, "x,y,w,h", "6,4,10,8", rows=9))
    with pytest.raises(DataError, match=r"a point of .* lies outside the picture of 40 x 24"):
        st.data.load(table(photos, "eye_x,eye_y", "50,4"), options={"val": 0})
    far = st.data.load(table(photos, "x,y,w,h", "0,4,5,8"), options={"val": 0, "size": 12})
    with pytest.raises(DataError, match=r"'crop' cuts its box away .* open the data with resize='pad' or 'squash'"):
        next(far.split("train").batches(8, epoch=0, seed=0))
    (photos / "x.csv").write_text("file,x,y,w,h\n0.png,1,1,2,2\n", encoding="utf-8")
    with pytest.raises(DataError, match="which column holds the class"):
        st.data.load(photos / "x.csv")


def test_other_boxes_are_other_data():
    store = Fixed(np.zeros((3, 1, 8, 8), np.uint8), "same")
    labels = np.arange(3)
    made = [d.Table(store, labels, extra={"boxes": np.full((3, 4), value, np.float32)}) for value in (1, 2, 2)]
    assert made[0].fingerprint != made[1].fingerprint == made[2].fingerprint != d.Table(store, labels).fingerprint


def test_pasted_boxes_are_the_hull_of_the_ink():
    """Without texture the background is one grey, so every changed pixel is ink; the box holds all that is at least a quarter ink."""
    data = d.pasted(count=40, size=32, texture=0.0, light=0.0, seed=4)
    part = data.tables["train"]
    for i, picture in enumerate(data.pictures("train", range(40))):
        change = np.abs(picture.astype(int) - 128).max(2)
        rows, columns = (np.flatnonzero((change >= 0.25 * change.max()).any(axis)) for axis in (1, 0))
        hull = np.array([columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]])
        assert np.abs(part.extra["boxes"][i] - hull).max() <= 1  # rounding to bytes may move a pixel over the quarter
        assert change.max() >= 60


def test_pasted_is_a_function_of_its_seed_and_parts_do_not_share_digits():
    small = {"count": 20, "size": 20}
    one, same, other = (d.pasted(seed=seed, **small) for seed in (1, 1, 2))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    again = st.data.load("pasted", options=small | {"seed": 1})
    assert again.fingerprint == one.fingerprint
    assert again.options == {"count": 20, "size": 20, "seed": 1}
    assert {name: len(part) for name, part in one.tables.items()} == {"train": 20, "val": 10, "test": 10}


def test_pasted_on_photographs_of_ones_own(tmp_path):
    Image.new("RGB", (200, 90), (250, 0, 0)).save(tmp_path / "red.png")
    data = d.pasted(count=10, size=24, texture=1.0, light=0.0, photographs=tmp_path)
    corners = {tuple(picture[0, 0]) for picture in data.pictures("train", range(10))}
    assert (250, 0, 0) in corners
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"none: holds no .jpg"):
        d.pasted(photographs=tmp_path / "none")
    with pytest.raises(DataError, match="no such folder"):
        d.pasted(photographs=tmp_path / "nowhere")
    with pytest.raises(ArgumentError, match=r"largest: got smallest 0.3, largest 2"):
        d.pasted(largest=2)
    with pytest.raises(ArgumentError, match="size: got 4, expected 16 to 1024"):
        d.pasted(size=4)
    with pytest.raises(ArgumentError, match="light: got 2, expected a share from 0 to 1"):
        d.pasted(light=2)


def test_no_part_sees_a_strip_of_another_and_any_strip_may_be_anyones(tmp_path):
    """Two photographs whose red says which one and which 16-pixel strip: every pixel without ink tells where its background comes from."""
    for number in range(2):
        codes = np.repeat(np.arange(5, dtype=np.uint8) * 20 + 10 * number + 5, 16)
        Image.fromarray(np.broadcast_to(codes[None, :, None], (40, 80, 3)).copy()).save(tmp_path / f"{number}.png")
    held = []
    for seed in range(6):
        data = d.pasted(count=80, size=16, texture=1.0, light=0.0, seed=seed, photographs=tmp_path)
        seen = {}
        for part in data.splits:
            pictures = np.stack(list(data.pictures(part, range(len(data.tables[part])))))
            corners = pictures[:, [0, 0, -1, -1], [0, -1, 0, -1], 0]  # a digit hides one of the four at most
            seen[part] = {int(np.bincount(row).argmax()) for row in corners}
        assert seen["train"].isdisjoint(seen["val"] | seen["test"])
        assert seen["val"].isdisjoint(seen["test"])
        assert [len(seen[part]) for part in ("train", "val", "test")] == [6, 2, 2]
        held.append(seen["test"])
    assert len(set.union(*held)) >= 6, "the test strips are drawn by the seed: 12 draws of 10 places do not fall on a few"


def test_the_light_of_a_background_varies_as_far_as_it_was_told():
    """Contrast times 1 - light to 1 + light and brightness by up to light / 2 of 255, measured on two greys 64 apart."""
    ground = np.full((2, 2, 3), 96, np.uint8)
    ground[0] = 160
    found = np.array([(part[0, 0, 0], part[1, 0, 0]) for part in (lit(ground, 1.0, 0.25, np.random.default_rng(seed)) for seed in range(300))], float)
    contrast, mean = (found[:, 0] - found[:, 1]) / 64, found.mean(1)
    assert 0.75 - 0.02 <= contrast.min() < 0.78 < 1.22 < contrast.max() <= 1.25 + 0.02
    assert 128 - 32.5 <= mean.min() < 99 < 157 < mean.max() <= 128 + 32.5
    assert (lit(ground, 0.0, 0.0, np.random.default_rng(0)) == 128).all()
    assert (lit(ground, 1.0, 0.0, np.random.default_rng(0)) == ground).all()


def test_a_missing_photograph_is_an_error_and_no_smaller_set(monkeypatch):
    monkeypatch.setitem(INSTALLED, "skimage", ("data", ("astronaut.png", "not there.png")))
    with pytest.raises(DataError, match=r"files of scikit-image are missing \(not there.png\)"):
        d.pasted(count=10, size=16)
