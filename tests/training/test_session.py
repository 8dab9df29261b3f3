"""What a run remembers: the data's options, the network's options, the command that does the same."""

from __future__ import annotations

import pytest

import striate as st
from striate.core.errors import ArgumentError
from striate.training.session import Quiet


class Killed(BaseException):
    """Stands for a process that vanishes."""


class Vanish(Quiet):
    def stepped(self, step, *, samples, loss):
        raise Killed


def test_a_run_opens_its_data_and_network_again_with_their_options(tmp_path):
    data = st.data.load("digits", options={"enlarge": 3})
    with pytest.raises(Killed):
        st.train("lenet5", data, folder=tmp_path / "run", epochs=0.2, options={"pool": "average"}, progress=Vanish())
    run = st.resume(tmp_path / "run")
    assert run.state == "finished"
    assert run.facts["data"]["shape"] == [1, 24, 24]
    assert run.facts["model"]["options"]["pool"] == "average"
    assert any(type(module).__name__ == "AvgPool2d" for module in run.model.modules())


def test_the_printed_command_and_python_carry_every_choice(tmp_path):
    data = st.data.load("digits", options={"enlarge": 3})
    settings = {"smoothing": 0.2, "augment": ["shift(2)", "cutout(3)"]}
    run = st.train("lenet5", data, folder=tmp_path / "run", epochs=0.1, lr=0.01, seed=3, settings=settings, options={"pool": "average"})
    command = run.facts["command"]
    for part in ("striate train digits", "--data-option enlarge=3", "--model-option pool=average", "--lr 0.01", "--seed 3", "--set smoothing=0.2"):
        assert part in command
    assert "'augment=shift(2) cutout(3)'" in command
    told = run.facts["python"]
    assert "st.data.load('digits', options={'enlarge': 3})" in told
    assert compile(told, "run.json", "eval")


def test_options_are_checked_before_anything_is_made(tmp_path):
    with pytest.raises(ArgumentError, match="enlarge"):
        st.data.load("digits", options={"enlarg": 2})
    with pytest.raises(ArgumentError, match="cannot be set on data that are there already"):
        st.data.load(st.data.digits(), options={"enlarge": 2})
    with pytest.raises(ArgumentError, match="pool"):
        st.train("lenet5", "digits", folder=tmp_path / "run", options={"pol": "max"})
    assert not (tmp_path / "run").exists()
