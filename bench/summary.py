"""Summaries: how long `striate.measure.summary` takes for large networks, and how much memory.

    python bench/summary.py              # about a minute

Each network is measured in a process of its own, the summaries one after another: the first still imports parts of torch, the later ones do not.
A function that builds the network is handed over (no weights are allocated), then the network itself.
"""

from __future__ import annotations

import argparse

from harness import PEERS, Job, Result, alternate, ceilings_job

NETWORKS = ("vgg19", "densenet201", "resnet152", "inception_v3", "lenet5")
LIMIT = 1.5
"""Seconds promised for VGG-19 and DenseNet-201."""
PROMISED = ("vgg19", "densenet201")


def main() -> None:
    """Run the rounds and write bench/results/summary.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3, help="summaries after the first, in each process")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    asked = parser.parse_args()
    jobs = [Job(name, PEERS / "summary_times.py", (name, "--repeats", str(asked.repeats))) for name in asked.networks]
    answers = alternate(asked.rounds, lambda _: [ceilings_job(0.2), *jobs])
    result = Result("summary", "Summaries", vars(asked))
    result.saw_ceilings(answers["ceilings"])
    for name in asked.networks:
        found = answers[name]
        limit = LIMIT if name in PROMISED else None
        result.row(f"{name}, first in a process", [answer["first"] for answer in found], "s", limit=limit)
        result.row(f"{name}, later ones", [seconds for answer in found for seconds in answer["later"]], "s", limit=limit)
        result.row(f"{name}, of a network that is built", [seconds for answer in found for seconds in answer["model"]], "s", limit=limit)
        weights = found[0]["weights_mb"]
        result.row(f"{name}, memory grown by the first ({weights:.0f} MB of weights not allocated)", [answer["grown_mb"] for answer in found], "MB")
    result.note("Limits are taken as they stand, not scaled: this is Python, not arithmetic.")
    result.raw = {"answers": answers}
    result.save()


if __name__ == "__main__":
    main()
