"""Layer by layer, stopped and begun again: the same call ends with the same bits as one that nobody stopped, and messages are true."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

import striate as st
from striate import autoencode, zoo
from striate.autoencode import turns
from striate.autoencode.stacking import LAYERS
from striate.autoencode.unrolling import boltzmann_train
from striate.core.errors import ArgumentError, Interrupted, StorageError
from striate.training import Run
from striate.training.session import Quiet


@pytest.fixture(scope="module")
def digits():
    data = st.data.load("digits")
    tables = {name: table.take(np.arange(150 if name == "train" else 40)) for name, table in data.tables.items()}
    return replace(data, tables=tables, spec=None)


class Killed(BaseException):
    """Stands for a process that vanishes."""


class Stops(Quiet):
    """Interrupts the training that starts as number `turn` after `steps` steps: by a signal, or dead at once."""

    def __init__(self, turn, steps=1, *, kill=False):
        self.turn, self.steps, self.kill, self.started_ones, self.told = turn, steps, kill, 0, []

    def started(self, title, *, epochs, steps, start):
        self.started_ones += 1

    def stepped(self, step, *, samples, loss):
        if (self.started_ones, step) == (self.turn, self.steps):
            if self.kill:
                raise Killed
            signal.raise_signal(signal.SIGINT)

    def note(self, text):
        self.told.append(text)


def stacked(digits, folder, progress=None, *, epochs=2, **options):
    how = {"code": 5, "widths": (12,), "activation": "sigmoid", "noise": "masking"} | options
    recipe = LAYERS.edited(batch=64)
    return autoencode.stack(None, digits, options=how, recipe=recipe, epochs=epochs, fine_tune=2, folder=folder, progress=progress)


def assert_same(first, second):
    for name, value in first.state_dict().items():
        assert torch.equal(value.cpu(), second.state_dict()[name].cpu()), name


FORMS = {"dense": {}, "tied": {"tied": True}, "convolutional": {"form": "convolutional", "widths": (4, 6)}}


@pytest.fixture(scope="module", params=FORMS)
def whole(request, digits, tmp_path_factory):
    """A stack that nobody stopped."""
    options = FORMS[request.param]
    return options, stacked(digits, tmp_path_factory.mktemp("whole") / "run", **options)


@pytest.mark.parametrize(("turn", "steps", "kill"), [(1, 2, False), (2, 4, False), (2, 4, True), (-1, 3, False)])
def test_a_stopped_stack_goes_on_to_the_same_bits(digits, whole, tmp_path, turn, steps, kill):
    options, expected = whole
    count = len(expected.layers)
    turn = count + 1 if turn < 0 else turn
    folder, stops = tmp_path / "run", Stops(turn, steps, kill=kill)
    with pytest.raises(Killed if kill else turns.Stopped) as caught:
        stacked(digits, folder, stops, **options)
    if not kill:
        what = "fine-tuning" if turn > count else f"layer {turn} of {count}"
        assert str(caught.value) == f"stopped during {what}; everything is saved in {folder}. Go on: the same again, with the folder {folder}"
        stopped = Run(folder if turn > count else folder / f"layer-{turn}")
        assert (stopped.state, stopped.facts["reason"]) == ("stopped", str(caught.value))
    watcher = Stops(0)
    again = stacked(digits, folder, watcher, **options)
    assert watcher.told[: turn - 1] == [f"layer {place} of {count} is finished already and kept" for place in range(1, turn)]
    assert watcher.started_ones == count + 2 - turn, "finished layers are not trained again"
    assert_same(expected.model, again.model)
    assert [layer.psnr for layer in again.layers] == [layer.psnr for layer in expected.layers]
    one, two = (autoencode.Reconstruction.load(found.run.folder) for found in (expected, again))
    assert one.figures == two.figures
    assert one.cleaned == two.cleaned


def test_an_interruption_between_two_layers_is_told_too(digits, tmp_path):
    class Between(Quiet):
        def finished(self, summary):
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="stopped during layer 1 of 2; everything is saved in"):
        stacked(digits, tmp_path / "run", Between())
    expected = stacked(digits, tmp_path / "whole")
    assert_same(expected.model, stacked(digits, tmp_path / "run").model)


def test_a_network_of_ones_own_goes_on_from_the_weights_it_began_with(digits, tmp_path):
    def build(seed):
        torch.manual_seed(seed)
        return autoencode.autoencoder((1, 16, 16), widths=(12,), code=5)

    how = {"epochs": 2, "fine_tune": 0}
    expected = autoencode.stack(build(0), digits, folder=tmp_path / "whole", **how)
    with pytest.raises(turns.Stopped):
        autoencode.stack(build(0), digits, folder=tmp_path / "run", progress=Stops(1, 1), **how)
    again = autoencode.stack(build(7), digits, folder=tmp_path / "run", **how)
    assert_same(expected.model, again.model)
    assert not (tmp_path / "run" / turns.FIRST).exists()


def test_another_call_or_a_finished_one_is_refused_and_what_did_not_begin_is_not(digits, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(turns.Stopped):
        stacked(digits, folder, Stops(1))
    with pytest.raises(StorageError, match="begun with another network; give the same again"):
        stacked(digits, folder, code=4)
    with pytest.raises(StorageError, match=r"another epochs \(2 there, 3 now\)"):
        stacked(digits, folder, epochs=3)
    stacked(digits, folder)
    with pytest.raises(StorageError, match="already holds a run, and it is finished"):
        stacked(digits, folder)
    (tmp_path / "old" / "layer-1").mkdir(parents=True)
    (tmp_path / "old" / "layer-1" / "run.json").write_text("{}")
    with pytest.raises(StorageError, match="already holds a run that is not of these trainings"):
        stacked(digits, tmp_path / "old")
    assert not (tmp_path / "old" / turns.PLAN).exists()
    with pytest.raises(ArgumentError, match="epochs: got -1"):
        stacked(digits, tmp_path / "mended", epochs=-1)
    stacked(digits, tmp_path / "mended")


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_stopped_machines_go_on_to_the_same_bits(digits, tmp_path, turn):
    how = {"code": 3, "epochs": 2}
    expected = boltzmann_train(digits, (8,), folder=tmp_path / "whole", **how)
    with pytest.raises(turns.Stopped, match=r"stopped during (machine [12] of 2|fine-tuning)"):
        boltzmann_train(digits, (8,), folder=tmp_path / "run", progress=Stops(turn), **how)
    again = boltzmann_train(digits, (8,), folder=tmp_path / "run", **how)
    assert_same(expected.model, again.model)
    one, two = (autoencode.Reconstruction.load(run.folder) for run in (expected, again))
    assert one.figures == two.figures


def test_finished_machines_are_taken_as_they_are(digits, tmp_path):
    first = autoencode.boltzmann_stack(digits, (8,), code=3, epochs=1, folder=tmp_path / "run")
    watcher = Stops(0)
    assert_same(first, autoencode.boltzmann_stack(digits, (8,), code=3, epochs=1, folder=tmp_path / "run", progress=watcher))
    assert watcher.started_ones == 0


@pytest.mark.parametrize("method", ["greedy", "whole", "boltzmann"])
def test_stopped_pretraining_goes_on_to_the_same_bits(digits, tmp_path, method):
    def net():
        torch.manual_seed(0)
        return zoo.build("mlp", classes=10, input=(1, 16, 16), options={"widths": (12, 8), "activation": "sigmoid"})

    expected, again = net(), net()
    autoencode.pretrain(expected, digits, method=method, epochs=2, folder=tmp_path / "whole")
    turn = 1 if method == "whole" else 2
    with pytest.raises(turns.Stopped):
        autoencode.pretrain(again, digits, method=method, epochs=2, folder=tmp_path / "run", progress=Stops(turn))
    autoencode.pretrain(again, digits, method=method, epochs=2, folder=tmp_path / "run")
    assert_same(expected, again)
    with pytest.raises(turns.Stopped, match=r"nothing is kept, because no folder was given$"):
        autoencode.pretrain(net(), digits, method=method, epochs=2, progress=Stops(turn))


def test_the_plan_says_what_the_result_hangs_on(digits, tmp_path):
    with pytest.raises(turns.Stopped):
        stacked(digits, tmp_path / "run", Stops(1))
    assert turns.unfinished(tmp_path / "run")
    plan = json.loads((tmp_path / "run" / turns.PLAN).read_text())
    assert set(plan["settings"]) == {"data", "network", "recipe", "epochs", "fine_tune", "noise", "amount", "seed"}
    assert plan["threads"] == torch.get_num_threads()
