from __future__ import annotations

import json
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy.stats import binomtest

from striate.core.errors import ArgumentError, StorageError
from striate.reports import compare
from striate.reports.comparison import Pair


@pytest.fixture
def two(tmp_path, make_run):
    return make_run(tmp_path / "good"), make_run(tmp_path / "noisy", noise=4.0, seed=1, model="resnet20")


def predictions(folder):
    with np.load(folder / "predictions" / "test.npz") as arrays:
        return dict(arrays)


def test_paired_difference_counted_by_hand(two):
    compared = compare(two)
    first, second = (predictions(folder) for folder in two)
    one, other = (p["shares"].argmax(1) != p["targets"] for p in (first, second))
    (pair,) = compared.pairs
    assert (pair.only_first, pair.only_second) == (int((one & ~other).sum()), int((other & ~one).sum()))
    assert pair.difference == pytest.approx(one.mean() - other.mean())
    assert pair.p == pytest.approx(binomtest(pair.only_first, pair.only_first + pair.only_second).pvalue)
    assert compared.title == f"good has the lower test error, by {abs(one.mean() - other.mean()) * 100:.2f} points"


def test_samples_are_paired_by_index_not_by_row(two):
    expected = compare(two).pairs
    arrays = predictions(two[1])
    order = np.random.default_rng(0).permutation(len(arrays["index"]))
    np.savez(two[1] / "predictions" / "test.npz", **{name: values[order] for name, values in arrays.items()})
    assert compare(two).pairs == expected


def test_equal_runs_cannot_be_told_apart(tmp_path, make_run):
    compared = compare([make_run(tmp_path / "a"), make_run(tmp_path / "b")])
    assert compared.pairs[0].p == 1
    assert "cannot be told apart" in compared.title


def test_the_table_is_aligned(two):
    lines = str(compare(two)).splitlines()
    assert lines[0].split() == ["run", "model", "data", "parameters", "epochs", "time", "val", "error", "error", "95", "%", "interval", "on"]
    assert lines[1].index("LeNet-5") == lines[2].index("ResNet-20") == lines[0].index("model")
    assert lines[1].index("61,706") == lines[2].index("61,706")
    assert "2.8–7.1 %" in lines[1]
    assert len(lines[1]) == len(lines[2])


def change_data(folder, **changes):
    facts = json.loads((folder / "run.json").read_text())
    facts["data"] |= changes
    (folder / "run.json").write_text(json.dumps(facts))


@pytest.mark.parametrize("changes", [{"fingerprint": "other", "spec": "elsewhere/"}, {"fingerprints": {"test": "other"}}])
def test_other_data_is_said(two, changes):
    change_data(two[0], fingerprints={"test": "one"})
    change_data(two[1], **changes)
    compared = compare(two)
    assert compared.pairs == []
    assert compared.notes == ["No paired test of good and noisy: they were not measured on the same data, so their errors do not compare."]


@pytest.mark.parametrize("changes", [{"fingerprint": "other"}, {"fingerprint": "other", "spec": "moved/", "fingerprints": {"test": "one"}}])
def test_another_validation_part_leaves_the_test_part_comparable(two, changes):
    expected = compare(two).pairs
    if "fingerprints" in changes:
        change_data(two[0], fingerprints={"test": "one"})
    change_data(two[1], **changes)
    compared = compare(two)
    assert compared.pairs == expected
    assert "read the same 360 test samples" in compared.notes[0]


def test_other_samples_other_labels_or_none(two):
    arrays = predictions(two[1])
    np.savez(two[1] / "predictions" / "test.npz", **(arrays | {"index": arrays["index"] + 1}))
    assert "hold different samples" in compare(two).notes[0]
    np.savez(two[1] / "predictions" / "test.npz", shares=arrays["shares"], index=arrays["index"])
    assert "has no labels" in compare(two).notes[0]
    (two[1] / "predictions" / "test.npz").unlink()
    assert "no held-out part that both have predictions for" in compare(two).notes[0]


def test_stopped_runs_join_in(tmp_path, make_run):
    compared = compare([make_run(tmp_path / "whole"), make_run(tmp_path / "stopped", state="stopped", epochs=2)])
    assert [(row.split, row.n) for row in compared.rows] == [("test", 360), ("val", 144)]
    assert compared.title == "2 runs, of which only whole has a test error: 4.4\u202f%"
    assert "stopped (stopped)" in str(compared)


def test_three_runs(two, tmp_path, make_run):
    compared = compare([two[1], two[0], make_run(tmp_path / "third", noise=6.0)])
    assert [(pair.first, pair.second) for pair in compared.pairs] == [("noisy", "good"), ("noisy", "third")]
    assert compared.title == "good has the lowest test error of 3 runs: 4.4\u202f%"
    assert "The 2 p-values are not corrected for testing several times." in compared.notes


def test_json_and_page(two):
    compared = compare(two)
    assert json.loads(json.dumps(compared.to_json()))["pairs"][0]["first"] == "good"
    page = compared.html()
    Strict().feed(page)
    assert "validation error" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_runs_of_one_name_are_told_apart(tmp_path, make_run):
    compared = compare([make_run(tmp_path / "x", name="same"), make_run(tmp_path / "y", name="same")])
    assert len({row.name for row in compared.rows}) == 2


def test_bad_arguments(two, tmp_path):
    with pytest.raises(ArgumentError, match="expected two or more"):
        compare([two[0]])
    with pytest.raises(ArgumentError, match="expected two or more"):
        compare(str(two[0]))
    with pytest.raises(StorageError, match="no such folder"):
        compare([two[0], tmp_path / "gone"])


class Strict(HTMLParser):
    """Every element that is opened is closed, in order."""

    void = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_names_with_brackets_and_hyphens_stay_whole():
    pair = Pair("vgg (2)", "vgg-16", "test", 1000, 10, 90, -0.08, -0.1, -0.06, 1e-9)
    assert pair.headline == "vgg (2) has the lower test error, by 8.00 points"
    assert str(pair).startswith(f"{pair.headline} (")


def test_names_on_the_page_can_be_copied(run_folder, make_run, no_drawing):
    first, second = make_run(run_folder / "digits-lenet5-1"), make_run(run_folder / "digits-lenet5-2")
    page = compare([first, second]).html()
    assert "digits-lenet5-1" in page
    assert "digits\u2011lenet5" not in page
