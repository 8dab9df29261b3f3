"""Few labels, many pictures: does pre-training on the pictures help? Paired over seeds, with the spread, also where the answer is no (row E7)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from striate.autoencode.pretraining import pretrain
from striate.core.contracts import Recipe
from striate.core.errors import ArgumentError, DataError
from striate.core.runtime import derived_seed, random_state_kept


@dataclass(frozen=True)
class Comparison:
    """Test errors (shares of 1) with so many labels, seed by seed: from random first weights and from pre-trained ones."""

    labels: int
    random: tuple[float, ...]
    pretrained: tuple[float, ...]

    @property
    def gain(self) -> float:
        """Mean of the paired differences, random less pre-trained: above 0 where pre-training helps."""
        return statistics.fmean(a - b for a, b in zip(self.random, self.pretrained, strict=True))

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the gain by Student's t over the seeds; None for one seed."""
        differences = [a - b for a, b in zip(self.random, self.pretrained, strict=True)]
        if len(differences) < 2:
            return None
        from scipy.stats import t

        half = float(t.ppf(0.975, len(differences) - 1)) * statistics.stdev(differences) / math.sqrt(len(differences))
        return self.gain - half, self.gain + half

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        bounds = None if self.interval is None else list(self.interval)
        return {"labels": self.labels, "random": list(self.random), "pretrained": list(self.pretrained), "gain": self.gain, "interval": bounds}

    def __str__(self) -> str:
        """One line, in points."""
        told = "" if self.interval is None else f" (95 % {100 * self.interval[0]:+.2f} to {100 * self.interval[1]:+.2f})"
        low, high = self.interval or (-1.0, 1.0)
        word = "helps" if low > 0 else "hurts" if high < 0 else "makes no clear difference"
        errors = f"random {100 * statistics.fmean(self.random):.2f} %, pre-trained {100 * statistics.fmean(self.pretrained):.2f} %"
        return f"{self.labels:,} labels: {errors}; gain {100 * self.gain:+.2f} points{told}: {word}"


def semi_supervised(
    data: Any,
    *,
    model: str = "mlp",
    options: Mapping[str, Any] | None = None,
    labels: Sequence[int | None] = (100, 1000, None),
    seeds: int = 5,
    recipe: Recipe | None = None,
    steps: int = 1000,
    pretraining: Mapping[str, Any] | None = None,
    watch: Callable[[str], None] | None = None,
) -> list[Comparison]:
    """Compare a classifier of the zoo from random and from pre-trained first weights, with few to all labels (None), over seeds.

    Every training picture serves pre-training, without its label; the labelled ones are a seeded stratified draw. Both starts share seed, draw,
    head's first weights, recipe and number of steps (`steps`; with all labels at least three epochs), and are judged once on the test part, final
    weights. `pretraining` goes to `pretrain`. Raises `DataError` for data without labels or a test part, `ArgumentError` for a count of labels.
    """
    from striate.data import load
    from striate.data.splits import stratified
    from striate.training import train
    from striate.zoo import build

    opened = load(data)
    table = opened.tables.get("train")
    if table is None or table.targets is None or "test" not in opened.tables:
        raise DataError(f"{opened.name}: needs labels in train, and a test part; it has {', '.join(opened.splits)}")
    counts = [len(table) if count is None else count for count in labels]
    for count in counts:
        if not 2 * len(opened.classes) <= count <= len(table):
            raise ArgumentError(f"labels: got {count}, expected {2 * len(opened.classes)} (two a class) to {len(table)}")
    prepared = opened.with_preprocess(opened.preprocess)
    errors: dict[tuple[int, str], list[float]] = {}
    for seed in range(seeds):
        with random_state_kept():
            torch.manual_seed(derived_seed(seed, 23))
            fresh = build(model, classes=len(opened.classes), input=opened.shape, options=options)
        warmed = _copy(fresh)
        found = pretrain(warmed, _without_labels(prepared), seed=seed, **dict(pretraining or {}))
        if watch is not None:
            watch(f"seed {seed}: {found}")
        for count in counts:
            rows = np.arange(len(table))
            if count < len(table):
                rows = np.sort(stratified(table.targets, len(table), count / len(table), derived_seed(seed, count))[1])
            part = _labelled(prepared, rows)
            chosen = recipe or Recipe(name="few-labels", batch=min(100, len(rows)), optimiser="adamw", lr=1e-3, schedule="one-cycle")
            chosen = chosen.edited(batch=min(chosen.batch, len(rows)))
            an_epoch = math.ceil(len(rows) / chosen.batch)
            chosen = chosen.edited(epochs=float(max(steps / an_epoch, 3.0)))
            for word, start in (("random", fresh), ("pretrained", warmed)):
                with TemporaryDirectory() as scratch:
                    run = train(_copy(start), part, recipe=chosen, seed=seed, folder=Path(scratch) / "run")
                    error = float((run.result or {})["splits"]["test"]["error"])
                errors.setdefault((count, word), []).append(error)
                if watch is not None:
                    watch(f"seed {seed}, {count:,} labels, {word}: {100 * error:.2f} % wrong")
    return [Comparison(count, tuple(errors[count, "random"]), tuple(errors[count, "pretrained"])) for count in counts]


def _copy(model: Any) -> Any:
    import copy

    made = copy.deepcopy(model)
    if hasattr(model, "spec"):
        object.__setattr__(made, "spec", model.spec)
    return made


def _without_labels(data: Any) -> Any:
    from dataclasses import replace

    return replace(data, tables={"train": replace(data.tables["train"], targets=None)})


def _labelled(data: Any, rows: Any) -> Any:
    from dataclasses import replace

    return replace(data, tables={"train": data.tables["train"].take(rows), "test": data.tables["test"]})
