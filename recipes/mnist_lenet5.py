"""LeNet-5 (61,706 parameters) on MNIST.

    python recipes/mnist_lenet5.py quick     # at most 6 s of training
    python recipes/mnist_lenet5.py better    # at most 12 s of training

Figures, seeds, machine and versions: logs/mnist-lenet5-quick.json, logs/mnist-lenet5-better.json.
"""

from __future__ import annotations

import sys

from series import main

FORMS = {
    "quick": (0.82, 6, "mnist-quick"),
    "better": (0.60, 12, "mnist-better"),
}

if __name__ == "__main__":
    form = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1] in FORMS else "quick"
    percent, seconds, recipe = FORMS[form]
    claim = f"at most {percent:.2f} % test error in at most {seconds:g} s of training on two cores, mean of 5 seeds"
    limits = {"mean_error": (0.0, percent / 100), "mean_seconds": (0.0, seconds)}
    main(f"mnist-lenet5-{form}", claim, model="lenet5", data="mnist", recipe=recipe, seeds=5, limits=limits)
