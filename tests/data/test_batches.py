"""Batches: order, sizes, ranks and resumption are functions of (seed, epoch, step)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate import data as d
from striate.core.contracts import Data, Split
from striate.core.errors import ArgumentError, UnknownNameError

EVERY = [
    ("crop(2)", "mirror"),
    ("shift(1, 2, mode='edge')",),
    ("crop(3, mode='reflect')", "mirror(alternate=True)"),
    ("affine(15, squeeze=0.2, shear=5.0, shift=0.1)",),
    ("resized_crop",),
    ("jitter(hue=0.1)", "cutout(5)"),
    ("lighting", "mixup(0.3)"),
    ("crop(2)", "mirror(alternate=True)", "jitter", "cutout(4)", "mixup"),
]


def colour(count=53, size=12, classes=4, dtype=np.uint8):
    numbers = np.random.default_rng(0)
    x = numbers.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    x = x if dtype == np.uint8 else (x / 255).astype(dtype)
    return d.arrays(x, np.arange(count) % classes)


def epoch(split, size=10, **options):
    return list(split.batches(size, **{"epoch": 0, "seed": 3, **options}))


def same(a, b):
    return all(torch.equal(p.x, q.x) and torch.equal(p.y, q.y) and torch.equal(p.index, q.index) for p, q in zip(a, b, strict=True))


def test_contracts_are_met():
    data = colour()
    assert isinstance(data, Data)
    assert isinstance(data.split("train"), Split)


@pytest.mark.parametrize(("size", "expected"), [(10, [8, 9, 9, 9, 9, 9]), (53, [53]), (100, [53]), (52, [26, 27]), (1, [1] * 53)])
def test_an_epoch_has_ceil_n_over_size_steps_of_nearly_equal_size(size, expected):
    batches = epoch(colour().split("train"), size)
    assert sorted(len(batch) for batch in batches) == expected
    assert torch.equal(torch.cat([batch.index for batch in batches]), torch.arange(53))


def test_evaluation_is_standardised_pixels_in_order():
    data = colour()
    pixels = data.tables["train"].store.pixels.astype(np.float64)
    expected = (pixels - pixels.mean((0, 2, 3), keepdims=True)) / pixels.std((0, 2, 3), keepdims=True)
    x = torch.cat([batch.x for batch in epoch(data.split("train"))])
    assert x.dtype == torch.float32
    assert np.abs(x.numpy() - expected).max() < 2e-6
    whole = data.preprocess(torch.from_numpy(data.tables["train"].store.pixels))
    assert torch.allclose(x, whole, atol=2e-6)  # what prediction will do


def test_float_pixels_are_standardised_in_their_own_units():
    numbers = np.random.default_rng(1)
    x = numbers.normal(0.5, 0.2, (40, 2, 5, 7)).astype(np.float32)
    got = torch.cat([batch.x for batch in epoch(d.arrays(x).split("train"))]).numpy()
    wide = x.astype(np.float64)
    assert np.abs(got - (wide - wide.mean((0, 2, 3), keepdims=True)) / wide.std((0, 2, 3), keepdims=True)).max() < 1e-5
    assert epoch(d.arrays(x).split("train"))[0].y is None


def test_the_store_is_never_written_to():
    for dtype in (np.uint8, np.float32):
        data = colour(dtype=dtype)
        before = data.tables["train"].store.pixels.copy()
        for specs in EVERY:
            epoch(data.prepared(augment=specs).split("train", training=True))
        assert np.array_equal(before, data.tables["train"].store.pixels)


def test_training_order_is_a_permutation_that_changes_with_epoch_and_seed():
    split = colour().split("train", training=True)
    orders = [torch.cat([batch.index for batch in epoch(split, **options)]) for options in ({}, {}, {"epoch": 1}, {"seed": 4})]
    assert all(torch.equal(order.sort().values, torch.arange(53)) for order in orders)
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[3])


@pytest.mark.parametrize("augment", EVERY, ids=str)
def test_same_seed_same_bits_other_epoch_other_pictures(augment):
    split = colour().prepared(augment=augment).split("train", training=True)
    assert same(epoch(split), epoch(split))
    first = {int(i): x for batch in epoch(split) for i, x in zip(batch.index, batch.x, strict=True)}
    second = {int(i): x for batch in epoch(split, epoch=1) for i, x in zip(batch.index, batch.x, strict=True)}
    assert sum(not torch.equal(first[i], second[i]) for i in first) > len(first) * 0.4


@pytest.mark.parametrize("augment", EVERY, ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_ranks_slice_the_global_batch(augment, dtype):
    split = colour(dtype=dtype).prepared(augment=augment).split("train", training=True)
    whole = epoch(split)
    parts = [epoch(split, rank=rank, world=3) for rank in range(3)]
    for step, batch in enumerate(whole):
        rows = [part[step] for part in parts]
        assert torch.allclose(torch.cat([row.x for row in rows]), batch.x, rtol=0, atol=1e-6)
        assert torch.equal(torch.cat([row.index for row in rows]), batch.index)
        assert torch.allclose(torch.cat([row.y for row in rows]), batch.y)
        assert max(map(len, rows)) - min(map(len, rows)) <= 1


@pytest.mark.parametrize("augment", EVERY, ids=str)
def test_starting_late_equals_skipping(augment):
    split = colour().prepared(augment=augment).split("train", training=True)
    assert same(epoch(split, start=4), epoch(split)[4:])
    assert epoch(split, start=6) == []


def test_evaluation_is_never_augmented():
    data = colour()
    assert same(epoch(data.prepared(augment=("crop", "mixup")).split("train")), epoch(data.split("train")))


def test_extra_columns_and_shares_follow_their_samples():
    data = colour()
    table = data.tables["train"]
    weights = np.arange(53, dtype=np.float32)
    data = d.Dataset(name="x", classes=data.classes, tables={"train": d.Table(table.store, table.targets, extra={"weights": weights})})
    for batch in epoch(data.prepared(classes_as_shares=True).split("train", training=True)):
        assert torch.equal(batch.extra["weights"], batch.index.float())
        assert torch.equal(batch.y, torch.nn.functional.one_hot(batch.index % 4, 4).float())


def test_boxes_refuse_to_be_blended():
    data = colour()
    table = d.Table(data.tables["train"].store, data.tables["train"].targets, extra={"boxes": np.ones((53, 4), np.float32)})
    data = d.Dataset(name="x", classes=data.classes, tables={"train": table})
    with pytest.raises(ArgumentError, match=r"mixup.* no one box"):
        data.prepared(augment=("jitter", "mixup")).split("train", training=True)


@pytest.mark.parametrize("options", [{"size": 0}, {"start": -1}, {"rank": 2, "world": 2}, {"epoch": -1}, {"size": 2, "world": 3}], ids=str)
def test_wrong_numbers_are_refused_at_once(options):
    with pytest.raises(ArgumentError, match="batches"):
        colour().split("train").batches(**{"size": 5, "epoch": 0, "seed": 0, **options})


def test_unknown_split_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean train"):
        colour().split("trian")


def test_colour_is_delivered_channels_last_and_grey_contiguous():
    assert epoch(colour().split("train"))[0].x.is_contiguous(memory_format=torch.channels_last)
    grey = d.arrays(np.zeros((5, 8, 8), np.uint8))
    assert epoch(grey.prepared(augment=("shift",)).split("train", training=True))[0].x.is_contiguous()


def test_a_network_of_another_size_gets_its_pictures_resized():
    data = d.digits(enlarge=1)
    own = type(data.preprocess)(size=(20, 20), channels=3, mean=(0.5,), std=(0.5,))
    batch = next(data.with_preprocess(own).split("test").batches(7, epoch=0, seed=0))
    picture = data.tables["test"].store.picture(3)
    assert data.with_preprocess(own).shape == batch.x.shape[1:] == (3, 20, 20)
    assert torch.allclose(batch.x[3], own(own.fit(picture)[None])[0], atol=1e-6)
    with pytest.raises(ArgumentError, match="float pictures"):
        next(colour(dtype=np.float32).resized(9).split("train").batches(4, epoch=0, seed=0))
