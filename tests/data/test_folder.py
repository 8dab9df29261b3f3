"""Folders of class folders: every layout that has broken a trainer is read right or refused with what to do."""

from __future__ import annotations

import json
import os
import time
import unicodedata

import numpy as np
import pytest
from class_folders import labels_are_right, plain, put

from striate.core.errors import ArgumentError, DataError
from striate.data import load
from striate.data.sources.folder import folder


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_class_folders_without_splits(tmp_path):
    plain(tmp_path / "photos")
    data = folder(tmp_path / "photos")
    assert data.name == "photos"
    assert data.classes == ("ant", "bee")
    assert (len(data.tables["train"]), len(data.tables["val"])) == (16, 4)
    assert np.bincount(data.tables["val"].targets).tolist() == [2, 2]
    for split in ("train", "val"):
        labels_are_right(data, split, {"ant": 0, "bee": 1})
    assert not set(data.tables["train"].names) & set(data.tables["val"].names)
    assert any("4 of 20 training pictures" in note for note in data.notes)
    assert data.spec == str(tmp_path / "photos")
    assert folder(tmp_path / "photos").fingerprint == data.fingerprint
    assert folder(tmp_path / "photos", seed=1).tables["val"].names != data.tables["val"].names
    assert folder(tmp_path / "photos", val=0).splits == ("train",)


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Train", "Validation", "TEST"), ("training", "valid", "testing")])
def test_splits_by_any_of_their_names(tmp_path, names):
    for name in names:
        plain(tmp_path / name, count=3)
    data = folder(tmp_path)
    assert data.splits == ("train", "val", "test")
    for split in data.splits:
        labels_are_right(data, split, {"ant": 0, "bee": 1})


def test_a_validation_folder_that_lacks_a_class_does_not_shift_labels(tmp_path):
    plain(tmp_path / "train", ("ant", "bee", "cat"), 3)
    put(tmp_path / "val" / "bee" / "1.png", 1)
    put(tmp_path / "val" / "cat" / "1.png", 2)
    (tmp_path / "test" / "ant").mkdir(parents=True)
    data = folder(tmp_path)
    assert data.classes == ("ant", "bee", "cat")
    assert data.tables["val"].targets.tolist() == [1, 2]
    labels_are_right(data, "val", {"ant": 0, "bee": 1, "cat": 2})
    assert data.splits == ("train", "val")
    assert "val has no picture of ant" in data.notes
    assert "test has no pictures" in data.notes


def test_a_class_unknown_to_training_is_named(tmp_path):
    plain(tmp_path / "train")
    plain(tmp_path / "val", ("ant", "wasp"), 2)
    with pytest.raises(DataError, match=r"val: wasp is unknown to training; training knows ant, bee"):
        folder(tmp_path)


