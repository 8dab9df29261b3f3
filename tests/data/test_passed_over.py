"""What lies in a folder of class folders and is no picture of theirs: passed over, counted and said."""

from __future__ import annotations

import os

import pytest
from class_folders import labels_are_right, plain, put

from striate.data.sources.folder import folder


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_folders_without_a_picture_are_counted_and_named(tmp_path):
    plain(tmp_path / "p")
    (tmp_path / "p" / "Empty").mkdir()
    (tmp_path / "p" / "hidden" / "deeper").mkdir(parents=True)
    put(tmp_path / "p" / "hidden" / "deeper" / ".1.png")
    (tmp_path / "p" / "notes").mkdir()
    (tmp_path / "p" / "notes" / "read.me").touch()
    data = folder(tmp_path / "p")
    assert data.classes == ("ant", "bee")
    assert data.empty_folders == ("Empty", "hidden", "notes")
    assert "3 class folders hold no picture and became no class: Empty, hidden, notes" in data.notes
    assert data.with_preprocess(data.preprocess).empty_folders == data.empty_folders
    assert folder(tmp_path / "p", labelled=False).empty_folders == ()


def test_folders_without_a_picture_are_named_with_their_split(tmp_path):
    for split in ("train", "val"):
        plain(tmp_path / "p" / split, count=4)
    (tmp_path / "p" / "val" / "cat").mkdir()
    (tmp_path / "p" / "val" / "ant").rename(tmp_path / "ant")
    (tmp_path / "p" / "val" / "ant").mkdir()
    data = folder(tmp_path / "p")
    assert data.empty_folders == ("val/cat",)
    assert "1 class folder holds no picture and became no class: val/cat" in data.notes
    assert "val has no picture of ant" in data.notes


def test_links_do_not_bring_one_class_into_another(tmp_path):
    plain(tmp_path, count=10)
    (tmp_path / "bee" / "loop").symlink_to("..")
    (tmp_path / "bee" / "others").symlink_to(tmp_path / "ant")
    data = folder(tmp_path, val=0)
    assert data.class_counts().tolist() == [10, 10]
    labels_are_right(data, "train", {"ant": 0, "bee": 1})
    assert any(note.startswith("2 links ignored that lead to a folder already read") for note in data.notes)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in its file system")
def test_a_pipe_is_passed_over_not_waited_for(tmp_path):
    plain(tmp_path, count=10)
    os.mkfifo(tmp_path / "ant" / "pipe.png")
    data = folder(tmp_path, val=0)
    assert data.class_counts().tolist() == [10, 10]
    assert "1 files ignored that are no pictures (1 no file)" in data.notes
