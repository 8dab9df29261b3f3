"""The kill series: SIGKILL at random moments of a short training, inside saving too; every run must end with the bits of the undisturbed one.

    python bench/kill.py                 # 50 kills, about 5 minutes on two cores; writes bench/results/kill.json
    OMP_NUM_THREADS=1 python bench/kill.py     # where other programs share the cores: waiting for a second thread would take most of the time

A training of LeNet-5 on the digits saves every 0.05 s. An attempt (train, then resume) is killed after a delay drawn uniformly between nothing and
the undisturbed run's length; some instead (`--aimed`) wait after a shorter delay for a file that is just being written, and die within the writing.
A run that outlives its attempt's delay is finished and compared: the bytes of weights.safetensors, the history but for seconds and rate, the result
but for its times, the predictions. Then the next run begins, until all kills are spent; the last run is let finish.

Attempts are forked from a parent that has imported all a training imports but has computed nothing, so that no thread pool is running; one
undisturbed run in a fresh process must give the same bits as a forked one. Needs a system with fork.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch  # noqa: F401 - imported before forking, so that attempts need not

from harness import Result, say
from striate.core.tensors import load_tensors
from striate.training import resume, train

IMPORTED = ("striate", "torch", "sklearn", "scipy", "numpy", "joblib", "PIL", "safetensors", "filelock", "csv", "multiprocessing", "concurrent")
"""Packages whose modules the parent imports before it forks, as a fresh training did."""
TIMES = ("seconds", "rate", "wall")


def begin(folder: Path, epochs: float, save_seconds: float) -> None:
    """Train from the start."""
    train("lenet5", "digits", epochs=epochs, batch=32, seed=7, save_seconds=save_seconds, folder=folder)


def forked(action: Callable[[], object], log: Path) -> int:
    """Run `action` in a forked child whose output goes to `log`; return the child's number at once."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.setpgid(0, 0)
        with log.open("a", encoding="utf-8") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
            try:
                action()
                status = 0
            except BaseException:  # noqa: BLE001 - a child must never come back into the parent's code
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        os._exit(status)


def outcome(folder: Path) -> dict[str, Any]:
    """Return what must be equal between two runs."""
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    predictions = hashlib.sha256()
    for path in sorted((folder / "predictions").glob("*.npz")):
        with np.load(path) as arrays:
            for name in sorted(arrays):
                predictions.update(name.encode() + arrays[name].tobytes())
    return {
        "weights": hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest(),
        "history": [{key: value for key, value in row.items() if key not in TIMES} for row in rows],
        "result": {key: value for key, value in result.items() if key not in TIMES},
        "predictions": predictions.hexdigest(),
        "state": json.loads((folder / "run.json").read_text(encoding="utf-8"))["state"],
    }


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return the names of what differs."""
    return [name for name in one if one[name] != other[name]]


def moment(folder: Path) -> str:
    """Say where in its life a killed run was, from what lies in its folder."""
    writing = sorted({path.name.split(".")[1] for path in folder.glob(".*.tmp")})
    if writing:
        return f"while writing {' and '.join(writing)}"
    if not (folder / "run.json").exists():
        return "before the run's folder was valid"
    if (folder / "result.json").exists():
        return "after the result was written"
    if (folder / "weights.safetensors").exists():
        return "in the last evaluation"
    if not (folder / "last.safetensors").exists():
        return "before the first checkpoint"
    rows = len((folder / "history.jsonl").read_text(encoding="utf-8").splitlines()) if (folder / "history.jsonl").exists() else 0
    kept = load_tensors(folder / "last.safetensors")[1]["position"]["rows"]
    return "between the history's row and its checkpoint" if rows > kept else "while training"


def saved_step(folder: Path) -> int:
    """Return how far the run's checkpoint has come; 0 where there is none."""
    path = folder / "last.safetensors"
    return int(load_tensors(path)[1]["position"]["step"]) if path.exists() else 0


def attempt(folder: Path, asked: argparse.Namespace, log: Path, delay: float | None, *, aimed: bool = False) -> tuple[bool, str]:
    """Train or resume once; kill it after `delay` seconds (None: never). Returns whether it was killed, and what went wrong if anything did."""
    fresh = not (folder / "run.json").exists()
    child = forked((lambda: begin(folder, asked.epochs, asked.save_seconds)) if fresh else (lambda: resume(folder)), log)
    ends = None if delay is None else time.perf_counter() + delay
    patience = time.perf_counter() + asked.patience
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return False, "" if code == 0 else f"status {code}:\n" + "\n".join(log.read_text(encoding="utf-8").splitlines()[-15:])
        now = time.perf_counter()
        if ends is not None and now >= ends and (not aimed or any(folder.glob(".*.tmp"))):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return True, ""
        if now > patience:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False, f"no end after {asked.patience:.0f} s"
        time.sleep(0.0002 if aimed and ends is not None and now >= ends else 0.001)