def test_hidden_things_and_files_that_are_no_pictures_are_counted_not_classes(tmp_path):
    plain(tmp_path / "p")
    put(tmp_path / "p" / ".ipynb_checkpoints" / "1.png")
    put(tmp_path / "p" / "__MACOSX" / "ant" / "1.png")
    put(tmp_path / "p" / "ant" / ".ipynb_checkpoints" / "0-checkpoint.png")
    (tmp_path / "p" / "ant" / "._0.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "p" / "ant" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "p" / "bee" / "notes.txt").write_text("x")
    put(tmp_path / "p" / "loose.png")
    data = folder(tmp_path / "p")
    assert data.classes == ("ant", "bee")
    assert len(data.tables["train"]) + len(data.tables["val"]) == 20
    notes = "\n".join(data.notes)
    assert "4 hidden entries ignored" in notes
    assert "2 files ignored that are no pictures (1 .db, 1 .txt)" in notes
    assert "1 pictures ignored that lie in" in notes


def test_hidden_things_between_splits(tmp_path):
    plain(tmp_path / "train")
    plain(tmp_path / "val", count=2)
    put(tmp_path / "train" / ".ipynb_checkpoints" / "1.png")
    put(tmp_path / "val" / ".ipynb_checkpoints" / "1.png")
    put(tmp_path / ".trash" / "x" / "1.png")
    assert folder(tmp_path).classes == ("ant", "bee")


def test_a_class_called_train(tmp_path):
    plain(tmp_path, ("bus", "train"), 5)
    data = folder(tmp_path)
    assert data.classes == ("bus", "train")
    labels_are_right(data, "train", {"bus": 0, "train": 1})


def test_nested_pictures_belong_to_the_class_above(tmp_path):
    plain(tmp_path, count=5)
    put(tmp_path / "bee" / "2019" / "may" / "deep.JPG", 1)
    data = folder(tmp_path, val=0)
    assert "bee/2019/may/deep.JPG" in data.tables["train"].names
    assert np.bincount(data.tables["train"].targets).tolist() == [5, 6]


def test_links_may_be_followed_but_not_in_circles(tmp_path):
    plain(tmp_path / "p", count=5)
    put(tmp_path / "elsewhere" / "x.png", 1)
    (tmp_path / "p" / "bee" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "p" / "bee" / "again").symlink_to(tmp_path / "p" / "bee")
    (tmp_path / "p" / "ant" / "broken.png").symlink_to(tmp_path / "nowhere.png")
    data = folder(tmp_path / "p", val=0)
    assert np.bincount(data.tables["train"].targets).tolist() == [5, 6]
    assert any("1 links ignored" in note for note in data.notes)
    assert [problem.reason for problem in data.problems] == ["does not exist"]


def test_empty_class_folders(tmp_path):
    plain(tmp_path / "train", ("ant", "bee"), 5)
    (tmp_path / "train" / "cat").mkdir()
    assert folder(tmp_path).classes == ("ant", "bee")
    put(tmp_path / "val" / "cat" / "1.png")
    with pytest.raises(DataError, match="cat is unknown to training"):
        folder(tmp_path)


def test_equal_bytes_stay_on_one_side(tmp_path):
    plain(tmp_path, count=12)
    for name in ("ant", "bee"):
        for i in range(12):
            for copy in "xy":
                (tmp_path / name / f"{copy}{i}.png").write_bytes((tmp_path / name / f"{i}.png").read_bytes())
    for seed in range(3):
        data = folder(tmp_path, seed=seed, val=0.25)
        sides = [{name.split("/")[0] + name.split("/")[1].lstrip("xy") for name in data.tables[split].names} for split in ("train", "val")]
        assert not sides[0] & sides[1]
        assert (len(data.tables["train"]), len(data.tables["val"])) == (54, 18)


def test_broken_files_are_set_aside_with_reasons_and_labels_stay_right(tmp_path):
    plain(tmp_path, count=8)
    (tmp_path / "ant" / "3.png").write_bytes(b"<!doctype html>")
    (tmp_path / "bee" / "0.png").write_bytes(b"")
    data = folder(tmp_path)
    assert {problem.path.name: problem.reason.split(" (")[0] for problem in data.problems} == {"3.png": "is a web page", "0.png": "is empty"}
    assert len(data.tables["train"]) + len(data.tables["val"]) == 14
    for split in ("train", "val"):
        labels_are_right(data, split, {"ant": 0, "bee": 1})
    assert any("2 of 16 files are broken" in note for note in data.notes)


def test_a_class_with_broken_files_only(tmp_path):
    plain(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"no picture of cat could be read:\n.*is empty"):
        folder(tmp_path)


def make(root, *names):
    for name in names:
        if name.endswith("/"):
            (root / name).mkdir(parents=True)
        elif name.endswith((".png", ".jpg")):
            put(root / name)
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("x")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), "no pictures; found nothing"),
        (("a/x.txt", "b/y.txt"), "no pictures; found 2 folders with 2 .txt files"),
        (("a/", "b/"), "2 folders, all of them empty"),
        (("1.png", "2.png"), "has 2 pictures but no class folders"),
        (("1.png", "metadata.jsonl"), "labels may be in metadata.jsonl"),
        (("train/1.png", "test/2.png"), "train: has 1 pictures but no class folders"),
        (("val/a/1.png", "test/a/1.png"), "but no train folder"),
        (("a/1.png",), "one class only, a"),
        (("photos/a/1.png", "photos/b/1.png"), "Did you mean .*photos, which holds 2 folders"),
        (("train/a/1.png", "train/b/1.png", "val/a/1.png", "valid/b/1.png"), "are all the val split"),
        (("train/a/1.png", "train/b/1.png", "extra/1.png"), "extra lie beside train"),
    ],
)
def test_layouts_that_are_something_else(tmp_path, names, words):
    make(tmp_path, *names)
    with pytest.raises(DataError, match=words):
        folder(tmp_path)


