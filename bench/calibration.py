"""Calibration on CIFAR-10: how far a trained network is from being as sure as it is right, before and after its temperature.

    python bench/calibration.py                      # runs/cifar10-sprint32, all seeds kept there; seconds, nothing is trained
    python bench/calibration.py --runs runs/NAME --picture docs/images/calibration.png

The runs of recipes/cifar10_sprint32.py trained on the whole training part, and what a network was fitted to cannot say how sure it may be. So the
test part is cut into two halves by class: the temperature is fitted to one half and judged on the other, then the other way round, for 20 seeded
cuts. No picture ever judges a temperature it helped to choose. A run that holds a part back itself (`--set calibrate=0.05`) needs none of this.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np

from harness import ROOT, Result, say

LIMIT = 3.0
"""Expected calibration error in percent after calibration, at most: what the project promises."""


def halves(logits, targets, cuts):
    """Return what the temperature of one half did to the other, for each cut in both directions."""
    from striate.data.splits import stratified
    from striate.training.calibration import effect, find_temperature

    found = []
    for seed in range(cuts):
        for fitted, judged in (parts := stratified(targets, len(targets), 0.5, seed), parts[::-1]):
            found.append(effect(logits[judged], targets[judged], find_temperature(logits[fitted], targets[fitted])))
    return found


def picture(path, logits, targets):
    """Draw how often the network is right against how sure it is, before and after; each half's temperature comes from the other."""
    import io

    from PIL import Image

    from striate.data.splits import stratified
    from striate.draw import reliability
    from striate.training.calibration import find_temperature, softmax
    from striate.training.figures import calibration

    parts = stratified(targets, len(targets), 0.5, 0)
    after = logits.copy()
    for fitted, judged in (parts, parts[::-1]):
        after[judged] /= find_temperature(logits[fitted], targets[fitted])
    drawn = []
    for words, values in (("before", logits), ("after", after)):
        found = calibration(targets, softmax(values))
        title = f"{words}: {100 * found.ece:.1f} % apart"
        drawn.append(Image.open(io.BytesIO(reliability(found.confidence, found.accuracy, found.counts, title).png())).convert("RGB"))
    sheet = Image.new("RGB", (sum(image.width for image in drawn), max(image.height for image in drawn)), "white")
    for number, image in enumerate(drawn):
        sheet.paste(image, (sum(one.width for one in drawn[:number]), 0))
    sheet.save(path, optimize=True)


def main():
    """Judge every run and write bench/results/calibration.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "cifar10-sprint32", help="folder of finished runs, one a seed")
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--picture", type=Path, default=None, help="where a reliability diagram of the first run goes")
    asked = parser.parse_args()
    kept = sorted(asked.runs.glob("seed-*/predictions/test.npz"))
    if not kept:
        sys.exit(f"{asked.runs}: no finished runs with predictions of the test part; make them by python recipes/cifar10_sprint32.py")
    name = asked.runs.name
    result = Result("calibration", "As sure as it is right: temperature scaling on CIFAR-10", {"runs": name, "cuts": asked.cuts})
    for path in kept:
        seed = path.parent.parent.name
        with np.load(path) as arrays:
            shares, targets = arrays["shares"].astype(np.float64), arrays["targets"]
        logits = np.log(np.maximum(shares, 1e-37))
        if asked.picture is not None and path == kept[0]:
            picture(asked.picture, logits, targets)
        found = halves(logits, targets, asked.cuts)
        result.row(f"{name} {seed}: expected calibration error before", [100 * each.ece_before for each in found], "%", by="mean")
        result.row(f"{name} {seed}: expected calibration error after", [100 * each.ece_after for each in found], "%", limit=LIMIT, by="mean")
        result.row(f"{name} {seed}: log-loss before", [each.loss_before for each in found], "nats", by="mean")
        result.row(f"{name} {seed}: log-loss after", [each.loss_after for each in found], "nats", by="mean")
        result.row(f"{name} {seed}: temperature", [each.temperature for each in found], "", by="mean")
        say(f"{seed}: worst of {len(found)} halves after: {100 * max(each.ece_after for each in found):.2f} %")
    pairs = [row["mean"] for row in result.rows if row["what"].endswith("error after")]
    result.note(
        f"Temperature from one half of the test part, judged on the other, both ways over {asked.cuts} cuts (15 bins, {found[0].n:,} "
        f"pictures a half); the mean over {len(pairs)} runs is {statistics.fmean(pairs):.2f} % after."
    )
    result.save()


if __name__ == "__main__":
    main()
