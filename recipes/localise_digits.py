"""A class and a box from one trunk: digits pasted on photographs, their digits and backgrounds held out (row R5).

    python recipes/localise_digits.py                     # judges: seeds 10 and 11, of data and of training
    python recipes/localise_digits.py --choose epochs=30  # chooses: seed 0, the test part taken away, the recipe changed as said

The first is `striate train pasted --task localise --seed 10 --data-option count=4000 --data-option seed=10`, and so with 11.

4,000 pictures of 48 x 48 pixels with one digit each, 0.3 to 0.6 of the picture high; 800 held out for validation and 800 for the test, of digits and
strips of photographs that training never sees. Network and recipe are the command's own. What one fixed box (the training part's mean) reaches stands
beside the figures, which are in logs/localise-digits.json.

How it came about. A first claim (mean IoU of 0.8, 20 % wrong classes) was missed on the test part, and lowered after that part had been read: worth
nothing. The generator was at fault: its test part had the right fifth of two photographs, of which one, china.jpg, is harder than anything to its
left; test digits on validation strips read as well as validation digits (160 pictures of each pairing). Now every part gets strips from all over
twelve photographs, drawn by the seed. The recipe was lengthened from 10 to 20 epochs because the validation figures of the old set were still
falling at the tenth and training's were no better. The claim below is the first one again, written down before any test figure of the new set was
computed, and judged once on seeds of training and of data that nothing was chosen on. It holds: 0.862 and 3.8 %. All parts have strips of the same
photographs, no two the same strip; how well a network does on photographs it has never seen any of is not what this tells.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import striate as st
from autoencode_evidence import measure
from series import Lines
from striate.core.contracts import Recipe
from striate.core.runtime import keep_freed_memory
from striate.core.signature import Signature
from striate.pixels.boxes import iou
from striate.training import recipes

MODEL = recipes.default_model("pasted", (3, 48, 48), "localise")
DATA = {"count": 4000, "size": 48}
FIRST = 10
"""The first seed that is judged; 0 to 9 are for choosing."""
KEPT = Path("runs") / "localise-digits-strips"


def each(seed: int, small: bool) -> dict[str, Any]:
    """Make the data and train, both from the seed; returns the test part's figures."""
    data = st.data.load("pasted", options={**DATA, "seed": seed} | ({"count": 200} if small else {}))
    folder = KEPT / (f"small-{seed}" if small else f"seed-{seed}")
    shutil.rmtree(folder, ignore_errors=True)
    run = st.train(MODEL, data, task="localise", folder=folder, seed=seed, progress=Lines(), epochs=1 if small else None)
    found = run.result["splits"]["test"]
    truth = data.tables["test"].extra["boxes"]
    fixed = np.asarray(iou(data.tables["train"].extra["boxes"].mean(0)[None], truth))
    return {
        "mean IoU": 1 - found["box_error"],
        "mean IoU of one fixed box": float(fixed.mean()),
        "class error": found["error"],
        "IoU under 0.5": found["missed"],
        "wrong class or IoU under 0.5": found["localisation_error"],
        "validation mean IoU": 1 - run.result["splits"]["val"]["box_error"],
        "validation class error": run.result["splits"]["val"]["error"],
        "seconds of training": run.result["seconds"],
    }


def choose(changes: list[str]) -> None:
    """Train on seed 0 with these changes of the recipe and print the validation figures; the test part is taken away before anything is trained."""
    keep_freed_memory()
    data = st.data.load("pasted", options=DATA)
    data = replace(data, spec=None, tables={name: table for name, table in data.tables.items() if name != "test"})
    folder = KEPT / "-".join(["choose", *changes])
    shutil.rmtree(folder, ignore_errors=True)
    settings = Signature.of_dataclass(Recipe).parse(changes)
    run = st.train(MODEL, data, task="localise", folder=folder, seed=0, settings=settings, progress=Lines())
    found = run.result["splits"]["val"]
    print(f"validation, {' '.join(changes) or 'the recipe as it is'}: mean IoU {1 - found['box_error']:.4f}, class error {found['error']:.2%}")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(add_help=False)
    arguments.add_argument("--choose", nargs="*", metavar="KEY=VALUE")
    given, _ = arguments.parse_known_args()
    if given.choose is not None:
        choose(given.choose)
    else:
        claim = "mean IoU of at least 0.8 and at most 20 % wrong classes on held-out digits and backgrounds, mean of 2 seeds (10 and 11)"
        recipe = recipes.default(MODEL, "pasted", "localise")
        facts = {"data": {"name": "pasted", **DATA, "seed": "the run's"}, "model": MODEL, "recipe": recipe.to_json()}
        measure("localise-digits", claim, each, seeds=2, first=FIRST, facts=facts)
