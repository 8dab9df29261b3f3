"""The small batch-norm net (33,594 parameters) on MNIST.

    python recipes/mnist_sprint28.py quick     # at most 2.5 s of training
    python recipes/mnist_sprint28.py better    # at most 12 s of training

Figures, seeds, machine and versions: logs/mnist-sprint28-quick.json, logs/mnist-sprint28-better.json.
"""

from __future__ import annotations

import sys

from series import main

FORMS = {
    "quick": ("at most 1 % test error in at most 2.5 s of training on two cores, mean of 5 seeds", "mnist-sprint-quick"),
    "better": ("at most 0.5 % test error in at most 12 s of training on two cores, mean of 5 seeds", "mnist-sprint"),
}

if __name__ == "__main__":
    form = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1] in FORMS else "better"
    claim, recipe = FORMS[form]
    main(f"mnist-sprint28-{form}", claim, model="sprint28", data="mnist", recipe=recipe, seeds=5)