def series(asked: argparse.Namespace, work: Path, expected: dict[str, Any], length: float) -> dict[str, Any]:
    """Spend all kills and return the counts and every failure."""
    draw = random.Random(asked.seed)  # noqa: S311 - delays, not secrets
    where: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    failures: list[str] = []
    kills: list[dict[str, Any]] = []
    while counts["kills"] < asked.kills:
        counts["runs"] += 1
        folder, log = work / f"run{counts['runs']}", work / f"run{counts['runs']}.log"
        resumed = 0
        while True:
            last = counts["kills"] >= asked.kills
            aimed = draw.random() < asked.aimed
            delay = draw.uniform(0, length * (0.6 if aimed else 1.0))
            killed, trouble = attempt(folder, asked, log, None if last else delay, aimed=aimed)
            if trouble:
                failures.append(f"run {counts['runs']}, attempt {resumed + 1}: {trouble}")
            if not killed:
                break
            place = moment(folder)
            counts["kills"] += 1
            resumed += 1
            where[place] += 1
            kills.append({"run": counts["runs"], "delay": round(delay, 4), "aimed": aimed, "moment": place, "saved_step": saved_step(folder)})
            say(f"kill {counts['kills']}/{asked.kills}: run {counts['runs']} after {delay:.2f} s, {place}, saved up to step {saved_step(folder)}")
        counts["most kills of one run"] = max(counts["most kills of one run"], resumed)
        if failures and failures[-1].startswith(f"run {counts['runs']},"):
            continue
        wrong = differences(expected, outcome(folder))
        counts["runs killed at least once"] += bool(resumed)
        counts["identical"] += not wrong
        if wrong:
            failures.append(f"run {counts['runs']} after {resumed} kills: {', '.join(wrong)} differ")
        leftovers = [path.name for path in folder.glob(".*.tmp")]
        if leftovers:
            failures.append(f"run {counts['runs']}: left {', '.join(leftovers)} behind")
        shutil.rmtree(folder)
    return {"counts": dict(counts), "moments": dict(where), "failures": failures, "kills": kills}


def undisturbed(asked: argparse.Namespace, work: Path) -> tuple[dict[str, Any], float]:
    """Run in a fresh process and in a forked one; both must give the same bits. Returns them and the forked one's seconds."""
    fresh = work / "fresh"
    words = ["--alone", str(fresh), "--epochs", str(asked.epochs), "--save-seconds", str(asked.save_seconds)]
    done = subprocess.run([sys.executable, str(Path(__file__).resolve()), *words], check=True, stdout=subprocess.PIPE, text=True)
    for name in json.loads(done.stdout.splitlines()[-1]):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    if threading.active_count() > 1:
        raise SystemExit("importing alone started threads, and a process with threads cannot be forked safely")
    began = time.perf_counter()
    _, trouble = attempt(work / "forked", asked, work / "forked.log", None)
    length = time.perf_counter() - began
    if trouble:
        raise SystemExit(f"the undisturbed run failed: {trouble}")
    one, other = outcome(fresh), outcome(work / "forked")
    if differences(one, other):
        raise SystemExit(f"a forked and a fresh process differ in {', '.join(differences(one, other))}: forking is no fair stand-in here")
    return one, length


def main() -> None:
    """Run the series and write bench/results/kill.json; status 1 where anything differed or failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="decides the delays")
    parser.add_argument("--epochs", type=float, default=30)
    parser.add_argument("--save-seconds", type=float, default=0.05)
    parser.add_argument("--aimed", type=float, default=0.3, help="share of the kills that wait for a file being written")
    parser.add_argument("--patience", type=float, default=300, help="seconds after which an attempt counts as hanging")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        begin(asked.alone, asked.epochs, asked.save_seconds)
        print(json.dumps([name for name in sys.modules if name.partition(".")[0] in IMPORTED]))
        return
    with tempfile.TemporaryDirectory(prefix="striate-kill-") as folder:
        work = Path(folder)
        expected, length = undisturbed(asked, work)
        say(f"undisturbed: {length:.2f} s, weights {expected['weights'][:16]}, test error {expected['result']['splits']['test']['error']:.2%}")
        found = series(asked, work, expected, length)
    del asked.alone
    counts, failures = found["counts"], found["failures"]
    result = Result("kill", f"{counts['kills']} SIGKILLs of a training of {length:.1f} s", vars(asked))
    writing = sum(count for place, count in found["moments"].items() if place.startswith("while writing"))
    result.row("kills", [counts["kills"]], "")
    result.row("of them while a file was being written", [writing], "")
    result.row("of them before the first checkpoint", [found["moments"].get("before the first checkpoint", 0)], "")
    result.row("runs", [counts["runs"]], "")
    result.row("runs bit-identical to the undisturbed one", [100 * counts.get("identical", 0) / counts["runs"]], "%", limit=100, at_least=True)
    result.row("failures", [len(failures)], "", limit=0)
    result.note("Compared: the bytes of weights.safetensors, history but for seconds and rate, result but for its times, predictions.")
    result.note("Attempts are forked from a parent that has imported all a training imports; a fresh process gave the same bits as a forked one.")
    result.note("A run killed before its run.json is valid cannot be resumed: the harness begins it again in the same folder.")
    result.raw = found | {"expected": {key: expected[key] for key in ("weights", "predictions", "result")}, "seconds_undisturbed": round(length, 2)}
    result.save()
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
