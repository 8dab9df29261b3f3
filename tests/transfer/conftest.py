"""Small pretrained networks and pictures for the tests of transfer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from striate import zoo
from striate.core.runtime import random_state_kept
from striate.data import arrays
from striate.pixels import Preprocess

PREPROCESS = Preprocess(size=(16, 16), channels=3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))


def pictures(count, seed=0, noise=60, classes=3):
    """Return `count` pictures of blobs whose place and colour say the class, and the classes."""
    generator = np.random.default_rng(seed)
    y = np.arange(count) % classes
    x = generator.integers(0, noise, (count, 3, 16, 16))
    for picture, label in zip(x, y, strict=True):
        row, column = generator.integers(0, 5, 2)
        picture[label % 3, 4 * (label % 3) // 2 + row : 9 + row, 2 + column : 8 + column] += 90
    return x.clip(0, 255).astype(np.uint8), y


@pytest.fixture(scope="session")
def small():
    """Return a CIFAR ResNet whose batch norms have seen pictures."""
    with random_state_kept():
        torch.manual_seed(3)
        model = zoo.build("resnet20", classes=3, input=(3, 16, 16))
        x = PREPROCESS(torch.from_numpy(pictures(64, seed=9)[0]))
        with torch.no_grad():
            for _ in range(30):
                model(x)
    return model.eval()


@pytest.fixture(scope="session")
def weights(small, tmp_path_factory):
    """Return the file of the small network's weights, with its preprocessing."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    zoo.save_weights(small, path, preprocess=PREPROCESS, classes=("red", "green", "blue"), licence="none")
    return path


@pytest.fixture
def blobs():
    """Return a set with train, val and test."""
    return arrays(*pictures(60), val=pictures(24, seed=1), test=pictures(30, seed=2), name="blobs", classes=("red", "green", "blue"))


@pytest.fixture(autouse=True)
def own_codes(tmp_path, monkeypatch):
    """Keep each test's codes apart."""
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
