"""sprint32 on CIFAR-10: the course's human level (94 %) in minutes of two CPU cores.

    python recipes/cifar10_sprint32.py

Figures, seeds, machine and versions: logs/cifar10-sprint32.json.
"""

from __future__ import annotations

from series import main

if __name__ == "__main__":
    claim = "at least 94 % test accuracy, six test-time views, in at most 9 minutes on two cores, mean of 3 seeds"
    limits = {"mean_error": (0.0, 0.06), "mean_seconds": (0.0, 540.0)}
    main("cifar10-sprint32", claim, model="sprint32", data="cifar10", recipe="cifar-sprint", seeds=3, limits=limits)
