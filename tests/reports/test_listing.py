from __future__ import annotations

import json

from striate.reports import runs_in


def test_runs_in_a_folder_with_broken_ones(tmp_path, make_run):
    make_run(tmp_path / "b")
    second = make_run(tmp_path / "a", state="stopped", epochs=3)
    facts = json.loads((second / "run.json").read_text())
    (second / "run.json").write_text(json.dumps(facts | {"created": "2026-04-01T00:00:00+00:00"}))
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "run.json").write_text('{"format": 1')
    (tmp_path / "headless").mkdir()
    (tmp_path / "headless" / "last.safetensors").write_bytes(b"")
    (tmp_path / "photos").mkdir()
    (tmp_path / "notes.txt").write_text("not a run")
    found = runs_in(tmp_path)
    assert [run.name for run in found] == ["b", "a", "headless", "torn"]
    whole, stopped, headless, torn = found
    assert (whole.state, whole.split, whole.n, whole.error, whole.parameters) == ("finished", "test", 360, 16 / 360, 61706)
    assert (stopped.state, stopped.split, stopped.epochs, stopped.n) == ("stopped", "val", 3, 144)
    last = json.loads((second / "history.jsonl").read_text().splitlines()[-1])
    assert stopped.error == last["val/error"]
    assert headless.state == torn.state == "broken"
    assert "run.json: no such file" in headless.problem
    assert "not valid JSON" in torn.problem
    assert json.dumps([run.to_json() for run in found])


def test_no_folder_no_runs(tmp_path):
    assert runs_in(tmp_path / "runs") == []
    assert runs_in(tmp_path) == []


def test_a_run_itself(run_folder):
    assert [run.name for run in runs_in(run_folder)] == ["digits-lenet5-1"]


def test_a_run_before_its_first_epoch(tmp_path, make_run):
    make_run(tmp_path / "young", state="running", epochs=0)
    (young,) = runs_in(tmp_path)
    assert (young.state, young.error, young.epochs, young.seconds) == ("killed", None, None, None)
