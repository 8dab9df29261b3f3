"""The promise itself, on the real sets: a small net reads MNIST after one epoch, and sprint32 starts to see CIFAR-10 within a fraction of one."""

from __future__ import annotations

import pytest

import striate as st

pytestmark = [pytest.mark.slow, pytest.mark.data]


def test_sprint28_reads_mnist_in_less_than_an_epoch(tmp_path):
    run = st.train("sprint28", "mnist", recipe="mnist-sprint-quick", folder=tmp_path / "run")
    assert run.result["splits"]["test"]["n"] == 10_000
    assert run.result["splits"]["test"]["error"] < 0.012


def test_lenet5_reads_mnist_after_one_epoch(tmp_path):
    run = st.train("lenet5", "mnist", recipe="mnist-quick", epochs=1, folder=tmp_path / "run")
    assert run.result["parameters"] == 61_706
    assert run.result["splits"]["test"]["error"] < 0.025


def test_sprint32_halves_the_error_of_guessing_within_a_quarter_of_an_epoch(tmp_path):
    run = st.train("sprint32", "cifar10", epochs=0.25, folder=tmp_path / "run", settings={"views": "one"})
    assert run.result["splits"]["test"]["error"] < 0.6
