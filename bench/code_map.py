"""t-SNE of 10,000 codes: striate's maps beside openTSNE and scikit-learn as they come, with the trustworthiness each reaches.

    STRIATE_DATA=... python bench/code_map.py          # about 6 minutes on two quiet cores; needs the extra `maps`

The codes are the 784 pixels of MNIST's 10,000 test pictures, the same for all. Each job is a process of its own; the time is of the map alone, after
a small map that loads and warms what there is.
"""

from __future__ import annotations

import argparse

from harness import PEERS, Job, Result, alternate, ceilings_job
from striate.understand.flattening import KEPT

WHO = {"striate": "striate", "openTSNE": "opentsne", "scikit-learn": "sklearn"}
APART = 0.005
"""How much trustworthiness may differ to count as equal."""


def main() -> None:
    """Run the rounds and write bench/results/code-map.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--ceiling-seconds", type=float, default=0.3)
    asked = parser.parse_args()
    jobs = [Job(name, PEERS / "code_map.py", (word, "--samples", str(asked.samples))) for name, word in WHO.items()]
    answers = alternate(asked.rounds, lambda _: [ceilings_job(asked.ceiling_seconds), *jobs])
    result = Result("code-map", "Maps of codes (t-SNE)", vars(asked))
    result.saw_ceilings(answers["ceilings"])
    seconds = {name: [answer["seconds"] for answer in answers[name]] for name in WHO}
    for name in WHO:
        result.row(f"{name}: t-SNE of {asked.samples:,} codes", seconds[name], "s")
        result.row(f"{name}: trustworthiness, 10 neighbours", [answer["trustworthiness"] for answer in answers[name]], "")
    fastest = min((name for name in WHO if name != "striate"), key=lambda name: sorted(seconds[name])[len(seconds[name]) // 2])
    result.ratio(f"striate is faster than {fastest}, the fastest library installed", seconds[fastest], seconds["striate"])
    told = {name: sum(answer["trustworthiness"] for answer in answers[name]) / asked.rounds for name in WHO}
    equal = told["striate"] >= max(told.values()) - APART
    result.note(f"Trustworthiness is {'equal within' if equal else 'lower than the best by more than'} {APART}.")
    result.note(f"striate runs openTSNE where it is installed, on the codes' first {KEPT} principal components; libraries get the codes as they are.")
    result.raw = {"answers": answers}
    result.save()


if __name__ == "__main__":
    main()
