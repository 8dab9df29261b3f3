"""Baselines on MNIST and CIFAR-10: what each row of the table reads right, and how long it takes.

    python bench/classical.py                                   # all rows, seed 0, both sets: about an hour on two quiet cores
    python bench/classical.py --which mlp --seeds 3             # more seeds of some rows; what was measured before is kept
    python bench/classical.py --sets cifar10 --which hog-svm --again

Needs STRIATE_DATA. Every row is fitted on the whole training part and judged once on the test part; what a row chooses (a penalty), it chooses on
the training part. Accuracy does not depend on the machine's load; the seconds are of this run and only say which rows are cheap. Results are written
after each row, so a stopped run goes on where it stopped. One thread: set OMP_NUM_THREADS=1 before, as for the figures here.
"""

from __future__ import annotations

import argparse
import datetime
import json
from typing import Any

from harness import RESULTS, Result, commit, data_folder, say

LIMITS = {
    ("mnist", "k-nn"): 96.8,
    ("mnist", "linear-softmax"): 92.0,
    ("mnist", "mlp"): 98.3,
    ("cifar10", "linear-softmax"): 39.0,
    ("cifar10", "hog-svm"): 52.0,
}
"""Least share of the test pictures read right, in percent, that the project promises."""


def main() -> None:
    """Measure what is missing and write bench/results/classical.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["mnist", "cifar10"])
    parser.add_argument("--which", default="all", help="quick, all, or names joined by commas")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--again", action="store_true", help="measure also what was measured before")
    parser.add_argument("--limit", type=int, default=None, help="at most so many pictures of each part, to try the script; nothing is written")
    asked = parser.parse_args()
    data_folder()
    kept = _kept()
    from striate.classical.tabulating import chosen

    wanted = [(name, entry.name, seed) for name in asked.sets for seed in range(asked.seeds) for entry in chosen(asked.which)]
    wanted.sort(key=lambda job: (job[:2] not in LIMITS, job[2]))
    for name, row, seed in wanted:
        key = f"{name} {row} {seed}"
        if key in kept and not asked.again:
            continue
        kept[key] = _measure(name, row, seed, asked.limit)
        if not asked.limit:
            _save(kept, vars(asked))


def _measure(name: str, row: str, seed: int, limit: int | None) -> dict[str, Any]:
    import striate as st
    from striate.classical import table

    found = table(st.data.load(name), which=[row], seed=seed, limit=limit)
    answer = found.to_json()["rows"][0]
    error = answer["error"]
    say(f"{name} {row} seed {seed}: " + (answer["skipped"] or f"{100 * (1 - error):.2f} % right, fit {answer['fit_seconds']} s"))
    told = {key: answer[key] for key in ("help", "errors", "n", "error", "values", "fit_seconds", "predict_seconds", "skipped")}
    return told | {"commit": commit(), "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}


def _kept() -> dict[str, Any]:
    path = RESULTS / "classical.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))["raw"]) if path.exists() else {}


def _save(kept: dict[str, Any], settings: dict[str, Any]) -> None:
    result = Result("classical", "Baselines", settings)
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for key in sorted(kept):
        name, row, _ = key.split()
        groups.setdefault((name, row), []).append(kept[key])
    for (name, row), answers in groups.items():
        done = [100 * (1 - answer["error"]) for answer in answers if answer["error"] is not None]
        if done:
            what = f"{name}: {row} ({answers[0]['help']}), read right"
            result.row(what, done, "%", limit=LIMITS.get((name, row)), at_least=True, by="mean")
        else:
            result.note(f"{name}: {row} is left out: {answers[0]['skipped']}")
    result.note("Seconds stand under raw; they are of a machine that did other things too, and no promise.")
    commits = {str(answer.get("commit", "an earlier one, not noted")) for answer in kept.values()}
    if len(commits) > 1:
        result.note(f"The rows were measured in several sessions, each by the commit that stands with it under raw: {', '.join(sorted(commits))}.")
    result.raw = kept
    result.save()


if __name__ == "__main__":
    main()
