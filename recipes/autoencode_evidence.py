"""What the recipes of autoencoders share: seeds from the command line, a subset said out loud, the log with machine and versions."""

from __future__ import annotations

import argparse
import datetime
import math
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import striate as st
from series import COMMAND
from striate.core.runtime import keep_freed_memory, machine, versions
from striate.core.storage import write_json

LOGS = Path(__file__).parent / "logs"
SMALL = "few pictures and one epoch, to try the script; nothing is written"


def measure(name: str, claim: str, each: Callable[[int, bool], dict[str, Any]], *, seeds: int, facts: dict[str, Any], first: int = 0) -> None:
    """Run `each(seed, small)` for every seed from `first` on, print and write `logs/NAME.json`: the rows, and mean and spread of every figure."""
    arguments = argparse.ArgumentParser(description=claim)
    arguments.add_argument("--seeds", type=int, default=seeds)
    arguments.add_argument("--small", action="store_true", help=SMALL)
    given = arguments.parse_args()
    keep_freed_memory()
    rows = []
    for seed in range(first, first + given.seeds):
        began = time.perf_counter()
        found = each(seed, given.small)
        rows.append({"seed": seed, "seconds": round(time.perf_counter() - began, 1), **found})
        print(f"{name} seed {seed}: " + ", ".join(f"{key} {value:.5g}" for key, value in found.items() if isinstance(value, float)), flush=True)
    if given.small or given.seeds != seeds:
        print(f"{name}: a trial, or not all seeds; nothing is written")
        return
    summary = {
        "name": name,
        "claim": claim,
        "figures": {key: summed([row[key] for row in rows]) for key, value in rows[0].items() if isinstance(value, float)},
        "runs": rows,
        **facts,
        "command": COMMAND,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "host": platform.machine(),
    }
    write_json(LOGS / f"{name}.json", summary)


def summed(values: Sequence[float]) -> dict[str, Any]:
    """Return mean, spread and, from two seeds on, the 95 % interval of the mean by Student's t."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return {"mean": mean, "spread": None, "interval": None}
    from scipy.stats import t

    spread = statistics.stdev(values)
    half = float(t.ppf(0.975, len(values) - 1)) * spread / math.sqrt(len(values))
    return {"mean": mean, "spread": spread, "interval": [mean - half, mean + half]}


def subset(name: str, count: int) -> Any:
    """Return a data set with the first `count` of its training pictures in a fixed random order; the test part whole."""
    data = st.data.load(name)
    rows = np.sort(np.random.Generator(np.random.PCG64(0)).permutation(len(data.tables["train"]))[:count])
    whole = data.preprocess
    return replace(data, tables={"train": data.tables["train"].take(rows), "test": data.tables["test"]}).with_preprocess(whole)
