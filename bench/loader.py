"""The loader: microseconds a picture for MNIST shifts, CIFAR-10 crops and mirrors, photographs cut at random; and whether training waits for it.

    python bench/loader.py              # about 4 minutes; makes 1,000 JPEGs first (once)

Needs STRIATE_DATA. "Training from the folder" is ResNet-18 at 224 from 500 x 375 JPEGs (packed beforehand; random cut, resize, mirror),
against the same training from pictures already of that size in memory: what is missing to 100 % is what the loader costs.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile

from harness import PEERS, Job, Result, alternate, ceilings_job, data_folder
from pictures import jpegs


def main() -> None:
    """Run the rounds and write bench/results/loader.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=1000, help="JPEGs in the folder")
    parser.add_argument("--batches", type=int, default=None, help="batches an epoch, for smoke tests")
    parser.add_argument("--steps", type=int, default=12, help="training steps timed; 0 leaves training out")
    parser.add_argument("--side", type=int, default=224)
    asked = parser.parse_args()
    data_folder()
    folder = str(jpegs(asked.count))
    few = ("--batches", str(asked.batches)) if asked.batches else ()
    ours, training = PEERS / "striate_loader.py", PEERS / "striate_resnet18.py"
    crops = ("--augment", "crop(2)", "mirror", "--batch", "1000")
    words = ("--steps", str(asked.steps), "--side", str(asked.side))
    with tempfile.TemporaryDirectory(prefix="striate-loader-") as cache:
        env = {"STRIATE_CACHE": cache}
        cuts = ("--augment", "resized_crop", "mirror", "--batch", "32", "--size", str(asked.side))
        jobs = {
            "MNIST, Dataset and DataLoader, no augmentation": Job("plain", PEERS / "plain_loader.py", few),
            "MNIST, shift(2), batches of 256": Job("mnist", ours, ("mnist", "--augment", "shift(2)", *few)),
            "CIFAR-10, crop(2) and mirror, batches of 1,000": Job("cifar10", ours, ("cifar10", *crops, *few)),
            f"JPEGs 500 x 375, random cut to {asked.side} and mirror, batches of 32": Job("folder", ours, (folder, *cuts, *few), env=env),
        }
        pair = [Job("memory", training, words), Job("from folder", training, (*words, "--folder", folder), env=env)] if asked.steps else []
        answers = alternate(asked.rounds, lambda _: [ceilings_job(0.3 if asked.batches is None else 0.01), *jobs.values(), *pair])
    result = Result("loader", "The loader", vars(asked))
    result.saw_ceilings(answers["ceilings"])
    micro = {job.who: [statistics.median(answer["micro"]) for answer in answers[job.who]] for job in jobs.values()}
    for what, job in jobs.items():
        result.row(what, micro[job.who], "µs/picture")
    result.ratio("MNIST: striate's shifted batches against the DataLoader's plain ones", micro["plain"], micro["mnist"])
    if pair:
        rates = {who: [answer["batch"] / statistics.median(answer["training"]) for answer in answers[who]] for who in ("memory", "from folder")}
        result.row("ResNet-18 training from memory", rates["memory"], "pictures/s")
        result.row("ResNet-18 training from the folder", rates["from folder"], "pictures/s")
        shares = [100 * a / b for a, b in zip(rates["from folder"], rates["memory"], strict=True)]
        result.row("training from the folder, share of training from memory", shares, "%", limit=90, at_least=True)
    result.save()


if __name__ == "__main__":
    main()
