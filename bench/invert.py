"""Inversion on pictures that nothing was chosen on: how near the first layer's features bring back the pixels, how nearly deep features are met.

    python bench/invert.py                       # a ResNet-20 and two sprint32 on 30 pictures of CIFAR-10's test set; needs STRIATE_DATA
    python bench/invert.py --small               # a smoke test: few steps, two pictures of noise, the ResNet-20 alone

`resnet20` is the network kept with the tests; runs are made by `python recipes/cifar10_sprint32.py`. Default options. The pictures are drawn by
`--seed` among all but those the options were chosen on (3, 6 and 11).
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from harness import Result, data_folder
from maximise import RUNS, called, opened
from striate import understand as u

USED = (3, 6, 11)
"""Test pictures that rate, prior and phases were chosen on: they judge no more."""


def fresh(count: int, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return `count` test pictures N 3 32 32 uint8, none of them used before, and their numbers."""
    raw = np.fromfile(data_folder() / "cifar-10-batches-bin" / "test_batch.bin", np.uint8).reshape(-1, 3073)
    left = np.setdiff1d(np.arange(len(raw)), USED)
    index = np.sort(np.random.default_rng(seed).choice(left, count, replace=False))
    return raw[index, 1:].reshape(-1, 3, 32, 32), index


def main() -> None:
    """Rebuild, measure, and write bench/results/NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nets", nargs="+", default=["resnet20", *RUNS], help="resnet20, or folders of runs on CIFAR-10")
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--name", default="invert", help="of the result's file")
    parser.add_argument("--small", action="store_true")
    asked = parser.parse_args()
    if asked.small:
        asked.nets, asked.count = ["resnet20"], 2
        pictures, index = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8), np.arange(2)
    else:
        pictures, index = fresh(asked.count, asked.seed)
    result = Result(asked.name, "Inversion on fresh pictures of CIFAR-10", vars(asked))
    for name in asked.nets:
        made = u.invert(opened(name), pictures, **({"steps": 4} if asked.small else {}))
        layers, psnr, error = made.options["layers"], made.arrays["psnr"], made.arrays["feature_error"]
        for place, layer in enumerate(layers):
            at = f"{called(name)} at {layer}"
            result.row(f"{at}: PSNR, {len(pictures)} pictures", psnr[:, place].tolist(), "dB", limit=None if place else 40, at_least=True)
            result.row(f"{at}: feature error, {len(pictures)} pictures", error[:, place].tolist(), "of the features' norm", limit=0.25)
        over, under = int((error > 0.25).any(1).sum()), int((psnr[:, 0] < 40).sum())
        result.note(
            f"{called(name)}: of {len(pictures)} pictures {under} below 40 dB at the first layer, {over} with an error above .25 at some layer."
        )
    result.raw["pictures"] = index.tolist()
    result.save()


if __name__ == "__main__":
    main()
