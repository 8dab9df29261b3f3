"""The small batch-norm net (33,594 parameters) on MNIST.

    python recipes/mnist_sprint28.py quick     # at most 2.5 s of training
    python recipes/mnist_sprint28.py better    # at most 12 s of training

Figures, seeds, machine and versions: logs/mnist-sprint28-quick.json, logs/mnist-sprint28-better.json.
"""

from __future__ import annotations

import sys

from series import main

FORMS = {
    "quick": (1.0, 2.5, "mnist-sprint-quick"),
    "better": (0.5, 12, "mnist-sprint"),
}

if __name__ == "__main__":
    form = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1] in FORMS else "better"
    percent, seconds, recipe = FORMS[form]
    claim = f"at most {percent:g} % test error in at most {seconds:g} s of training on two cores, mean of 5 seeds"
    limits = {"mean_error": (0.0, percent / 100), "mean_seconds": (0.0, seconds)}
    main(f"mnist-sprint28-{form}", claim, model="sprint28", data="mnist", recipe=recipe, seeds=5, limits=limits)
