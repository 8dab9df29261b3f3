"""The harness: order, answers, limits, scaling, the table; and, slow, a short kill series that really kills."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness
import mnist
import table


@pytest.fixture
def result(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    return harness.Result("example", "An example", {"rounds": 2})


def script(folder, text):
    path = folder / "job.py"
    path.write_text(text)
    return path


def test_jobs_alternate_and_each_is_a_process_of_its_own(tmp_path):
    log = tmp_path / "log"
    job = script(tmp_path, f'import os, sys\nopen({str(log)!r}, "a").write(sys.argv[1])\nprint("noise")\nprint(\'@@ {{"pid": %d}}\' % os.getpid())\n')
    answers = harness.alternate(3, lambda _: [harness.Job(who, job, (who,)) for who in "AB"])
    assert log.read_text() == "ABABAB"
    pids = [answer["pid"] for given in answers.values() for answer in given]
    assert len(set(pids)) == 6
    assert os.getpid() not in pids


@pytest.mark.parametrize(("text", "said"), [("raise SystemExit('out of luck')", "out of luck"), ("print('no answer')", "no answer")])
def test_a_job_that_fails_or_says_nothing_is_an_error_with_its_output(tmp_path, text, said):
    with pytest.raises(harness.BenchError, match=said):
        harness.Job("unlucky", script(tmp_path, text)).run()


def test_a_limit_in_seconds_is_scaled_by_the_ceiling_and_a_ratio_is_not(result):
    result.saw_ceilings([{"convolution_bf16": 400.0}, {"convolution_bf16": 550.0, "process_seconds": 3}])  # half the reference's 1,100
    result.row("until it is good", [11.0, 9.0, 13.0], "s", limit=6, scaled="convolution_bf16")
    result.ratio("faster", [8.0, 10.0, 9.0], [2.0, 2.0, 3.0], limit=4)
    until, faster = result.rows
    assert (until["median"], until["limit_here"], until["holds"]) == (11.0, 12.0, True)
    assert (faster["values"], faster["median"], faster["holds"]) == ([4.0, 5.0, 3.0], 4.0, True)
    assert not result.row("x", [3.9], "times", limit=4, at_least=True) >= 4
    assert result.rows[-1]["holds"] is False


def test_a_mean_counts_where_a_mean_is_promised(result):
    assert result.row("error", [0.7, 0.7, 1.0], "%", limit=0.75, by="mean") == 0.8
    assert result.rows[0]["holds"] is False


def test_nothing_measured_is_an_error(result):
    with pytest.raises(harness.BenchError, match="nothing was measured"):
        result.row("a figure", [], "s")


def test_results_become_one_table(result, tmp_path):
    result.saw_ceilings([{"matrix_bf16": 891.0, "copy": 42.0}])
    result.row("a | b", [0.04213, 0.05], "s", limit=0.01)
    result.row("rate", [12345.6], "pictures/s")
    result.note("Said once.")
    result.save()
    saved = json.loads((tmp_path / "example.json").read_text(encoding="utf-8"))
    assert saved["rows"][0]["values"] == [0.04213, 0.05]
    assert {"machine", "versions", "command", "date", "ceilings"} <= set(saved)
    text = table.page(table.results(tmp_path))
    assert "| [An example](../bench/results/example.json) | a \\| b | **0.0461** s [0.0421 to 0.05] | ≤ 0.01 ✗ missed |" in text
    assert "|  | rate | **12,300** pictures/s (once) |  |" in text
    assert "matrix bf16 891 GFLOP/s; copy 42 GiB/s" in text
    assert "- Said once." in text


def test_a_result_of_another_format_is_refused(tmp_path):
    (tmp_path / "old.json").write_text('{"format": 0, "command": "python bench/old.py"}')
    with pytest.raises(harness.BenchError, match=r"bench/old\.py"):
        table.results(tmp_path)


def test_no_results_give_a_page_that_says_so(tmp_path):
    assert "Nothing has been measured yet" in table.page(table.results(tmp_path))


def test_sooner_compares_the_shortest_fixed_lengths_that_reach_the_goal(result):
    plain = [
        {"epoch_seconds": [7.0, 7.0, 7.0], "errors": [0.02, 0.0084, 0.0080]},
        {"epoch_seconds": [9.0, 7.0, 8.0], "errors": [0.02, 0.0078, 0.0082]},
    ]
    ours = {
        1.0: [{"epoch_seconds": 1.0, "seconds": 1.0, "error": e} for e in (0.0080, 0.0090)],  # one seed is not the mean
        2.0: [{"epoch_seconds": 1.0, "seconds": 2.0, "error": e} for e in (0.0080, 0.0084)],
        4.0: [{"epoch_seconds": 1.0, "seconds": 4.0, "error": e} for e in (0.0070, 0.0070)],
    }
    mnist.compare(result, "lenet5", plain, ours)
    rows = {row["what"]: row for row in result.rows}
    assert rows["striate until 0.82 % mean test error (2 epochs)"]["median"] == 2.0
    assert rows["plain loop, until 0.82 % (2 epochs)"]["values"] == [14.0, 16.0]
    assert rows["0.82 % test error: striate is sooner"]["median"] == 7.5
    assert rows["0.82 % test error: striate is sooner"]["holds"]
    assert not rows["striate: no length tried reaches 0.6 %; the best mean"]["holds"]


@pytest.mark.slow
def test_a_short_kill_series_ends_with_the_undisturbed_bits(tmp_path):
    command = [sys.executable, str(Path(harness.HERE) / "kill.py"), "--kills", "4", "--epochs", "4"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "STRIATE_BENCH_RESULTS": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "kill.json").read_text(encoding="utf-8"))["raw"]
    assert found["counts"]["kills"] == 4
    assert found["counts"]["identical"] == found["counts"]["runs"]


def test_the_command_names_files_elsewhere_without_their_folders(monkeypatch, tmp_path):
    monkeypatch.setattr(harness.sys, "argv", [str(harness.ROOT / "bench" / "zoo.py"), "--weights", str(tmp_path / "net.pth"), "--rounds", "2"])
    assert harness.command() == "python bench/zoo.py --weights net.pth --rounds 2"


def test_no_kept_result_names_a_folder_of_one_machine():
    kept = sorted((harness.ROOT / "bench" / "results").glob("*.json"))
    assert kept
    told = {path.name: json.loads(path.read_text(encoding="utf-8"))["command"].split() for path in kept}
    assert not {name: words for name, words in told.items() if any(word.startswith("/") for word in words)}
