from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from striate.core.errors import ArgumentError, StorageError
from striate.core.storage import lock
from striate.reports.stored import stored


def edited(folder, **changes):
    facts = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(facts | changes))
    return folder


def test_a_whole_run(run_folder):
    run = stored(run_folder)
    assert run.problems == []
    assert (run.name, run.state, run.model, run.data_name) == ("digits-lenet5-1", "finished", "lenet5", "digits")
    assert (run.split, run.parameters, run.epochs) == ("test", 61706, 12)
    assert run.seconds == pytest.approx(3.72)
    wrong = (run.predictions["test"].shares.argmax(1) != run.predictions["test"].targets).mean()
    assert run.figures("test")["error"] == pytest.approx(wrong)


def test_a_run_is_a_path_its_json_or_anything_with_a_folder(run_folder):
    for given in (str(run_folder), run_folder / "run.json", SimpleNamespace(folder=run_folder)):
        assert stored(given).folder == run_folder
    with pytest.raises(ArgumentError, match="run: got int"):
        stored(3)
    with pytest.raises(StorageError, match=r"no such folder"):
        stored(run_folder / "elsewhere")
    with pytest.raises(StorageError, match="newer than the format"):
        stored(edited(run_folder, format=9))


def test_a_torn_history_loses_only_its_torn_line(run_folder):
    with (run_folder / "history.jsonl").open("a") as stream:
        stream.write('{"epoch": 13, "train/lo')
    run = stored(run_folder)
    assert run.epochs == 12
    assert run.problems == ["history.jsonl: 1 line could not be read."]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shares": np.full((360, 3), 0.3)}, "shares have 3 columns, the run has 10 classes"),
        ({"shares": np.full((360, 10), np.nan)}, "360 of 360 rows hold NaN"),
        ({"targets": np.full(360, 12)}, "targets reach 12"),
        ({"targets": np.zeros(360)}, "targets are float64"),
        ({"index": np.arange(5)}, r"index has shape \(5,\)"),
    ],
)
def test_unusable_predictions_are_named_and_left_out(run_folder, change, words):
    path = run_folder / "predictions" / "test.npz"
    with np.load(path) as arrays:
        kept = dict(arrays)
    np.savez(path, **(kept | change))
    run = stored(run_folder)
    assert not run.predictions
    with pytest.raises(AssertionError, match=words):
        assert run.problems == []


def test_broken_files_are_named(run_folder):
    (run_folder / "predictions" / "test.npz").write_bytes(b"PK not a zip")
    (run_folder / "result.json").write_text("{")
    (run_folder / "data.json").write_text("[1]")
    run = stored(run_folder)
    assert sorted(problem.split()[0] for problem in run.problems) == ["data.json", "predictions/test.npz", "result.json"]
    assert run.check is None


def test_a_killed_run_is_told_from_one_at_work(run_folder):
    edited(run_folder, state="running")
    assert stored(run_folder).state == "killed"
    with lock(run_folder / ".lock"):
        assert stored(run_folder).state == "running"
    assert stored(run_folder).state == "killed"


def test_unlabelled_predictions_have_no_targets(tmp_path, make_run, made_up):
    shares, _ = made_up(10, 30)
    folder = make_run(tmp_path / "run", shares=shares, targets=None)
    assert stored(folder).predictions["test"].targets is None
    np.savez(folder / "predictions" / "test.npz", shares=shares, targets=np.full(30, -1), index=np.arange(30))
    assert stored(folder).predictions["test"].targets is None
