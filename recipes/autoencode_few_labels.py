"""Few labels on MNIST: does pre-training on all pictures without labels help a classifier? Paired over seeds, reported also where it does not.

    python recipes/autoencode_few_labels.py

A fixed draw of 10,000 training pictures serves pre-training (denoising, masking 25 %, layer by layer, tied, five epochs a layer); 100, 1,000 and all
of them have labels. Both starts share draw, head, recipe and steps (1,000; with all labels three epochs or more); the test part is read once a start.
Two nets: ReLU and sigmoid, two hidden layers of 400. Figures: logs/autoencode-few-labels.json.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import sys
from pathlib import Path

from autoencode_evidence import LOGS, SMALL, subset
from striate import autoencode
from striate.autoencode.stacking import LAYERS
from striate.core.contracts import Recipe
from striate.core.runtime import keep_freed_memory, machine, versions
from striate.core.storage import write_json

LEARN = Recipe(name="few-labels", batch=100, optimiser="adamw", lr=1e-3, schedule="one-cycle")
PRETRAINING = {"method": "greedy", "noise": "masking", "amount": 0.25, "epochs": 5, "tied": True, "recipe": LAYERS}

if __name__ == "__main__":
    claim = "MNIST: test error with 100, 1,000 and all labels from random and from pre-trained weights, paired over seeds"
    arguments = argparse.ArgumentParser(description=claim)
    arguments.add_argument("--seeds", type=int, default=4)
    arguments.add_argument("--small", action="store_true", help=SMALL)
    given = arguments.parse_args()
    keep_freed_memory()
    found = {}
    for activation in ("relu", "sigmoid"):
        rows = autoencode.semi_supervised(
            subset("mnist", 500 if given.small else 10_000),
            options={"widths": (400, 400), "activation": activation},
            labels=(100, None) if given.small else (100, 1000, None),
            seeds=given.seeds,
            recipe=LEARN,
            steps=10 if given.small else 1000,
            pretraining={**PRETRAINING, "epochs": 1} if given.small else PRETRAINING,
            watch=lambda words: print(f"  {words}", flush=True),
        )
        found[activation] = [row.to_json() for row in rows]
        for row in rows:
            print(f"{activation}: {row}", flush=True)
    facts = {
        "name": "autoencode-few-labels",
        "claim": claim,
        "data": "mnist, 10,000 training pictures, whole test part",
        "nets": found,
        "recipe": LEARN.to_json(),
        "pretraining": {**PRETRAINING, "recipe": LAYERS.to_json()},
        "command": " ".join(["python", *(Path(a).name if i == 0 else a for i, a in enumerate(sys.argv))]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "host": platform.machine(),
    }
    if not given.small:
        write_json(LOGS / "autoencode-few-labels.json", facts)
