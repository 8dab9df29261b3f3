"""Text CNN on the movie reviews: ten-fold cross-validation with random word vectors, as in Kim 2014.

    python recipes/movie_reviews.py FOLDER    # with rt-polarity.neg and rt-polarity.pos

Every fold has a vocabulary, a network and a seed of its own; nine tenths train, for a fixed length. Length and rate were chosen on a tenth of the
training parts of the first three folds (`--validation 0.1 --folds 3`). Deviations from the paper: AdamW for Adadelta and vectors of 128 numbers
for 300, which makes a fold a matter of seconds. Figures, folds, machine and versions: logs/movie-reviews-text-cnn.json.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

import striate as st
from series import LOGS
from striate.core.contracts import Recipe
from striate.core.runtime import keep_freed_memory, machine, versions
from striate.core.signature import Signature
from striate.core.storage import write_json
from striate.training import recipes

NAME = "movie-reviews-text-cnn"
CLAIM = "76.1 ± 1 % of movie reviews right over ten folds with random word vectors (Kim 2014, CNN-rand)"
RECIPE = recipes.get("sentences")
OPTIONS = {"width": 128}
FOLDS = 10


def main() -> None:
    """Train a network a fold, print and write the figures."""
    arguments = argparse.ArgumentParser(description=CLAIM)
    arguments.add_argument("folder", type=Path, help="with rt-polarity.neg and rt-polarity.pos")
    arguments.add_argument("--folds", type=int, default=FOLDS, help=f"run only so many of the {FOLDS}")
    arguments.add_argument("--validation", type=float, default=0.0, help="hold out this share of each training part and report on it instead")
    arguments.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe, for choosing")
    arguments.add_argument("--keep", type=Path, default=Path("runs") / NAME, help="where the runs are kept")
    given = arguments.parse_args()
    keep_freed_memory()
    recipe = RECIPE.edited(validation=given.validation, **Signature.of_dataclass(Recipe).parse(given.set))
    part = "val" if given.validation else "test"
    rows = [fold_of(given.folder, fold, recipe, given.keep / f"fold-{fold}", part) for fold in range(given.folds)]
    errors, counts = [row["error"] for row in rows], [row["n"] for row in rows]
    error = sum(e * n for e, n in zip(errors, counts, strict=True)) / sum(counts)
    seconds = statistics.fmean(row["seconds"] for row in rows)
    print(f"{NAME}: {1 - error:.2%} right on the {part} parts of {len(rows)} folds, {seconds:.1f} s of training each")
    if part == "test" and not given.set and given.folds == FOLDS:
        write_json(LOGS / f"{NAME}.json", evidence(rows, error, recipe))


def fold_of(folder: Path, fold: int, recipe: Recipe, keep: Path, part: str) -> dict[str, Any]:
    """Train on all folds but one and return the figures on `part`."""
    data = st.data.text(folder, fold=fold, folds=FOLDS)
    shutil.rmtree(keep, ignore_errors=True)
    run = st.train("text_cnn", data, recipe=recipe, options=OPTIONS, folder=keep, seed=fold)
    figures = run.result["splits"][part]
    row = {"fold": fold, "words": len(data.preprocess), "seconds": run.result["seconds"], "parameters": run.result["parameters"], **figures}
    print(f"fold {fold}: {part} error {row['error']:.2%} after {row['seconds']:.1f} s of training", flush=True)
    return row | {"data": data.fingerprint}


def evidence(rows: list[dict[str, Any]], error: float, recipe: Recipe) -> dict[str, Any]:
    """Return what the log holds."""
    return {
        "name": NAME,
        "claim": CLAIM,
        "part": "test",
        "mean_error": error,
        "spread": statistics.stdev(row["error"] for row in rows),
        "mean_seconds": statistics.fmean(row["seconds"] for row in rows),
        "runs": rows,
        "recipe": recipe.to_json(),
        "model": "text_cnn",
        "options": OPTIONS,
        "kept": True,
        "command": f"python {Path(sys.argv[0]).name} FOLDER",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "host": platform.machine(),
    }


if __name__ == "__main__":
    main()