def test_no_folder_and_wrong_arguments(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        folder(tmp_path / "nowhere")
    make(tmp_path, "x.txt")
    with pytest.raises(DataError, match="is a file, not a folder"):
        folder(tmp_path / "x.txt")
    for wrong in ({"size": 0}, {"channels": 2}, {"resize": "zoom"}, {"val": 1.0}, {"broken": 2.0}):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            folder(tmp_path, **wrong)
    make(tmp_path, "a/1.png", "b/1.png")
    with pytest.raises(DataError, match="val=0"):
        folder(tmp_path)


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        ([(32, 32)], (32, 32)),
        ([(28, 20)], (28, 20)),
        ([(96, 96)], (96, 96)),
        ([(300, 400)], (224, 224)),
        ([(100, 300), (110, 150)], (96, 96)),
        ([(20, 30), (40, 30)], (32, 32)),
    ],
)
def test_input_size_is_chosen_and_said(tmp_path, shapes, size):
    for i in range(6):
        for value, name in enumerate(("ant", "bee")):
            put(tmp_path / name / f"{i}.png", value, size=shapes[i % len(shapes)])
    data = folder(tmp_path)
    assert data.shape == (3, *size)
    assert any(f"input size {size[0]} x {size[1]}" in note for note in data.notes)
    batch = next(data.split("val").batches(4, epoch=0, seed=0))
    assert tuple(batch.x.shape[1:]) == (3, *size)


def test_batches_carry_the_pictures_standardised(tmp_path):
    plain(tmp_path / "train", count=6, size=(32, 32))
    plain(tmp_path / "val", count=2, size=(32, 32))
    data = folder(tmp_path)
    batch = next(data.split("val").batches(4, epoch=0, seed=0))
    raw = np.stack(data.pictures("val", range(4))).transpose(0, 3, 1, 2) / 255
    train = np.stack(data.pictures("train", range(12))).astype(float) / 255
    mean, std = train.mean((0, 1, 2)).reshape(1, 3, 1, 1), train.std((0, 1, 2)).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(batch.x.numpy(), (raw - mean) / std, atol=1e-4)
    assert batch.y.tolist() == [0, 0, 1, 1]


def test_what_is_asked_for_reaches_the_preprocessing(tmp_path):
    plain(tmp_path, count=6, size=(40, 60))
    data = folder(tmp_path, size=(24, 32), channels=1, resize="pad", background=(0, 0, 0))
    assert data.shape == (1, 24, 32)
    assert data.preprocess.resize == "pad"
    assert data.preprocess.background == (0, 0, 0)
    assert data.options == {"size": (24, 32), "channels": 1, "resize": "pad", "background": (0, 0, 0)}
    again = load(data.spec, options=json.loads(json.dumps(data.options)))
    assert again.fingerprint == data.fingerprint
    assert again.preprocess == data.preprocess
    with pytest.raises(ArgumentError, match="set already"):
        data.whitened("pca")
    batch = next(data.split("train").batches(4, epoch=0, seed=0))
    np.testing.assert_allclose(batch.x[0], data.preprocess(data.preprocess.fit(data.pictures("train", [0])[0])[None])[0], atol=1e-6)


