"""A contact sheet: some pictures of every class at a glance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from striate.core.arguments import whole_number
from striate.core.errors import ArgumentError, DataError, unknown_name
from striate.data.stores import Tokens

if TYPE_CHECKING:
    from striate.data.dataset import Dataset
    from striate.draw import Figure

CLASSES = 40
"""Most classes on one sheet."""


def contact_sheet(dataset: Dataset, split: str | None = None, *, per_class: int = 12, seed: int = 0, path: str | Path | None = None) -> Figure:
    """Draw `per_class` pictures of every class of a split (default: the training split), a row a class, drawn at random by `seed`.

    Of more than 40 classes the first 40 are shown, and the title says so; unlabelled pictures fill rows without a name. Written to `path`
    (.png or .svg) when given. Raises `UnknownNameError`, `ArgumentError`, and `DataError` for text.
    """
    from striate.draw import count, grid

    name = split if split is not None else next(key for key, table in dataset.tables.items() if table is dataset.training_table)
    if name not in dataset.tables:
        raise unknown_name("split", name, dataset.tables)
    if per_class < 1:
        raise ArgumentError(f"per_class: got {per_class}, expected 1 or more")
    table = dataset.tables[name]
    if isinstance(table.store, Tokens):
        raise DataError(f"{dataset.name} is text; a contact sheet shows pictures")
    if not len(table):
        raise DataError(f"{dataset.name}: {name} is empty; choose another split")
    rng = np.random.default_rng(whole_number("seed", seed, least=0))
    labelled = table.targets is not None and table.targets.ndim == 1
    if labelled and table.targets is not None:
        shown = dataset.classes[:CLASSES]
        members = [np.flatnonzero(table.targets == number) for number in range(len(shown))]
        rows: list[str] | None = [f"{label}  {count(len(of))}" for label, of in zip(shown, members, strict=True)]
    else:
        shown, members, rows = (), np.array_split(np.arange(len(table)), min(8, -(-len(table) // per_class))), None
    pictures: list[npt.NDArray[np.uint8] | None] = []
    across = min(per_class, max(len(of) for of in members))
    for of in members:
        chosen = np.sort(rng.permutation(of)[:across])
        row = dataset.pictures(name, chosen.tolist())
        pictures += [*row, *[None] * (across - len(row))]
    more = f"; the first {CLASSES} of {len(dataset.classes):,} classes" if labelled and len(dataset.classes) > CLASSES else ""
    title = f"{dataset.name}, {name}: {count(len(table))} pictures{more}"
    small = max(max(picture.shape[:2]) for picture in pictures if picture is not None) < 64
    sheet = grid(pictures, title=title, columns=across, rows=rows, size=56 if small else 96, width=2000)
    if path is not None:
        sheet.save(path)
    return sheet
