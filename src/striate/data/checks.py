"""What goes wrong with data, looked for before training: broken files, copies, leaks between splits, contradicting labels, imbalance."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from striate.data.alike import find_alike
from striate.data.findings import CheckReport, Sample, SplitFacts
from striate.data.stores import Fixed, Tokens

if TYPE_CHECKING:
    from striate.data.dataset import Dataset, Table


def check(dataset: Dataset, *, near: bool = True) -> CheckReport:
    """Look at every sample of every split and return what was found.

    `near=False` leaves out the search for near duplicates, the slow part: some seconds for 70,000 small pictures, nothing the second time. Near
    duplicates are the same picture saved again, resized, or with other brightness or contrast; a crop of more than a few per cent is not found.
    """
    began = time.perf_counter()
    names = list(dataset.tables)
    tables = list(dataset.tables.values())
    sought = near and not any(isinstance(table.store, Tokens) for table in tables)
    found = find_alike([table.store for table in tables], near=near)
    starts = np.cumsum([0, *(len(table) for table in tables)])

    def sample(place: int) -> Sample:
        part = int(np.searchsorted(starts, place, side="right")) - 1
        index, table = int(place - starts[part]), tables[part]
        label = None
        if table.targets is not None and table.targets.ndim == 1:
            label = dataset.classes[int(table.targets[index])]
        return Sample(names[part], index, None if table.names is None else table.names[index], label)

    blank = set(found.blank)
    return CheckReport(
        name=dataset.name,
        kind="text" if isinstance(tables[0].store, Tokens) else "pictures",
        classes=dataset.classes,
        splits={name: facts_of(table, len(dataset.classes)) for name, table in dataset.tables.items()},
        broken=tuple({"path": str(problem.path), "reason": problem.reason, "fix": problem.fix} for problem in dataset.problems),
        blank=tuple(sample(place) for place in found.blank),
        duplicates=tuple(tuple(sample(place) for place in group) for group in found.groups if group[0] not in blank),
        near=tuple((sample(a), sample(b), round(float(like), 4)) for (a, b), like in zip(found.pairs, found.likeness, strict=True))
        if sought
        else None,
        common=found.common,
        least=found.least,
        training=next(name for name, table in dataset.tables.items() if table is dataset.training_table),
        notes=dataset.notes,
        empty_folders=dataset.empty_folders,
        seconds=time.perf_counter() - began,
    )


def facts_of(table: Table, classes: int) -> SplitFacts:
    """Return counts, sizes and channels of one split."""
    labelled = table.targets is not None and table.targets.ndim == 1
    counts = np.bincount(table.targets, minlength=classes).tolist() if labelled and table.targets is not None else None
    if isinstance(table.store, Tokens):
        lengths = np.asarray(table.store.lengths)
        return SplitFacts(len(table), counts, lengths=_three(lengths) if len(lengths) else None)
    if isinstance(table.store, Fixed):
        channels, height, width = table.store.shape
        sizes, kinds = np.array([[height, width]]), Counter({channels: len(table)})
    else:
        sizes, kinds = np.asarray(table.store.shapes[:, :2]), Counter(np.asarray(table.store.shapes[:, 2]).tolist())
    if not len(sizes):
        return SplitFacts(len(table), counts)
    area, aspect = sizes[:, 0].astype(np.int64) * sizes[:, 1], sizes[:, 1] / sizes[:, 0]
    order = np.argsort(area, kind="stable")
    of_three = [sizes[order[place]].tolist() for place in (0, (len(order) - 1) // 2, -1)]
    return SplitFacts(
        len(table),
        counts,
        sizes=((of_three[0][0], of_three[0][1]), (of_three[1][0], of_three[1][1]), (of_three[2][0], of_three[2][1])),
        distinct=len(np.unique(sizes, axis=0)),
        aspect=_three(aspect),
        channels={int(kind): number for kind, number in sorted(kinds.items())},
    )


def class_weights(counts: npt.ArrayLike) -> list[float]:
    """Return one weight a class, n / (classes * count), so that each class weighs the same in a loss; 0 for a class without samples."""
    numbers = np.asarray(counts, np.float64)
    present = numbers > 0
    weights = np.zeros_like(numbers)
    weights[present] = numbers.sum() / (present.sum() * numbers[present])
    return [float(weight) for weight in weights]


def _three(values: npt.NDArray[Any]) -> tuple[float, float, float]:
    return float(values.min()), float(np.median(values)), float(values.max())
