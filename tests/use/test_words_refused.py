"""`predict` refuses what is no run, no files and no whole number in one clear error, before anything is read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from striate.core.errors import ArgumentError, UnknownNameError
from striate.data import arrays
from striate.training import train
from striate.use import predict
from striate.use.files import find


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).double()
    x = np.random.default_rng(0).integers(0, 256, (12, 1, 8, 8)).astype(np.uint8)
    return train(net, arrays(x, np.arange(12) % 3), folder=tmp_path_factory.mktemp("runs") / "run", epochs=1, batch=6, device="cpu")


@pytest.fixture
def file(tmp_path):
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.parametrize(
    ("more", "kind", "text"),
    [
        ({"top": 1.5}, ArgumentError, r"top: got 1\.5, expected a whole number, 1 or more"),
        ({"top": "3"}, ArgumentError, "top: got '3', expected a whole number"),
        ({"batch": True}, ArgumentError, "batch: got True, expected a whole number"),
        ({"views": "foo"}, UnknownNameError, "unknown views 'foo'"),
        ({"device": None}, ArgumentError, "device: got None, expected auto"),
    ],
)
def test_words_of_the_wrong_kind(run, file, more, kind, text):
    with pytest.raises(kind, match=text):
        predict(run, file, **more)


def test_a_network_and_pixels_are_no_run_and_no_files(run, file):
    with pytest.raises(ArgumentError, match="run: got a Sequential, expected a run or the folder of one"):
        predict(run.model, file)
    with pytest.raises(ArgumentError, match="run: got 'lenet5', and no such folder exists"):
        predict("lenet5", file)
    with pytest.raises(ArgumentError, match="files: got a ndarray, expected files, folders or patterns"):
        predict(run, np.zeros((2, 1, 8, 8), np.uint8))
    with pytest.raises(ArgumentError, match="files: got a int, expected files"):
        find([3])
    assert find(str(file)).files == (file,)


def test_a_run_without_classes_predicts_none(file, tmp_path):
    torch.manual_seed(0)
    x = np.random.default_rng(0).integers(0, 256, (12, 1, 8, 8)).astype(np.uint8)
    run = train(nn.Conv2d(1, 1, 1), arrays(x, np.arange(12) % 3), task="reconstruct", folder=tmp_path / "run", epochs=1, batch=6, device="cpu")
    with pytest.raises(ArgumentError, match="its task is reconstruct, which gives no classes"):
        predict(run, file)


def test_a_network_of_doubles_sees_files(run, file):
    pixels = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8)
    with torch.no_grad():
        shares = run.model(run.preprocess(pixels).double()).softmax(1)[0].sort(descending=True).values
    found = predict(run, file, device=torch.device("cpu"), precision="fp32")[0]
    assert found.shares == pytest.approx(shares.tolist(), rel=1e-5)
