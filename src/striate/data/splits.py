"""Parting and joining splits: stratified by class, decided by a seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError, DataError, unknown_name
from striate.core.runtime import derived_seed
from striate.core.storage import digest
from striate.data.stores import Fixed, Ragged, Store, Tokens

if TYPE_CHECKING:
    from striate.data.dataset import Dataset, Table


def stratified(targets: npt.NDArray[np.int64] | None, count: int, share: float, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Part `count` samples into (kept, held out) row numbers, both ascending; `round(share * count)` are held out.

    Each class gives its share; what rounding leaves over goes to the classes with the largest remainders, ties to the lower class.
    Raises `ArgumentError` when either part would be empty.
    """
    if not 0 < share < 1:
        raise ArgumentError(f"share: got {share!r}, expected a share between 0 and 1")
    wanted = round(share * count)
    if not 0 < wanted < count:
        raise ArgumentError(f"share: {share:g} of {count} samples leaves one part empty")
    generator = np.random.Generator(np.random.PCG64(derived_seed(seed)))
    labels = np.zeros(count, dtype=np.int64) if targets is None or targets.ndim != 1 else targets
    sizes = np.bincount(labels)
    exact = sizes * (wanted / count)
    quota = np.floor(exact + 1e-9).astype(np.int64)
    for label in np.argsort(-(exact - quota), kind="stable")[: wanted - int(quota.sum())]:
        quota[label] += 1
    held = np.zeros(count, dtype=bool)
    for label in np.flatnonzero(quota):
        rows = np.flatnonzero(labels == label)
        held[generator.permutation(rows)[: quota[label]]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def fold_of(targets: npt.NDArray[np.int64], fold: int, folds: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Part samples into (kept, held out) row numbers for cross-validation; over `fold` 0 to `folds` - 1 every sample is held out once.

    Each class is shuffled by `seed` and dealt out in turn: folds differ by one sample at most and have the classes' shares. Raises `ArgumentError`.
    """
    if folds < 2 or not 0 <= fold < folds:
        raise ArgumentError(f"fold: got {fold} of {folds}, expected 0 to {max(folds, 2) - 1} of at least 2")
    if folds > len(targets):
        raise ArgumentError(f"folds: {folds} of {len(targets)} samples leaves folds empty")
    generator = np.random.Generator(np.random.PCG64(derived_seed(seed)))
    dealt = np.concatenate([generator.permutation(np.flatnonzero(targets == label)) for label in np.unique(targets)])
    held = np.zeros(len(targets), dtype=bool)
    held[dealt[fold::folds]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)


def held_out(data: Dataset, share: float, seed: int) -> Dataset:
    """Move a stratified share of `train` into `val`; see `Dataset.held_out`."""
    if "train" not in data.tables:
        raise unknown_name("split", "train", data.tables)
    table = data.tables["train"]
    kept, held = stratified(table.targets, len(table), share, seed)
    part = table.take(held)
    tables = {"train": table.take(kept), "val": joined([data.tables["val"], part]) if "val" in data.tables else part}
    tables.update({name: other for name, other in data.tables.items() if name not in tables})
    return dataclasses.replace(data, tables=_unseen_words_forgotten(tables))


def _unseen_words_forgotten(tables: dict[str, Table]) -> dict[str, Table]:
    """Turn words that the training split does not have into the unknown word everywhere else: the vocabulary comes from training only."""
    train = tables["train"].store
    if not isinstance(train, Tokens):
        return tables
    known = np.union1d(np.unique(train.tokens), [0])
    changed = dict(tables)
    for name, table in tables.items():
        if name != "train" and isinstance(table.store, Tokens):
            tokens = np.where(np.isin(table.store.tokens, known), table.store.tokens, 1)
            mark = digest(table.store.fingerprint, train.fingerprint)
            changed[name] = dataclasses.replace(table, store=dataclasses.replace(table.store, tokens=tokens, fingerprint=mark))
    return changed


def merged(data: Dataset, names: Sequence[str]) -> Dataset:
    """Join `names` onto `train`; see `Dataset.merged`."""
    for name in names:
        if name not in data.tables or name == "train":
            raise unknown_name("split", name, [other for other in data.tables if other != "train"])
    whole = joined([data.tables["train"], *(data.tables[name] for name in names)])
    return dataclasses.replace(data, tables={"train": whole, **{n: t for n, t in data.tables.items() if n != "train" and n not in names}})


def joined(tables: Sequence[Table]) -> Table:
    """Return the tables' samples one after the other. Raises `DataError` when their pictures do not fit together."""
    from striate.data.dataset import Table

    stores = [table.store for table in tables]
    extra = {name: np.concatenate([table.extra[name] for table in tables]) for name in tables[0].extra}
    labels = [table.targets for table in tables if table.targets is not None]
    if 0 < len(labels) < len(tables):
        raise DataError("cannot join a labelled with an unlabelled split")
    names = [name for table in tables for name in table.names or []] if all(table.names is not None for table in tables) else None
    return Table(_joined_stores(stores), np.concatenate(labels) if labels else None, names, extra)


def _joined_stores(stores: Sequence[Store]) -> Store:
    mark = digest(*(store.fingerprint for store in stores))
    fixed = [store for store in stores if isinstance(store, Fixed)]
    if len(fixed) == len(stores) and len({(store.shape, store.pixels.dtype) for store in fixed}) == 1:
        return Fixed(np.concatenate([store.pixels for store in fixed]), mark)
    tokens = [store for store in stores if isinstance(store, Tokens)]
    if len(tokens) == len(stores) and len({store.tokens.shape[1] for store in tokens}) == 1:
        texts = [s.texts for s in tokens if s.texts is not None]
        whole = np.concatenate(texts) if len(texts) == len(tokens) else None
        return Tokens(np.concatenate([s.tokens for s in tokens]), np.concatenate([s.lengths for s in tokens]), mark, whole)
    ragged = [store for store in stores if isinstance(store, Ragged)]
    if len(ragged) == len(stores):
        if all(store.data is ragged[0].data for store in ragged):  # parts of one pack
            starts = np.concatenate([store.offsets[: len(store)] for store in ragged])
            return Ragged(ragged[0].data, starts, np.concatenate([store.shapes for store in ragged]), mark)
        pictures = [store.picture(i) for store in ragged for i in range(len(store))]
        shapes = np.concatenate([store.shapes for store in ragged])
        offsets = np.concatenate([[0], np.cumsum(shapes.astype(np.int64).prod(axis=1))])
        return Ragged(np.concatenate([picture.reshape(-1) for picture in pictures]), offsets, shapes, mark)
    raise DataError("these splits hold samples of different kinds or sizes and cannot be joined")
