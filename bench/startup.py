"""Start-up: `striate --help`, `import striate`, and `striate train mnist` until its first step.

    python bench/startup.py             # about 2 minutes

Every measurement is a process of its own, timed from before it is started until it ends, or until its first step ends; rounds alternate. The first
round fills the caches (bytecode, packs, the disk's) and is left out. The first step is the command line's own, through a script that ends
the process when the progress line hears of step 1.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import MARK, PEERS, BenchError, Result, alternate, ceilings_job, data_folder

SCRIPT = Path(sys.executable).parent / ("striate.exe" if os.name == "nt" else "striate")


def timed(command: list[str], folder: str) -> float:
    """Run a command in `folder` and return its seconds; it must succeed."""
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode:
        raise BenchError(f"status {done.returncode} from {command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds


def until_first_step(words: list[str], folder: str) -> float:
    """Return the seconds from before the process is started until its first training step is done."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, str(PEERS / "first_step.py"), *words], cwd=folder, capture_output=True, text=True, check=False)
    answers = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    if not answers:
        raise BenchError(f"no step was heard of from {words}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    at = float(answers[-1].partition('"at": ')[2].partition(",")[0])
    return at - began


def main() -> None:
    """Run the rounds and write bench/results/startup.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--data", nargs="+", default=["mnist"], help="data sets whose training is started; their names or folders")
    asked = parser.parse_args()
    if {"mnist", "cifar10", "fashion-mnist"} & set(asked.data):
        data_folder()
    python = sys.executable
    plain = {
        "python -c pass": [python, "-c", "pass"],
        "python -c 'import torch'": [python, "-c", "import torch"],
        "python -c 'import striate'": [python, "-c", "import striate"],
        "striate --help": [str(SCRIPT), "--help"],
        "striate train --help": [str(SCRIPT), "train", "--help"],
    }
    limits = {"striate --help": 0.25, "mnist": 3.0}
    times: dict[str, list[float]] = {}
    for number in range(asked.rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            found = {name: timed(command, folder) for name, command in plain.items()}
            found |= {f"striate train {spec}, until its first step": until_first_step(["train", spec], folder) for spec in asked.data}
        if number:
            for name, seconds in found.items():
                times.setdefault(name, []).append(seconds)
    result = Result("startup", "Start-up", vars(asked))
    result.saw_ceilings(alternate(1, lambda _: [ceilings_job(0.2)])["ceilings"])
    for name, seconds in times.items():
        limit = limits.get(name) or limits.get(name.removeprefix("striate train ").partition(",")[0])
        result.row(name, seconds, "s", limit=limit)
    result.note("Caches are warm: each was run once before. Limits are taken as they stand, not scaled.")
    result.save()


if __name__ == "__main__":
    main()
