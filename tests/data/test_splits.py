"""Held-out parts: stratified, decided by the seed, and nothing lost."""

from __future__ import annotations

import numpy as np
import pytest

from striate import data as d
from striate.core.errors import ArgumentError, DataError, UnknownNameError
from striate.data.splits import fold_of, stratified
from striate.data.stores import Fixed, Ragged


def unbalanced(count=200):
    targets = np.r_[np.zeros(count - 43), np.ones(30), np.full(13, 2)].astype(np.int64)
    x = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 3, 3), np.uint8)
    return d.arrays(x, targets[np.random.default_rng(0).permutation(count)], test=(x[:5], np.array([0, 1, 2, 0, 0])))


def test_each_class_gives_its_share():
    targets = np.repeat([0, 1, 2, 3], [100, 50, 7, 3])
    kept, held = stratified(targets, 160, 0.1, 0)
    assert np.array_equal(np.sort(np.r_[kept, held]), np.arange(160))
    assert np.bincount(targets[held], minlength=4).tolist() == [10, 5, 1, 0]
    assert len(stratified(targets, 160, 0.25, 0)[1]) == 40
    for share in (0.013, 0.2, 0.37, 0.9):
        assert len(stratified(targets, 160, share, 1)[1]) == round(share * 160)


def test_the_seed_decides():
    targets = np.arange(60) % 3
    first, again, other = (stratified(targets, 60, 0.5, seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_every_row_is_as_likely():
    hits = sum(np.isin(np.arange(30), stratified(np.arange(30) % 3, 30, 0.2, seed)[1]) for seed in range(400))
    assert np.abs(hits / 400 - 0.2).max() < 4 * (0.16 / 400) ** 0.5


@pytest.mark.parametrize("share", [0, 1, 1.5, -0.1, 0.001, 0.999])
def test_shares_that_leave_a_part_empty_are_refused(share):
    with pytest.raises(ArgumentError, match="share"):
        unbalanced().held_out(share)


def test_held_out_moves_rows_with_their_labels_and_names():
    data = unbalanced()
    table = data.tables["train"]
    table = d.Table(table.store, table.targets, [f"{i}.png" for i in range(200)], {"weight": np.arange(200.0)})
    data = d.Dataset(name="x", classes=data.classes, tables={"train": table, "test": data.tables["test"]})
    part = data.held_out(0.2, seed=4)
    assert part.splits == ("train", "val", "test")
    assert [len(part.tables[name]) for name in part.splits] == [160, 40, 5]
    seen = []
    for name in ("train", "val"):
        for i in range(len(part.tables[name])):
            row = int(part.tables[name].store.picture(i)[0, 0, 0])
            assert part.tables[name].targets[i] == table.targets[row]
            assert part.tables[name].names[i] == f"{row}.png"
            assert part.tables[name].extra["weight"][i] == row
            seen.append(row)
    assert sorted(seen) == list(range(200))
    assert part.fingerprint == data.held_out(0.2, seed=4).fingerprint != data.fingerprint
    assert data.splits == ("train", "test")  # the first one is as it was


def test_what_is_held_out_is_not_learned_from():
    data = unbalanced().held_out(0.5)
    left = data.tables["train"].store.pixels / 255
    assert data.preprocess.mean[0] == pytest.approx(left.mean(), rel=1e-12)
    assert data.preprocess.mean[0] != pytest.approx(unbalanced().preprocess.mean[0], rel=1e-4)


def test_held_out_adds_to_a_validation_part_and_merged_takes_it_back():
    twice = unbalanced().held_out(0.2).held_out(0.25, seed=1)
    assert [len(twice.tables[name]) for name in ("train", "val")] == [120, 80]
    whole = twice.merged("val")
    assert whole.splits == ("train", "test")
    pixels = sorted(whole.tables["train"].store.pixels[:, 0, 0, 0])
    assert pixels == list(range(200))
    with pytest.raises(UnknownNameError, match="val"):
        whole.merged("val")


def ragged(count=12):
    numbers = np.random.default_rng(0)
    shapes = numbers.integers(3, 9, (count, 3)).astype(np.int32)
    shapes[:, 2] = 3
    offsets = np.r_[0, np.cumsum(shapes.prod(1))].astype(np.int64)
    return Ragged(numbers.integers(0, 256, offsets[-1]).astype(np.uint8), offsets, shapes, "ragged")


def test_pictures_of_many_sizes_are_parted_without_copying_and_joined_again():
    store = ragged()
    data = d.Dataset(name="r", classes=("a", "b"), tables={"train": d.Table(store, np.arange(12) % 2)})
    part = data.held_out(0.25)
    for name in ("train", "val"):
        table = part.tables[name]
        assert all(np.shares_memory(table.store.picture(i), store.data) for i in range(len(table)))
    originals = {store.picture(i).tobytes(): i % 2 for i in range(12)}
    whole = part.merged("val").tables["train"]
    assert {whole.store.picture(i).tobytes(): int(whole.targets[i]) for i in range(12)} == originals
    second = ragged()
    both = d.Dataset(name="r", classes=("a", "b"), tables={"train": d.Table(store, np.arange(12) % 2), "val": d.Table(second, np.arange(12) % 2)})
    merged = both.merged("val").tables["train"].store
    assert [merged.picture(i).tobytes() for i in range(24)] == [store.picture(i % 12).tobytes() for i in range(24)]


def test_splits_of_different_kinds_cannot_be_joined():
    fixed = Fixed(np.zeros((4, 3, 5, 5), np.uint8), "fixed")
    data = d.Dataset(
        name="x", classes=("a",), tables={"train": d.Table(fixed, np.zeros(4, np.int64)), "val": d.Table(ragged(), np.zeros(12, np.int64))}
    )
    with pytest.raises(DataError, match="cannot be joined"):
        data.merged("val")


def test_class_weights_balance_the_classes():
    data = unbalanced()
    counts, weights = data.class_counts(), data.class_weights()
    assert counts.tolist() == [157, 30, 13]
    assert np.allclose(counts * weights, 200 / 3)
    empty = d.arrays(np.zeros((4, 2, 2), np.uint8), np.array([0, 0, 2, 2]), classes=("a", "b", "c"))
    assert empty.class_weights().tolist() == [1.0, 0.0, 1.0]
    with pytest.raises(DataError, match="no class labels"):
        d.arrays(np.zeros((4, 2, 2), np.uint8)).class_counts()


def test_wrong_tables_are_refused():
    store = Fixed(np.zeros((4, 1, 5, 5), np.uint8), "x")
    with pytest.raises(ArgumentError, match="targets: 3 entries for 4 samples"):
        d.Table(store, np.zeros(3, np.int64))
    with pytest.raises(DataError, match="labels of train run from 0 to 2, but there are 2 classes"):
        d.Dataset(name="x", classes=("a", "b"), tables={"train": d.Table(store, np.array([0, 1, 2, 0]))})
    with pytest.raises(ArgumentError, match="expected N C H W"):
        Fixed(np.zeros((4, 5, 5), np.uint8), "x")


def test_folds_hold_every_sample_out_once_with_the_classes_shares():
    targets = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], [101, 50, 12]))
    held = [fold_of(targets, fold, 5, seed=3)[1] for fold in range(5)]
    assert np.array_equal(np.sort(np.concatenate(held)), np.arange(163))
    for fold, rows in enumerate(held):
        assert 32 <= len(rows) <= 33
        assert (np.abs(np.bincount(targets[rows], minlength=3) - np.array([101, 50, 12]) / 5) < 1).all()
        assert np.array_equal(np.sort(np.r_[fold_of(targets, fold, 5, seed=3)[0], rows]), np.arange(163))
    assert not np.array_equal(held[0], fold_of(targets, 0, 5, seed=4)[1])
    for fold, folds in ((5, 5), (-1, 5), (0, 1)):
        with pytest.raises(ArgumentError, match="fold: got"):
            fold_of(targets, fold, folds, seed=0)
    with pytest.raises(ArgumentError, match="leaves folds empty"):
        fold_of(targets[:3], 0, 4, seed=0)
