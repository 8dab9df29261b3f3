"""ResNet-18 at 224, batch 32: pictures a second in training and inference, against a plain float32 loop, and the share of the bf16 ceiling.

    python bench/resnet18.py            # about 4 minutes on two quiet cores

One round: ceilings, the plain loop, striate. A picture costs 1.814e9 multiply-adds forward, three times that in a training step, two operations each;
the ceiling is the bf16 matrix product's, 4096 x 4096 x 4096, of the same run.
"""

from __future__ import annotations

import argparse
import statistics

from harness import PEERS, Job, Result, alternate, ceilings_job

MACS = 1.814e9
"""Multiply-adds of one forward pass at 224 pixels and 1,000 classes."""


def main() -> None:
    """Run the rounds and write bench/results/resnet18.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12, help="steps timed in each round, after the warm-up")
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--side", type=int, default=224, help="other than 224 for smoke tests only: the ceiling's share is then meaningless")
    parser.add_argument("--ceiling-seconds", type=float, default=1.0)
    asked = parser.parse_args()
    words = ("--steps", str(asked.steps), "--warm-up", str(asked.warm_up), "--batch", str(asked.batch), "--side", str(asked.side))
    plain, ours = (Job(who, PEERS / f"{who}_resnet18.py", words) for who in ("plain", "striate"))
    answers = alternate(asked.rounds, lambda _: [ceilings_job(asked.ceiling_seconds), plain, ours])
    result = Result("resnet18", f"ResNet-18 at {asked.side}, batch {asked.batch}", vars(asked))
    result.saw_ceilings(answers["ceilings"])
    rates = {
        (who, what): [asked.batch / statistics.median(answer[what]) for answer in answers[who]]
        for who in ("plain", "striate")
        for what in ("training", "inference")
    }
    for what, passes, limit in (("training", 3, 2.2), ("inference", 1, None)):
        result.row(f"{what}, plain float32 loop", rates["plain", what], "pictures/s")
        result.row(f"{what}, striate", rates["striate", what], "pictures/s")
        result.ratio(f"{what}: striate is faster", rates["striate", what], rates["plain", what], limit=limit)
        shares = [100 * rate * MACS * passes * 2 / (result.ceilings["matrix_bf16"] * 1e9) for rate in rates["striate", what]]
        result.row(f"{what}: share of the bf16 matrix ceiling", shares, "%", limit=80 if what == "training" else None, at_least=True)
    first = answers["striate"][0]
    memory = "kept" if first["kept_freed_memory"] else "returned to the system"
    result.note(f"striate chose {first['precision']} and channels last by itself; freed memory is {memory}, as on its command line.")
    result.note("striate's training counts everything between two steps: gathering, standardising uint8 pictures, loss and error of each sample.")
    result.note("striate's inference is `evaluate`: it also standardises, computes class shares and the figures.")
    result.raw = {"seconds_a_batch": {who: answers[who] for who in ("plain", "striate")}}
    result.save()


if __name__ == "__main__":
    main()
