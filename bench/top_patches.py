"""The sheet of strongest patches (row U6): top 9 of every feature map of a CIFAR ResNet-20 over 10,000 pictures, projected and drawn.

    STRIATE_DATA=... python bench/top_patches.py            # a few minutes on two cores
    STRIATE_DATA=... python bench/top_patches.py --small    # a smoke test

The network is the half-precision ResNet-20 kept with the tests. The time is from the loaded data set to the saved page.
"""

from __future__ import annotations

import argparse

from harness import PEERS, Job, Result, alternate, ceilings_job


def main() -> None:
    """Run the rounds and write bench/results/top_patches.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--ceiling-seconds", type=float, default=0.3)
    asked = parser.parse_args()
    if asked.small:
        asked.rounds, asked.samples = 1, 64
    job = Job("striate", PEERS / "top_patches.py", (str(asked.samples),))
    answers = alternate(asked.rounds, lambda _: [ceilings_job(asked.ceiling_seconds), job])
    found = answers["striate"]
    result = Result("top_patches", "The sheet of strongest patches", vars(asked))
    result.saw_ceilings(answers["ceilings"])
    what = f"top 9 of {found[0]['maps']} feature maps in {found[0]['layers']} layers over {asked.samples:,} pictures"
    result.row(f"{what}: found and projected", [answer["seconds"] for answer in found], "s", limit=120, scaled="convolution_bf16")
    result.row(f"{what}: the page drawn and saved", [answer["drawn"] for answer in found], "s")
    result.save()


if __name__ == "__main__":
    main()
