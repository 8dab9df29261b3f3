"""Run folders as training writes them, made from the bundled digits with scikit-learn: no torch training needed."""

from __future__ import annotations

import csv
import functools
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import train_test_split

from striate.data.findings import CheckReport, Sample, SplitFacts


class Pictures:
    """As much of a data set as the report asks for."""

    def __init__(self, fingerprint="f00d", name="digits"):
        self.name, self.fingerprint = name, fingerprint
        self.images = digits_of_sklearn().images
        self.asked = []

    def pictures(self, split, indices):
        self.asked.append((split, [int(index) for index in indices]))
        return [np.asarray(self.images[index] * 255 / 16, np.uint8)[..., None] for index in indices]


digits_of_sklearn = functools.cache(load_digits)


@functools.cache
def digit_shares(seed=0, noise=0.0):
    digits = digits_of_sklearn()
    rows = np.arange(len(digits.target))
    train, test = train_test_split(rows, test_size=0.2, stratify=digits.target, random_state=0)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(digits.data[train], digits.target[train])
    random = np.random.default_rng(seed)
    pixels = digits.data[test] + random.normal(0, noise, digits.data[test].shape)
    return model.predict_proba(pixels).astype(np.float32), digits.target[test], test


def checked(classes, n):
    counts = [1293 // len(classes)] * len(classes)
    parts = {"train": SplitFacts(1293, counts), "val": SplitFacts(144, counts), "test": SplitFacts(n, counts)}
    copies = (Sample("train", 3, None, classes[0]), Sample("test", 8, None, classes[0]))
    return CheckReport(name="digits", kind="pictures", classes=tuple(classes), splits=parts, duplicates=(copies,), near=())


def write_run(
    folder,
    *,
    state="finished",
    reason=None,
    seed=0,
    noise=0.0,
    model="lenet5",
    classes=tuple("0123456789"),
    shares=None,
    targets=None,
    index=None,
    epochs=12,
    validation=True,
    channels=1,
    filters=6,
    data_name="digits",
    check=True,
    name=None,
):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if shares is None:
        shares, targets, index = digit_shares(seed, noise)
    n = len(shares)
    run = {
        "format": 1,
        "name": name or folder.name,
        "created": "2026-03-01T12:30:00+00:00",
        "state": state,
        "reason": reason,
        "model": {"name": model, "classes": len(classes), "input": [channels, 32, 32], "options": {}},
        "classes": list(classes),
        "task": "classify",
        "recipe": {
            "name": "lenet5-quick",
            "epochs": 12.0,
            "batch": 64,
            "optimiser": "adamw",
            "lr": 0.006,
            "schedule": "one-cycle",
            "augment": ["shift(1)"],
            "smoothing": 0.05,
            "average": "ema",
            "validation": 0.1,
            "clip": None,
        },
        "preprocess": {"size": [32, 32], "channels": channels, "mean": [0.3], "std": [0.35], "resize": "squash"},
        "data": {
            "name": data_name,
            "spec": data_name,
            "fingerprint": "f00d",
            "shape": [channels, 32, 32],
            "splits": {"train": 1293, "val": 144, "test": n},
        },
        "seed": seed,
        "device": "cpu",
        "precision": "bf16",
        "command": f"striate train {data_name} --model {model} --epochs 12 --seed {seed}",
        "python": f'import striate as st\n\ndata = st.data.load("{data_name}")\nrun = st.train("{model}", data, epochs=12, seed={seed})',
        "machine": {
            "system": "Linux 6.1",
            "processor": "A processor",
            "cores": 2,
            "threads": 2,
            "instructions": "AVX512",
            "bf16": True,
            "accelerator": None,
        },
        "versions": {"python": "3.11.7", "striate": "0.1.0", "torch": "2.13.0", "numpy": "2.4.0"},
    }
    (folder / "run.json").write_text(json.dumps(run))
    random = np.random.default_rng(seed)
    rows = []
    for epoch in range(1, epochs + 1):
        fall = np.exp(-epoch / 2.5)
        row = {
            "epoch": epoch,
            "step": epoch * 21,
            "seconds": 0.31 * epoch,
            "rate": 4200 + 300 * random.normal(),
            "lr": 0.006 * np.sin(np.pi * min(1, (epoch + 0.5) / 13)),
            "train/loss": 2.1 * fall + 0.35 + 0.02 * random.random(),
            "train/error": 0.8 * fall + 0.012 + 0.004 * random.random(),
        }
        if validation:
            row |= {"val/loss": 1.9 * fall + 0.33 + 0.03 * random.random(), "val/error": 0.7 * fall + 0.02 + 0.01 * random.random()}
        rows.append(row)
    (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if rows:
        with (folder / "history.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    weights = {"features.conv1.weight": random.normal(0, 0.2, (filters, channels, 5, 5)).astype(np.float32)}
    weights["features.conv1.weight"][1] *= 1e-4
    weights["features.conv2.weight"] = random.normal(0, 0.1, (16, filters, 5, 5)).astype(np.float32)
    save_file(weights, folder / "weights.safetensors")
    if check:
        (folder / "data.json").write_text(json.dumps(checked(classes, n).to_json()))
    if state != "finished":
        return folder
    figures = {"n": n}
    if targets is not None:
        order = np.argsort(-shares, axis=1)
        own = shares[np.arange(n), targets]
        figures |= {
            "error": float((order[:, 0] != targets).mean()),
            "top5_error": float((order[:, :5] != targets[:, None]).all(axis=1).mean()),
            "loss": float(-np.log(np.maximum(own, 1e-30)).mean()),
        }
    result = {"seconds": 0.31 * epochs, "steps": 21 * epochs, "parameters": 61706, "splits": {"test": figures}}
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "predictions").mkdir(exist_ok=True)
    arrays = {"shares": shares, "index": np.arange(n) if index is None else index}
    if targets is not None:
        arrays["targets"] = targets
    np.savez(folder / "predictions" / "test.npz", **arrays)
    return folder


def spread_shares(classes, n, right=0.7, seed=0):
    """Shares of a made-up classifier that is right about `right` of the time and confuses neighbours."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, classes, n)
    seen = np.where(random.random(n) < right, targets, (targets + random.choice([1, 2, 3], n)) % classes)
    logits = random.normal(size=(n, classes)) + (3 + 2 * random.random(n))[:, None] * np.eye(classes)[seen]
    shares = np.exp(logits)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32), targets


@pytest.fixture
def run_folder(tmp_path):
    return write_run(tmp_path / "runs" / "digits-lenet5-1")


@pytest.fixture
def make_run():
    return write_run


@pytest.fixture
def made_up():
    return spread_shares


@pytest.fixture
def no_drawing(monkeypatch):
    """Figures left blank: for tests that read a page's words."""
    from markupsafe import Markup

    from striate import draw

    for name in ("curves", "confusion", "reliability", "maps"):
        getattr(draw, name)
        monkeypatch.setattr(draw, name, lambda *_, **__: Markup("<svg></svg>"))


@pytest.fixture
def pictures(monkeypatch):
    """The data of the runs above, as if `striate.data.load` had opened it again."""
    from striate.training import description

    data = Pictures()
    monkeypatch.setattr(description, "data_of", lambda facts: data)
    return data
