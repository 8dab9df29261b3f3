"""Commands on what people have: folders without a test part, folders without classes, runs that name no classes."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from striate import autoencode
from striate.cli import main
from striate.training import train


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two class folders of noise: nothing to learn, so there are errors."""
    root = tmp_path_factory.mktemp("data") / "photos"
    generator = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (root / name).mkdir(parents=True)
        for i in range(20):
            Image.fromarray(generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(root / name / f"{i}.png")
    return root


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def run(photos, tmp_path):
    train("resnet20", str(photos), folder=tmp_path / "photos-run", epochs=1, batch=16, seed=0, device="cpu", precision="fp32")
    return tmp_path / "photos-run"


def test_val_is_taken_where_there_is_no_test_part_and_said(run, capsys):
    assert main(["evaluate", str(run), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["split"] == "val"
    assert "photos has no test part: its validation part (val) is taken" in err
    assert main(["explain", str(run), "--errors", "--method", "saliency", "--count", "1"]) == 0
    out, err = capsys.readouterr()
    assert "The worst errors of photos-run" in out
    assert "its validation part (val) is taken" in err
    assert main(["explain", str(run), "--errors", "--method", "saliency", "--count", "3", "--json"]) == 0
    names = json.loads(capsys.readouterr().out)["methods"]["saliency"]["names"]
    assert all(re.fullmatch(r"(ant|bee) \(\d+\.png\)", name) for name in names), "the files' names, not their places in the split"
    assert main(["evaluate", str(run), "--split", "tset"]) == 2
    assert "unknown split 'tset'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["flat", "one class"])
def test_pictures_without_classes_are_autoencoded(photos, tmp_path, capsys, kind):
    folder = photos / "ant"
    if kind == "one class":
        (tmp_path / "one").mkdir()
        (tmp_path / "one" / "ant").symlink_to(folder)
        folder = tmp_path / "one"
    assert main(["autoencode", str(folder), "--code", "2", "--epochs", "1", "--folder", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["code"] == 2
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["data"]["splits"] == {"train": 16, "val": 4}
    assert facts["data"]["options"] == {"labelled": False}


def test_what_needs_classes_is_refused_for_an_autoencoder(photos, tmp_path, capsys):
    folder, large = tmp_path / "auto", str(tmp_path / "large.png")
    Image.new("RGB", (48, 48), (90, 120, 200)).save(large)
    autoencode.train(None, "digits", options={"code": 2}, epochs=0.05, folder=folder, device="cpu")
    for words, told in (
        (["predict", str(folder), str(photos / "ant")], "names no classes, so there is nothing to predict"),
        (["evaluate", str(folder), "--robustness"], "names no classes, so --robustness has no errors to count"),
        (["explain", str(folder), "--errors"], "names no classes, so it makes no errors to explain"),
        (["explain", str(folder), str(photos / "ant")], "names no classes, so there is no class score to explain"),
        (["fool", str(folder), str(photos / "ant")], "names no classes, so there is no class score to explain"),
        (["dream", str(folder), large], "takes pictures of one size only (1×16×16), and a dream needs a layer that sees them at several"),
        (["dream", str(folder), large, "--layer", "encoder.code"], "does not take pictures of shape 1×48×48; it learned on 1×16×16"),
    ):
        assert main(words) == 2
        assert told in capsys.readouterr().err
    assert main(["evaluate", str(folder)]) == 0


@pytest.mark.parametrize("kind", ["flat", "one class"])
def test_a_folder_of_pictures_alone_is_mapped_whole(run, photos, tmp_path, capsys, kind):
    """No label is needed for a place on the map, nor to be alike: all twenty pictures are there, and no label is told."""
    flat = str(photos / "ant")
    if kind == "one class":
        (tmp_path / "one").mkdir()
        (tmp_path / "one" / "ant").symlink_to(photos / "ant")
        flat = str(tmp_path / "one")
    assert main(["map", str(run), flat, "--by", "pca", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["points"]) == 20
    assert "labels" not in told
    assert main(["neighbours", str(run), flat, "--set", "queries=2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["receipts"]["samples"] == 20
    assert main(["map", str(run), str(photos), "--by", "pca", "--json"]) == 0
    assert "labels" in json.loads(capsys.readouterr().out), "class folders still name classes"
