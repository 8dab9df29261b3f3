"""What every architecture costs at its card's input, measured once and kept in figures.json, so that listings need no torch.

`python -m striate.zoo.figures [NAME ...]` measures again; a test compares file and measurement.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from striate.core.contracts import dump_json

FILE = "figures.json"


@cache
def figures() -> dict[str, dict[str, Any]]:
    """Return name -> figures: `input` (C, H, W), `classes`, `multiply_adds`, `stored`, `receptive_field`, `error`.

    `stored` are the bytes training keeps for one picture, `receptive_field` the side, in pixels, of what one unit of the last maps sees (None where
    it cannot be told), `error` the published one with its data set, or empty.
    """
    found: dict[str, dict[str, Any]] = json.loads(resources.files("striate.zoo").joinpath(FILE).read_text(encoding="utf-8"))
    return found


def measured(name: str) -> dict[str, Any]:
    """Measure one architecture at its card's input, without weights or values."""
    from striate.measure import summary
    from striate.zoo.building import build, card

    told = card(name)
    found = summary(lambda: build(name, classes=told.classes, input=told.input), told.input)
    seen = found[found.last_map].receptive_field if found.last_map else None
    return {
        "input": list(told.input),
        "classes": told.classes,
        "multiply_adds": found.totals.multiply_adds,
        "stored": found.totals.stored,
        "receptive_field": max(seen.size) if seen else None,
        "error": told.error,
    }


def main(wanted: Sequence[str] = ()) -> None:
    """Measure the architectures `wanted` (all when none is named) and write the file anew; what is no architecture any more leaves it."""
    from striate.zoo.building import names

    target = Path(__file__).with_name(FILE)
    before = figures() if wanted and target.exists() else {}
    kept = {name: before[name] for name in names() if name in before}
    found = kept | {name: measured(name) for name in wanted or names()}
    target.write_text(dump_json(dict(sorted(found.items()))), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
