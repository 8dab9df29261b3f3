"""LeNet-5 on scikit-learn's digits: what `striate train` alone does.

    python recipes/digits_lenet5.py

Figures, seeds, machine and versions: logs/digits-lenet5.json.
"""

from __future__ import annotations

from series import main

if __name__ == "__main__":
    claim = "at least 98 % on a held-out fifth in at most 5 s of training on two cores, mean of 5 seeds"
    limits = {"mean_error": (0.0, 0.02), "mean_seconds": (0.0, 5.0)}
    main("digits-lenet5", claim, model="lenet5", data="digits", recipe="digits", seeds=5, limits=limits)
