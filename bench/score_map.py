"""Score maps (row O10): one pass of the convolutional form over a larger picture against sliding the network over it.

python bench/score_map.py            # a few minutes on 2 cores
python bench/score_map.py --small    # a smoke test
"""

from __future__ import annotations

import argparse

from harness import PEERS, Job, Result, alternate, ceilings_job

CASES = (("lenet5", 32, 512, 1), ("resnet18", 224, 512, 3), ("vgg11", 224, 512, 3), ("squeezenet1_1", 224, 512, 3))
SMALL = (("lenet5", 32, 64, 1), ("resnet20", 32, 64, 3))


def main() -> None:
    """Run the rounds and write bench/results/score_map.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--ceiling-seconds", type=float, default=0.3)
    asked = parser.parse_args()
    cases = SMALL if asked.small else CASES

    def jobs(_: int) -> list[Job]:
        named = [
            Job(name, PEERS / "score_map.py", (name, "--size", str(size), "--picture", str(picture), "--channels", str(channels)))
            for name, size, picture, channels in cases
        ]
        return [ceilings_job(asked.ceiling_seconds), *named]

    answers = alternate(asked.rounds, jobs)
    result = Result("score_map", "Score maps: one pass against sliding", vars(asked))
    result.saw_ceilings(answers["ceilings"])
    for name, size, picture, _ in cases:
        found = answers[name]
        what = f"{name} over {picture}x{picture}, {found[0]['windows']} windows of {size}x{size}"
        result.ratio(f"{what}: sliding over one pass", [answer["slid"] for answer in found], [answer["once"] for answer in found])
        result.row(f"{what}: largest deviation of the largest score", [answer["deviation"] for answer in found], "")
        result.note(f"{name}: {found[0]['said']}")
    result.save()


if __name__ == "__main__":
    main()
