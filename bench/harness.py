"""What every measurement shares: processes in alternating order, one schema for results, this machine's ceilings beside them.

    python bench/harness.py            # nothing but the ceilings, to bench/results/ceilings.json

A measurement is a `Job`: a script, run in its own process (a peer's in its own environment), whose last line on stdout is `@@ ` and a JSON object.
`alternate` runs the jobs A B A B, so that a machine that grows slower or faster meets all of them. A `Result` becomes `bench/results/NAME.json`;
`python bench/table.py` makes `docs/benchmarks.md` of all of them.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = Path(os.environ.get("STRIATE_BENCH_RESULTS", HERE / "results")).resolve()
"""Where results go; smoke tests set `STRIATE_BENCH_RESULTS` to keep theirs apart from what was really measured."""
PEERS = HERE / "peers"
FORMAT = 1
MARK = "@@ "

REFERENCE = {"matrix_fp32": 224.0, "matrix_bf16": 891.0, "convolution_bf16": 1100.0, "copy": 42.0}
"""The machine on which the issue's absolute limits were set: GFLOP/s and GiB/s of its two quiet cores."""


class BenchError(Exception):
    """A measurement that could not be made, with the output of the process that failed."""


@dataclass(frozen=True)
class Job:
    """One process to measure: who it stands for, which Python, which script, which arguments."""

    who: str
    script: Path
    arguments: tuple[str, ...] = ()
    python: str = sys.executable
    env: Mapping[str, str] = field(default_factory=dict)

    def run(self, limit: float = 7200) -> dict[str, Any]:
        """Run it to its end and return its answer; `BenchError` carries the tail of its output."""
        began = time.perf_counter()
        command = [self.python, str(self.script), *self.arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env={**os.environ, **self.env}, check=False)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{self.who}: no answer after {limit:.0f} s from {shlex.join(command)}") from None
        answers = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
        if done.returncode or not answers:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
            raise BenchError(f"{self.who}: status {done.returncode} from {shlex.join(command)}\n{tail}")
        answer: dict[str, Any] = json.loads(answers[-1].removeprefix(MARK))
        return answer | {"process_seconds": round(time.perf_counter() - began, 3)}


def alternate(rounds: int, jobs: Callable[[int], Iterable[Job]]) -> dict[str, list[dict[str, Any]]]:
    """Run every round's jobs in order, A B A B, and return their answers by name, in the order of the rounds."""
    answers: dict[str, list[dict[str, Any]]] = {}
    for number in range(rounds):
        for job in jobs(number):
            answer = job.run()
            answers.setdefault(job.who, []).append(answer)
            shown = {key: value for key, value in answer.items() if isinstance(value, (int, float))}
            say(f"round {number + 1}/{rounds}  {job.who}: " + ", ".join(f"{key} {value:.5g}" for key, value in shown.items()))
    return answers


def say(text: str) -> None:
    """Tell the one who waits; results go to files."""
    print(text, file=sys.stderr, flush=True)


def tell(**values: Any) -> None:
    """Give a job's answer: the line the harness reads. Peers in other environments have their own copy (peers/common.py)."""
    print(MARK + json.dumps(values), flush=True)


def ceilings_job(seconds: float = 1.0) -> Job:
    """Return the job that measures what this machine can do at best."""
    return Job("ceilings", HERE / "ceilings.py", ("--seconds", str(seconds)))


