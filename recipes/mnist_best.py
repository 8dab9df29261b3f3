"""The best that 15 minutes of two CPU cores buy on MNIST: single nets and the ensemble of all of them.

    python recipes/mnist_best.py

Every net is sprint28 with more filters and turned, scaled, shifted pictures, trained on the whole training split at a fixed length. The recipe was
chosen on a validation part. Figures, seeds, machine and versions: logs/mnist-best.json.
"""

from __future__ import annotations

import statistics

import striate as st
from series import LOGS, main
from striate.core.storage import read_json, write_json

NETS = 4
CLAIM = f"the best single nets and the best ensemble of {NETS} that 15 minutes of training on two cores buy"

if __name__ == "__main__":
    summary = main("mnist-best", CLAIM, model="sprint28", data="mnist", recipe="mnist-best", seeds=NETS, options={"widths": [32, 64, 64, 128]})
    if summary["part"] == "test" and summary["kept"]:
        runs = [row["folder"] for row in summary["runs"]]
        voted = st.ensemble(runs, "mnist", views="one")
        errors = [row["error"] for row in summary["runs"]]
        print(f"ensemble of {len(runs)}: {voted.figures['error']:.2%}; single nets {min(errors):.2%} to {max(errors):.2%}")
        written = read_json(LOGS / "mnist-best.json")
        written["ensemble"] = {"of": len(runs), **voted.figures, "seconds": sum(row["seconds"] for row in summary["runs"])}
        written["single"] = {"mean": statistics.fmean(errors), "best": min(errors), "worst": max(errors)}
        write_json(LOGS / "mnist-best.json", written)
