"""Pictures of many sizes: the same pixels as Pillow's own, whatever the thread count, and no thread left behind."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from PIL import Image

from striate import data as d
from striate.data import ragged
from striate.data.augment.base import Draw
from striate.data.registry import build
from striate.data.stores import Ragged


def photographs(count=30, channels=3):
    numbers = np.random.default_rng(0)
    shapes = np.c_[numbers.integers(20, 60, (count, 2)), np.full(count, channels)].astype(np.int32)
    offsets = np.r_[0, np.cumsum(shapes.prod(1))].astype(np.int64)
    store = Ragged(numbers.integers(0, 256, offsets[-1]).astype(np.uint8), offsets, shapes, f"photographs {channels}")
    return d.Dataset(name="photos", classes=("a", "b"), tables={"train": d.Table(store, np.arange(count) % 2)}, size=(16, 24))


def pixels(data, batch):
    """Undo the standardisation."""
    mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (data.preprocess.mean, data.preprocess.std))
    return ((batch.x * std + mean) * 255).round()


def workers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("striate-read")]


def test_random_parts_are_resized_as_pillow_does():
    data = photographs().prepared(augment=("resized_crop((0.3, 1.0))",))
    batch = next(data.split("train", training=True).batches(30, epoch=1, seed=5))
    store = data.tables["train"].store
    crop = build(("resized_crop((0.3, 1.0))",))[0]
    boxes = crop.boxes(store.shapes[batch.index.numpy(), :2].astype(np.int64), Draw(5, 1, 0, index=batch.index, size=30).part(0))
    got = pixels(data, batch)
    for row, index in enumerate(batch.index):
        whole = Image.fromarray(store.picture(int(index)))
        expected = np.asarray(whole.resize((24, 16), Image.Resampling.BILINEAR, box=tuple(boxes[row])))
        assert np.abs(got[row].numpy().transpose(1, 2, 0) - expected).max() <= 1


def test_evaluation_fits_as_the_preprocess_says():
    data = photographs()
    assert data.shape == (3, 16, 24)
    own = data.preprocess
    for batch in data.split("train").batches(7, epoch=0, seed=0):
        fitted = torch.stack([own.fit(data.tables["train"].store.picture(int(i))) for i in batch.index])
        assert torch.allclose(batch.x, own(fitted), atol=1e-5)
        assert torch.equal(batch.y, batch.index % 2)


def everything(data, **options):
    split = data.split("train", training=True)
    return list(split.batches(8, **{"epoch": 0, "seed": 1, **options}))


def test_thread_count_ranks_and_restarts_change_nothing(monkeypatch):
    data = photographs().prepared(augment=("resized_crop", "mirror", "jitter"))
    whole = everything(data)
    assert sorted(int(i) for batch in whole for i in batch.index) == list(range(30))
    for count in (1, 7):
        monkeypatch.setattr(ragged.os, "sched_getaffinity", lambda _, count=count: range(count), raising=False)
        assert all(torch.equal(a.x, b.x) for a, b in zip(whole, everything(data), strict=True))
    parts = [everything(data, rank=rank, world=2) for rank in range(2)]
    for step, batch in enumerate(whole):
        assert torch.allclose(torch.cat([part[step].x for part in parts]), batch.x, atol=1e-6)
    assert all(torch.equal(a.x, b.x) for a, b in zip(whole[2:], everything(data, start=2), strict=True))


def test_threads_end_with_the_generator():
    data = photographs()
    batches = data.split("train").batches(3, epoch=0, seed=0)
    next(batches)
    assert workers()
    batches.close()
    assert not workers()
    list(data.split("train").batches(3, epoch=0, seed=0))
    assert not workers()


def test_an_error_in_a_thread_is_raised_in_the_loop():
    data = photographs(channels=4)
    other = type(data.preprocess)(size=(16, 16), channels=3)
    with pytest.raises(Exception, match="channels"):
        list(data.with_preprocess(other).split("train").batches(8, epoch=0, seed=0))
    assert not workers()


def test_four_channels_are_cut_like_three():
    data = photographs(channels=4).prepared(augment=("resized_crop",))
    batch = next(data.split("train", training=True).batches(30, epoch=0, seed=0))
    assert batch.x.shape == (30, 4, 16, 24)


@pytest.mark.parametrize(("sides", "expected"), [((20, 60), 32), ((90, 140), 96), ((400, 600), 224)])
def test_the_default_size_fits_the_pictures(sides, expected):
    shapes = np.array([[sides[0], sides[1], 3]] * 3, np.int32)
    offsets = np.r_[0, np.cumsum(shapes.prod(1))].astype(np.int64)
    store = Ragged(np.zeros(offsets[-1], np.uint8), offsets, shapes, f"sides {sides}")
    data = d.Dataset(name="x", classes=("a",), tables={"train": d.Table(store, np.zeros(3, np.int64))})
    assert data.shape == {32: (3, 32, 32), 96: (3, 64, 64) if sides[0] < 96 else (3, 96, 96), 224: (3, 224, 224)}[expected]