class Result:
    """One measurement's file: rows of figures, notes, the machine, its ceilings, versions, command and date."""

    def __init__(self, name: str, title: str, settings: Mapping[str, Any]) -> None:
        self.name, self.title, self.settings = name, title, dict(settings)
        self.rows: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.ceilings: dict[str, float] = {}
        self.peers: dict[str, Any] = {}
        self.raw: dict[str, Any] = {}

    def saw_ceilings(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """Keep the best of what was measured: other programs can only make a ceiling look lower."""
        names = [name for name in answers[0] if name != "process_seconds"]
        self.ceilings = {name: round(max(float(answer[name]) for answer in answers), 1) for name in names}

    def row(
        self,
        what: str,
        values: Sequence[float],
        unit: str,
        *,
        limit: float | None = None,
        at_least: bool = False,
        scaled: str = "",
        by: str = "median",
    ) -> float:
        """Add a figure with all its measurements; returns what counts of them, `by` the median or the mean.

        `limit` is what the project promises (at most, or `at_least`); `scaled` names the ceiling by which an absolute limit, set on the reference
        machine, is brought to this one.
        """
        if not values:
            raise BenchError(f"{self.name}: nothing was measured for {what!r}")
        values = [short(value) for value in values]
        counts = short(statistics.mean(values) if by == "mean" else statistics.median(values))
        row: dict[str, Any] = {"what": what, "unit": unit, by: counts, "min": min(values), "max": max(values), "n": len(values), "values": values}
        if limit is not None:
            factor = REFERENCE[scaled] / self.ceilings[scaled] if scaled in self.ceilings else 1.0
            here = limit / factor if at_least else limit * factor
            row |= {"limit": limit, "at_least": at_least, "scaled_by": scaled or None, "limit_here": short(here)}
            row["holds"] = bool(counts >= here if at_least else counts <= here)
        self.rows.append(row)
        return counts

    def ratio(self, what: str, above: Sequence[float], below: Sequence[float], *, limit: float | None = None) -> float:
        """Add how many times larger `above` is than `below`: round by round where there are as many of each, else of the medians."""
        if len(above) == len(below):
            return self.row(what, [a / b for a, b in zip(above, below, strict=True)], "times", limit=limit, at_least=True)
        return self.row(what, [statistics.median(above) / statistics.median(below)], "times", limit=limit, at_least=True)

    def note(self, text: str) -> None:
        """Add a sentence a reader of the figures should know."""
        self.notes.append(text)

    def save(self) -> Path:
        """Write `bench/results/NAME.json` and return its path."""
        from striate.core.runtime import machine, versions
        from striate.core.storage import write_json

        path = RESULTS / f"{self.name}.json"
        write_json(
            path,
            {
                "format": FORMAT,
                "name": self.name,
                "title": self.title,
                "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "command": command(),
                "commit": commit(),
                "machine": machine() | {"load": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None},
                "ceilings": self.ceilings,
                "versions": versions(),
                "peers": self.peers,
                "settings": self.settings,
                "rows": self.rows,
                "notes": self.notes,
                "raw": self.raw,
            },
        )
        for row in self.rows:
            say(f"{self.name}: {row['what']}: {counted(row):.4g} {row['unit']}" + ("" if "holds" not in row else f"  {verdict(row)}"))
        say(str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path))
        return path


def short(value: float) -> float:
    """Round to five digits: more are not meant."""
    return float(f"{value:.5g}")


def counted(row: Mapping[str, Any]) -> float:
    """Return the figure that counts of a row: its mean where it has one, else its median."""
    return float(row.get("mean", row.get("median", 0.0)))


def verdict(row: Mapping[str, Any]) -> str:
    """Spell a limit and whether it holds: `≥ 4 held`."""
    return f"{'≥' if row['at_least'] else '≤'} {row['limit']:g} {'held' if row['holds'] else 'MISSED'}"


def command() -> str:
    """Return the command that measures the same again, relative to the project's folder; of files that lie elsewhere only the name is told."""
    script = Path(sys.argv[0]).resolve()
    spelled = script.relative_to(ROOT).as_posix() if script.is_relative_to(ROOT) else script.name
    return shlex.join(["python", spelled, *(Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:])])


def commit() -> str | None:
    """Return the commit measured, with a plus where tracked files differ from it."""
    git = ["git", "-C", str(ROOT)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "src", "bench"], check=False).returncode
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")


def data_folder() -> Path:
    """Return `$STRIATE_DATA`; peers read the real sets from there."""
    folder = os.environ.get("STRIATE_DATA")
    if not folder or not Path(folder).is_dir():
        raise SystemExit("set STRIATE_DATA to the folder that holds mnist/ and cifar-10-batches-bin/: striate and its peers read the same files")
    return Path(folder)


def main() -> None:
    """Measure the ceilings alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each ceiling is tried, each round")
    asked = parser.parse_args()
    answers = alternate(asked.rounds, lambda _: [ceilings_job(asked.seconds)])["ceilings"]
    result = Result("ceilings", "What this machine can do at best", vars(asked))
    result.saw_ceilings(answers)
    for name in result.ceilings:
        result.row(name.replace("_", " "), [answer[name] for answer in answers], "GiB/s" if name == "copy" else "GFLOP/s")
    result.save()


if __name__ == "__main__":
    main()
