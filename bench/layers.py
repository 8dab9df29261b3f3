"""Own layers: locally connected ones beside convolutions of the same multiply-adds, the others beside what one would write first in torch.

    python bench/layers.py              # about 3 minutes on two quiet cores

A pair runs in one process, ours and the other in turn, forward and in a training step (forward, gradient of inputs and parameters); the rounds run
all pairs again. Ratios are of the medians of a round. Convolutions and locally connected layers get channels_last inputs, which both like best.
"""

from __future__ import annotations

import argparse
import statistics

from harness import PEERS, Job, Result, alternate, ceilings_job

CONVOLUTIONS = {
    "32x16x32x32 to 16 maps, 3x3": (32, 16, 16, 32, 3),
    "128x16x32x32 to 16 maps, 3x3": (128, 16, 16, 32, 3),
    "64x64x16x16 to 64 maps, 3x3": (64, 64, 64, 16, 3),
    "2x16x32x32 to 16 maps, 3x3": (2, 16, 16, 32, 3),
}
"""Samples, channels, maps, side, kernel."""
KINDS = (("float32",), ("bf16", "--bf16"))
SMALL = "2x16x32x32 to 16 maps, 3x3"
NAIVE = {
    "locally connected": "locally connected, 32x32x16x16",
    "L2 pooling": "L2 pooling 2x2, 32x32x32x32",
    "response norm": "response norm, 16x96x27x27, against torch's",
    "maxout": "maxout of 2, 32x64x32x32",
    "max pooling": "max pooling 2x2, bf16, channels_last, 256x6x28x28, against torch's",
    "unpooling": "unpooling 2x2, 32x32x16x16, against torch's",
    "partial convolution": "partial convolution 5x5, 6 to 16 maps, 256x6x14x14",
    "subsampling": "subsampling 2x2, 256x6x28x28",
    "hinge": "hinge, 512x1,000",
}
"""Pairs of peers/layer_times.py, and what to call them."""
LIMIT = 3.0
"""How many times a convolution's time a locally connected layer may take."""


def main() -> None:
    """Run the rounds and write bench/results/layers.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="how long each of a pair is tried, forward and in a step")
    parser.add_argument("--ceiling-seconds", type=float, default=0.3)
    asked = parser.parse_args()
    script, words = PEERS / "layer_times.py", ("--seconds", str(asked.seconds))
    sizes = {f"{case}, {kind}": ("conv", *map(str, shape), *flag) for kind, *flag in KINDS for case, shape in CONVOLUTIONS.items()}
    jobs = [Job(name, script, (*argument, *words)) for name, argument in sizes.items()] + [Job(pair, script, (pair, *words)) for pair in NAIVE]
    answers = alternate(asked.rounds, lambda _: [ceilings_job(asked.ceiling_seconds), *jobs])
    result = Result("layers", "Own layers", vars(asked))
    result.saw_ceilings(answers["ceilings"])

    def medians(name: str, what: str, who: str) -> list[float]:
        return [statistics.median(answer[what][who]) for answer in answers[name]]

    for job in jobs:
        for what in ("forward", "step"):
            ours, other = medians(job.who, what, "ours"), medians(job.who, what, "other")
            if job.who in NAIVE:
                result.ratio(f"{NAIVE[job.who]}, {what}: striate is faster", other, ours)
            else:
                ratios = [a / b for a, b in zip(ours, other, strict=True)]
                promised = what == "forward" and not job.who.startswith(SMALL)
                result.row(f"locally connected against convolution, {job.who}, {what}", ratios, "times the time", limit=LIMIT if promised else None)
    result.note(
        "What keeps a locally connected layer from 3 times: its patches are written to memory, a convolution's are not; every place's weights are "
        "read anew (with 2 samples that is all, so no limit is set there); its arithmetic is a batched matrix product, which runs at this machine's "
        "matrix ceiling while convolutions run at theirs (both stand below)."
    )
    apart = max(answers[name][0]["apart"] for name in NAIVE)
    result.note(f"The pairs compute the same: largest difference {apart:.1e}.")
    result.raw = {
        "median seconds": {
            job.who: {what: {who: medians(job.who, what, who) for who in ("ours", "other")} for what in ("forward", "step")} for job in jobs
        }
    }
    result.save()


if __name__ == "__main__":
    main()