def test_reading_a_file_for_prediction_gives_what_training_saw(tmp_path):
    for i in range(5):
        for name in ("ant", "bee"):
            put(tmp_path / name / f"{i}.jpg", size=(470 * 2, 500 * 2))
    data = folder(tmp_path, val=0)
    assert data.tables["train"].store.shapes[0].tolist() == [470, 500, 3]
    batch = next(data.split("train").batches(10, epoch=0, seed=0))
    alone = data.preprocess(data.preprocess.open(tmp_path / data.tables["train"].names[7])[None])
    np.testing.assert_allclose(batch.x[7], alone[0], atol=1e-5)


@pytest.mark.skipif(os.name == "nt" or os.uname().sysname == "Darwin", reason="file systems there keep names composed")
def test_one_class_name_spelled_in_two_ways(tmp_path):
    composed, parted = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    for i in range(4):
        put(tmp_path / "train" / composed / f"{i}.png")
        put(tmp_path / "train" / "b" / f"{i}.png")
        put(tmp_path / "val" / parted / f"{i}.png")
    data = folder(tmp_path)
    assert data.classes == ("b", "é")
    assert data.tables["val"].targets.tolist() == [1] * 4


@pytest.mark.slow
def test_five_thousand_files_open_again_within_a_second(tmp_path):
    plain(tmp_path / "p", ("ant",), 1, size=(8, 8))
    plain(tmp_path / "p", ("bee",), 1, size=(8, 8))
    for name in ("ant", "bee"):
        content = (tmp_path / "p" / name / "0.png").read_bytes()
        for i in range(1, 2500):
            (tmp_path / "p" / name / f"{i}.png").write_bytes(content)
    first = folder(tmp_path / "p", val=0)
    start = time.process_time()
    again = folder(tmp_path / "p", val=0)
    assert time.process_time() - start < 1.0
    assert again.fingerprint == first.fingerprint


@pytest.mark.data
def test_ants_and_bees():
    place = os.environ.get("STRIATE_PHOTOS")
    if not place:
        pytest.skip("STRIATE_PHOTOS is not set: no folder of real photographs with train and val")
    data = folder(place)
    assert {"train", "val"} <= set(data.splits)
    assert len(data.classes) >= 2
    batch = next(data.split("train", training=True).batches(16, epoch=0, seed=0))
    assert batch.x.shape == (len(batch), *data.shape)
    assert abs(float(batch.x.mean())) < 1


@pytest.mark.parametrize("names", [("{}.png",), ("ant/{}.png",), ("{}.png", "ant/{}.png", "bee/deep/{}.png"), ("train/{}.png", "test/{}.png")])
def test_pictures_without_labels_may_lie_anywhere(tmp_path, names):
    for name in names:
        for i in range(10):
            put(tmp_path / name.format(i), i)
    data = folder(tmp_path, labelled=False, val=0.2)
    assert sum(len(table) for table in data.tables.values()) == 10 * len(names)
    assert data.classes == ()
    assert all(table.targets is None for table in data.tables.values())
    assert "test" in data.splits or "test" not in names[-1]
    again = load(data.spec, options=data.options)
    assert again.fingerprint == data.fingerprint
    assert not any("outside the class folders" in note for note in data.notes)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        folder(tmp_path / "empty", labelled=False)


def test_a_size_that_is_not_the_file_s_own_is_told(tmp_path):
    for name in ("ant", "bee"):
        for i in range(2):
            put(tmp_path / name / f"{i}.png", size=(900, 960))
    assert any("900" not in note and "read at 1/2" in note for note in folder(tmp_path, val=0).notes)
