"""striate on MNIST, as `striate train mnist` does it: one run of fixed length, the test set read once at its end."""

from __future__ import annotations

import argparse
import os
import tempfile

from common import tell


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="lenet5")
    parser.add_argument("--recipe", default=None)
    parser.add_argument("--epochs", type=float, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as the command line's --set")
    asked = parser.parse_args()

    from striate.core.contracts import Recipe
    from striate.core.runtime import keep_freed_memory
    from striate.core.signature import Signature

    keep_freed_memory()  # the command line does so first of all
    import striate

    settings = Signature.of_dataclass(Recipe).parse(asked.set)
    with tempfile.TemporaryDirectory() as folder:
        run = striate.train(
            asked.model,
            "mnist",
            recipe=asked.recipe,
            epochs=asked.epochs,
            seed=asked.seed,
            settings=settings,
            folder=os.path.join(folder, "run"),
        )
        result = run.result
        history = run.history
        tell(
            epochs=run.recipe.epochs,
            seconds=result["seconds"],
            epoch_seconds=result["seconds"] / run.recipe.epochs,
            wall=result["wall"],
            error=result["splits"]["test"]["error"],
            parameters=result["parameters"],
            recipe=run.recipe.to_json(),
            rows=len(history),
        )


if __name__ == "__main__":
    main()
