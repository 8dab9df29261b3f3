"""The front door: a whole run from pretrained weights, chosen on training pictures only; one clear error for each thing that is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import striate as st
from striate.core.errors import ArgumentError, DataError, StorageError, UnknownNameError
from striate.core.tensors import load_tensors
from striate.data import arrays
from striate.training import Run, evaluate
from striate.training.session import Quiet
from striate.transfer import advise, fine_tune

NAMES = ("red", "green", "blue")


class Notes(Quiet):
    """Keeps what is told."""

    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)


def same_weights(first, second):
    one, two = (load_tensors(run.folder / "weights.safetensors")[0] for run in (first, second))
    return all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("strategy", ["auto", "linear", "svm"])
def test_a_head_on_frozen_codes_is_a_whole_run(blobs, weights, tmp_path, strategy):
    run = fine_tune("resnet20", blobs, weights=weights, strategy=strategy, folder=tmp_path / "run", precision="fp32", seed=1)
    assert run.state == "finished"
    assert run.result["splits"]["val"]["error"] < 0.2  # the classes differ by colour and place
    loaded = Run.load(tmp_path / "run")
    assert run.facts["model"]["name"] == "resnet20+codes"
    assert loaded.preprocess.size == (16, 16)
    again = evaluate(loaded, blobs, split="test", views=loaded.recipe.views, precision="fp32")
    stored = np.load(tmp_path / "run" / "predictions" / "test.npz")
    np.testing.assert_allclose(again.shares, stored["shares"], atol=2e-4)
    assert again.figures["error"] == run.result["splits"]["test"]["error"]
    found = run.facts["transfer"]["calibration"]["test"]
    assert found["loss_after"] == pytest.approx(run.result["splits"]["test"]["loss"], rel=1e-4)
    assert json.dumps(run.facts["transfer"])
    if strategy == "auto":
        page = st.report(run).read_text()
        assert "pretrained weights" in page
        assert "temperature" in page


def test_what_is_held_out_decides_nothing(blobs, weights, tmp_path):
    train = blobs.tables["train"]
    x, y = np.asarray(train.store.pixels), train.targets
    other = arrays(x, y, val=(255 - pictures_of(blobs, "val"), blobs.tables["val"].targets[::-1].copy()), classes=NAMES)
    first = fine_tune("resnet20", blobs, weights=weights, at=("layer3",), folder=tmp_path / "a")
    second = fine_tune("resnet20", other, weights=weights, at=("layer3",), folder=tmp_path / "b")
    assert same_weights(first, second)
    assert first.facts["transfer"]["temperature"] == second.facts["transfer"]["temperature"]


def pictures_of(data, split):
    return np.asarray(data.tables[split].store.pixels)


def test_fine_tuning_starts_from_the_fitted_head_and_trains_the_last_layers(blobs, weights, tmp_path):
    edits = {"epochs": 1, "batch": 16}
    run = fine_tune("resnet20", blobs, weights=weights, strategy="finetune", folder=tmp_path / "run", settings_of_recipe=edits, precision="fp32")
    assert run.state == "finished"
    assert run.facts["model"]["name"] == "resnet20"
    assert run.recipe.freeze == "layer2"
    before, after = load_tensors(weights)[0], load_tensors(tmp_path / "run" / "weights.safetensors")[0]
    assert all(torch.equal(after[name], before[name]) for name in after if name.startswith(("conv1", "bn1", "layer1", "layer2")))
    assert not torch.equal(after["layer3.0.conv1.weight"], before["layer3.0.conv1.weight"])
    transfer = run.facts["transfer"]
    assert transfer["strategy"] == transfer["asked"] == "finetune"
    assert transfer["held"] == 9
    again = evaluate(Run.load(tmp_path / "run"), blobs, split="test", views=run.recipe.views, precision="fp32")
    assert again.figures["loss"] == pytest.approx(run.result["splits"]["test"]["loss"], rel=1e-3)
    assert transfer["calibration"]["test"]["loss_after"] == pytest.approx(run.result["splits"]["test"]["loss"], rel=1e-3)


def test_scratch_forgets_the_weights(blobs, weights, tmp_path):
    run = fine_tune("resnet20", blobs, strategy="scratch", folder=tmp_path / "run", settings_of_recipe={"epochs": 1})
    assert run.state == "finished"
    before, after = load_tensors(weights)[0], load_tensors(tmp_path / "run" / "weights.safetensors")[0]
    assert abs(after["conv1.weight"] - before["conv1.weight"]).max() > 0.05


def test_a_network_given_whole_is_left_as_it_is(small, blobs, tmp_path):
    before = {name: value.clone() for name, value in small.state_dict().items()}
    run = fine_tune(small, blobs, at=("layer2", "layer3"), folder=tmp_path / "run")
    assert set(run.facts["transfer"]["choice"]["at"]) <= {"layer2", "layer3"}
    assert all(torch.equal(value, before[name]) for name, value in small.state_dict().items())
    with pytest.raises(ArgumentError, match="weights: the network is built already"):
        fine_tune(small, blobs, weights="x.pth")


def test_the_words_that_do_the_same_are_kept(blobs, weights, tmp_path):
    run = fine_tune("resnet20", blobs, weights=weights, strategy="linear", folder=tmp_path / "run", seed=4)
    assert run.facts["python"].startswith("st.fine_tune('resnet20', data, weights=")
    assert "strategy='linear'" in run.facts["python"]
    assert run.facts["command"] is None  # the data came as arrays


def test_advice_has_an_answer_reasons_and_numbers(blobs, weights):
    found = advise(blobs, "resnet20", weights=weights)
    assert found.strategy in ("linear", "finetune", "scratch")
    told = json.loads(json.dumps(found.to_json()))
    assert [row["at"] for row in told["depths"]] == ["relu", "layer1", "layer2", "layer3"]
    assert told["numbers"]["pictures"] == 60
    assert told["numbers"]["smallest class"] == 20
    assert "Advice: " in str(found)
    assert "layer3: error" in str(found)


def test_unbalanced_classes_weigh_the_same(weights, tmp_path):
    x, y = pictures(60)
    keep = np.flatnonzero((y > 0) | (np.arange(60) < 12))
    run = fine_tune("resnet20", arrays(x[keep], y[keep], classes=NAMES), weights=weights, at=("layer3",), strategy="linear", folder=tmp_path / "run")
    assert run.recipe.class_weights
    even = fine_tune("resnet20", arrays(x, y, classes=NAMES), weights=weights, at=("layer3",), strategy="linear", folder=tmp_path / "even")
    assert not even.recipe.class_weights


def pictures(count):
    generator = np.random.default_rng(0)
    y = np.arange(count) % 3
    return (generator.integers(0, 200, (count, 3, 16, 16)) + 20 * y[:, None, None, None]).astype(np.uint8), y


def test_bad_input_is_one_clear_error_each(weights, tmp_path):
    x, y = pictures(30)

    def tried(x, y, **more):
        return fine_tune("resnet20", arrays(x, y, classes=NAMES, **more), weights=weights, folder=tmp_path / "run")

    with pytest.raises(DataError, match="all 30 pictures are of one class, red"):
        tried(x, np.zeros(30, int))
    with pytest.raises(DataError, match="one picture only of red"):
        tried(x[2:], np.where(np.arange(28) == 1, 0, 1 + np.arange(28) % 2))
    with pytest.raises(DataError, match="no picture of blue"):
        tried(x, y % 2)
    with pytest.raises(DataError, match="no labels"):
        fine_tune("resnet20", arrays(x), weights=weights)
    with pytest.raises(UnknownNameError, match=r"unknown layer 'layr3'. Did you mean layer3"):
        fine_tune("resnet20", arrays(x, y, classes=NAMES), weights=weights, at=("layr3",))
    with pytest.raises(UnknownNameError, match=r"unknown strategy 'liner'. Did you mean linear"):
        fine_tune("resnet20", arrays(x, y, classes=NAMES), weights=weights, strategy="liner")
    with pytest.raises(StorageError, match=r"no pretrained weights here, and none were named\. Give weights=PATH .*published.*scratch"):
        fine_tune("resnet20", arrays(x, y, classes=NAMES))
    with pytest.raises(StorageError, match=r"no such file.* Did you mean small.safetensors"):
        fine_tune("resnet20", arrays(x, y, classes=NAMES), weights=weights.with_name("smal.safetensors"))
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_class_missing_from_a_split_is_said(weights, tmp_path):
    x, y = pictures(30)
    notes = Notes()
    data = arrays(x, y, val=(x[y < 2], y[y < 2]), classes=NAMES)
    fine_tune("resnet20", data, weights=weights, at=("layer3",), strategy="linear", folder=tmp_path / "run", progress=notes)
    assert any("val has no picture of blue" in text for text in notes.said)


@pytest.mark.parametrize("strategy", ["linear", "scratch"])
def test_a_size_asked_for_is_the_size_taken(small, blobs, weights, tmp_path, strategy):
    model, short = (small, None) if strategy == "linear" else ("resnet20", {"epochs": 0.1})
    run = fine_tune(model, blobs, strategy=strategy, size=24, folder=tmp_path / "run", settings_of_recipe=short)
    assert tuple(run.preprocess.size) == (24, 24)
