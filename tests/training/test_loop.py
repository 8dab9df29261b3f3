"""The loop on real digits: same bits twice, resume exact after any stop, trouble explained, nothing half-written."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from striate import data as sources
from striate.core.contracts import Batch
from striate.core.errors import ArgumentError, DataError, DivergenceError, Interrupted, RunInUseError, StorageError, UnknownNameError
from striate.core.storage import lock
from striate.core.tensors import load_tensors
from striate.training import Run, evaluate, resume, train
from striate.training.checkpoint import Position
from striate.training.session import Quiet
from striate.training.tasks import Classify
from striate.training.trouble import explain_divergence

FAST = {"epochs": 2, "batch": 256}


class Watch(Quiet):
    """Calls `act(step)` after each step and keeps notes."""

    def __init__(self, act=lambda step: None):
        self.act, self.notes, self.steps = act, [], []

    def stepped(self, step, *, samples, loss):
        self.steps.append(step)
        self.act(step)

    def note(self, text):
        self.notes.append(text)


class Killed(BaseException):
    """Stands for a process that vanishes: no handler of ours may see it."""


def weights(run):
    return load_tensors(run.folder / "weights.safetensors")[0]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def stable(rows):
    return [{key: value for key, value in row.items() if key not in ("seconds", "rate")} for row in rows]


@pytest.fixture(scope="module")
def digits():
    return sources.digits()


@pytest.fixture(scope="module")
def straight(digits, tmp_path_factory):
    return train("lenet5", digits, folder=tmp_path_factory.mktemp("straight") / "run", **FAST)


def test_a_run_learns_and_its_folder_says_everything(straight):
    assert straight.state == "finished"
    assert straight.history[-1]["train/loss"] < straight.history[0]["train/loss"]
    result = straight.result
    outcome = np.load(straight.folder / "predictions" / "test.npz")
    assert result["splits"]["test"]["error"] == pytest.approx(np.mean(outcome["shares"].argmax(1) != outcome["targets"]))
    assert result["parameters"] == sum(p.numel() for p in straight.model.parameters())
    header, *rows = (straight.folder / "history.csv").read_text().splitlines()
    assert header.split(",")[:3] == ["epoch", "step", "seconds"]
    assert len(rows) == 2
    assert compile(straight.facts["python"], "run.json", "eval")


def test_the_same_seed_gives_the_same_bits_and_another_does_not(digits, straight, tmp_path):
    assert same(weights(straight), weights(train("lenet5", digits, folder=tmp_path / "again", **FAST)))
    assert not same(weights(straight), weights(train("lenet5", digits, folder=tmp_path / "other", seed=1, **FAST)))


@pytest.mark.parametrize("step", [1, 6, 9])
def test_a_run_killed_between_checkpoints_resumes_to_the_same_bits(digits, straight, tmp_path, step):
    def vanish(now):
        if now == step:
            raise Killed

    with pytest.raises(Killed):
        train("lenet5", digits, folder=tmp_path / "run", save_seconds=0.0, progress=Watch(vanish), **FAST)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "running"
    resumed = resume(tmp_path / "run")
    assert same(weights(straight), weights(resumed))
    assert stable(resumed.history) == stable(straight.history)


def test_every_optimiser_state_average_and_schedule_survives_a_stop(digits, tmp_path):
    shared = {"recipe": "cifar-modern", "epochs": 2, "batch": 300, "settings": {"validation": 0.2, "augment": ["crop(2)", "cutout(4)"], "clip": 1.0}}
    whole = train("lenet5", digits, folder=tmp_path / "whole", **shared)

    def vanish(now):
        if now == 6:
            raise Killed

    with pytest.raises(Killed):
        train("lenet5", digits, folder=tmp_path / "killed", save_seconds=0.0, progress=Watch(vanish), **shared)
    assert same(weights(whole), weights(resume(tmp_path / "killed")))


def test_dropout_masks_are_the_same_after_a_resume(digits, tmp_path):
    def net():
        torch.manual_seed(5)
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(256, 10))

    whole = train(net(), digits, folder=tmp_path / "whole", **FAST)

    def vanish(now):
        if now == 4:
            raise Killed

    with pytest.raises(Killed):
        train(net(), digits, folder=tmp_path / "killed", save_seconds=0.0, progress=Watch(vanish), **FAST)
    assert same(weights(whole), weights(resume(tmp_path / "killed", model=net())))


def test_ctrl_c_saves_says_how_to_go_on_and_resumes_exactly(digits, straight, tmp_path):
    def press(now):
        if now == 3:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="striate resume"):
        train("lenet5", digits, folder=tmp_path / "run", progress=Watch(press), **FAST)
    assert signal.getsignal(signal.SIGINT) is before
    stopped = Run.load(tmp_path / "run")
    assert stopped.state == "stopped"
    assert stopped.model is not None, "a stopped run can be used"
    assert same(weights(straight), weights(resume(tmp_path / "run")))


def test_resuming_a_finished_run_does_nothing(straight):
    watch = Watch()
    before = (straight.folder / "weights.safetensors").stat().st_mtime_ns
    resume(straight.folder, progress=watch)
    assert watch.steps == []
    assert "finished already" in watch.notes[0]
    assert (straight.folder / "weights.safetensors").stat().st_mtime_ns == before


def test_an_exploding_rate_stops_with_the_cause_and_the_last_good_checkpoint(digits, tmp_path):
    settings = {"optimiser": "sgd", "schedule": "constant"}
    with pytest.raises(DivergenceError, match=r"step \d+ \(epoch 1\).*too high a rate.*lr=1e\+05.*checkpoint"):
        train("lenet5", digits, folder=tmp_path / "run", lr=1e6, epochs=3, batch=64, settings=settings, save_seconds=0.0)
    assert Run.load(tmp_path / "run").state == "failed"


def test_values_that_are_no_numbers_in_the_data_are_found_in_the_data(tmp_path):
    x = torch.zeros(3, 1, 2, 2)
    x[1, 0, 0, 0] = float("inf")
    batch = Batch(x, torch.zeros(3, dtype=torch.int64), torch.tensor([7, 8, 9]))
    error = explain_divergence(nn.Linear(2, 2), batch, torch.tensor(float("nan")), Position(step=5), 0.1, tmp_path, 2)
    assert re.search(r"became nan at step 6 \(epoch 3\): the input already holds .* \(samples 8\)", str(error))


def test_a_network_that_gives_no_numbers_from_the_start_is_told_apart_from_a_high_rate(tmp_path):
    class Poisoned(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(256, 10)

        def forward(self, x):
            return self.head(x.flatten(1)) + float("nan")

    with pytest.raises(DivergenceError, match=r"became nan at step 1 .*the network itself gives it"):
        train(Poisoned(), sources.digits(), folder=tmp_path / "run", **FAST)


def test_a_folder_in_use_refuses_a_second_writer(digits, straight, tmp_path):
    with lock(tmp_path / ".lock"), pytest.raises(RunInUseError, match="in use"):
        train("lenet5", digits, folder=tmp_path, **FAST)
    with pytest.raises(StorageError, match="already holds a run"):
        train("lenet5", digits, folder=straight.folder, **FAST)


def test_the_users_random_state_and_model_mode_are_left_alone(digits, tmp_path):
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    net = nn.Sequential(nn.Flatten(), nn.Linear(256, 10))
    torch.manual_seed(123)
    train(net, digits, folder=tmp_path / "run", **FAST)
    assert torch.equal(torch.rand(3), expected)
    assert not net.training, "it holds the final weights, ready to be used"


def test_validation_keeps_the_best_and_early_stopping_ends(digits, tmp_path):
    watch = Watch()
    settings = {"validation": 0.2, "early_stop": 1, "optimiser": "sgd", "schedule": "constant"}
    run = train("lenet5", digits, folder=tmp_path / "run", epochs=30, lr=1e-7, batch=512, settings=settings, progress=watch)
    assert len(run.history) < 30
    assert "ended early" in watch.notes[-1]
    assert same(weights(run), load_tensors(run.folder / "best.safetensors")[0])
    assert {"val", "test"} <= run.result["splits"].keys()


def test_the_best_epoch_is_that_of_the_least_validation_error(digits, tmp_path):
    class Keep(Watch):
        def epoch_ended(self, row):
            last = load_tensors(tmp_path / "run" / "best.safetensors")[0]
            kept.append((row["val/error"], {name: value.clone() for name, value in last.items()}))

    kept = []
    settings = {"validation": 0.2, "optimiser": "sgd", "schedule": "constant", "clip": 1.0}
    run = train("lenet5", digits, folder=tmp_path / "run", epochs=8, lr=0.5, batch=128, settings=settings, progress=Keep())
    errors = [error for error, _ in kept]
    best = errors.index(min(errors))
    assert best < len(errors) - 1, "a rate so large that the last epoch is not the best"
    assert run.result["best_epoch"] == best + 1
    assert same(load_tensors(run.folder / "best.safetensors")[0], kept[best][1])
    assert all(not same(kept[best][1], values) for _, values in kept[:best]), "each better epoch took its place"
    assert not same(weights(run), kept[best][1])
    assert same(dict(run.best.state_dict()), kept[best][1])


def test_evaluate_repeats_the_runs_own_figures(digits, straight):
    outcome = evaluate(straight, digits)
    assert outcome.figures["error"] == straight.result["splits"]["test"]["error"]
    assert "359 samples" in str(outcome)
    with pytest.raises(DataError, match="the same, in order"):
        evaluate(straight, sources.arrays(np.zeros((4, 1, 16, 16), np.uint8), np.array([0, 1, 0, 1])), split="train")


def test_data_that_changed_since_is_refused(tmp_path, digits):
    def vanish(now):
        if now == 2:
            raise Killed

    with pytest.raises(Killed):
        train("lenet5", digits, folder=tmp_path / "run", save_seconds=0.0, progress=Watch(vanish), **FAST)
    with pytest.raises(DataError, match="has changed since"):
        resume(tmp_path / "run", data=sources.digits(enlarge=3))


def test_bad_arguments_are_refused_before_a_folder_is_made(digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for keywords, text in (
        ({"recipe": "digitz"}, "digits"),
        ({"settings": {"smothing": 0.1}}, "smoothing"),
        ({"epochs": -1}, "more than 0"),
        ({"device": "tpu"}, "cuda"),
        ({"settings": {"augment": ["mirrr"]}}, "mirror"),
        ({"settings": {"optimiser": "adamv"}}, "adamw"),
        ({"settings": {"schedule": "cosin"}}, "cosine"),
    ):
        with pytest.raises(ArgumentError, match=text):
            train("lenet5", digits, **keywords)
    assert not list(tmp_path.iterdir())


def test_a_last_step_that_spoils_the_weights_is_divergence_not_a_bug(digits, tmp_path):
    class Spoilt(nn.Module):
        """Its weights become no numbers as soon as it is judged."""

        def __init__(self):
            super().__init__()
            self.head = nn.Linear(256, 10)

        def forward(self, x):
            return self.head(x.flatten(1)) * (1.0 if self.training else float("nan"))

    with pytest.raises(DivergenceError, match=r"val/loss is nan after step \d+ \(epoch 1\): all weights are numbers"):
        train(Spoilt(), digits, folder=tmp_path / "val", settings={"validation": 0.2}, **FAST)
    assert Run.load(tmp_path / "val").state == "failed"
    with pytest.raises(DivergenceError, match=r"test/loss is nan after step \d+ \(epoch 2\)"):
        train(Spoilt(), digits, folder=tmp_path / "test", **FAST)
    assert not (tmp_path / "test" / "weights.safetensors").exists()

    class Steep(nn.Module):
        """Its only step leaves the range of float32; the loss before it was sound."""

        def __init__(self):
            super().__init__()
            self.head = nn.Linear(256, 10)

        def forward(self, x):
            return self.head(x.flatten(1) * 1e6) * 1e-5

    data = dataclasses.replace(digits, tables={"train": digits.tables["train"]})
    with pytest.raises(DivergenceError, match=r"a weight is no number after step 1 \(epoch 1\): weights that are not numbers first stand in head"):
        train(Steep(), data, folder=tmp_path / "steep", epochs=1, batch=5000, lr=3e38, settings={"optimiser": "sgd", "schedule": "constant"})
    assert Run.load(tmp_path / "steep").state == "failed"


def test_what_fails_before_the_first_step_leaves_a_run_that_says_so_and_the_model_as_it_was(digits, tmp_path):
    net = nn.Sequential(nn.Flatten(), nn.Linear(256, 10))
    with pytest.raises(UnknownNameError, match="conv9"):
        train(net, digits, folder=tmp_path / "run", settings={"freeze": "conv9"}, **FAST)
    assert not (tmp_path / "run").exists(), "a misspelt layer is refused before anything is on disk"
    with pytest.raises(ArgumentError):
        train(net, digits, folder=tmp_path / "other", settings={"freeze": "1"}, **FAST)
    assert Run.load(tmp_path / "other").state == "failed"
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_early_stopping_asks_for_a_validation_part(digits, tmp_path):
    with pytest.raises(ArgumentError, match=r"early_stop.*validation=0\.1"):
        train("lenet5", digits, folder=tmp_path / "run", settings={"early_stop": 2}, **FAST)


def test_a_task_given_as_an_object_has_to_be_given_again(digits, tmp_path):
    def vanish(now):
        if now == 2:
            raise Killed

    with pytest.raises(Killed):
        train("lenet5", digits, folder=tmp_path / "run", task=Classify(auxiliary=0.0), save_seconds=0.0, progress=Watch(vanish), **FAST)
    with pytest.raises(ArgumentError, match=r"task classify was given as an object.*task="):
        resume(tmp_path / "run")
    with pytest.raises(ArgumentError, match=r"task: got 'text', but .* was begun for classify"):
        resume(tmp_path / "run", task="text")
    assert resume(tmp_path / "run", task=Classify(auxiliary=0.0)).state == "finished"


def test_data_that_moved_are_opened_with_the_runs_own_options(tmp_path):
    def vanish(now):
        if now == 1:
            raise Killed

    for number in range(24):
        place = tmp_path / "here" / ("ant" if number % 2 else "bee")
        place.mkdir(parents=True, exist_ok=True)
        picture = np.full((40, 40, 3), 10 * number, np.uint8)
        Image.fromarray(picture).save(place / f"{number}.png")
    opened = sources.load(tmp_path / "here", options={"size": 16})
    with pytest.raises(Killed):
        train("lenet5", opened, folder=tmp_path / "run", save_seconds=0.0, progress=Watch(vanish), epochs=2, batch=8)
    (tmp_path / "here").rename(tmp_path / "there")
    run = resume(tmp_path / "run", data=str(tmp_path / "there"))
    assert run.state == "finished"
    assert tuple(run.preprocess.size) == (16, 16)
    run.update({"state": "stopped"})
    with pytest.raises(DataError, match=r"gives inputs of 3 x 32 x 32.*trained on 3 x 16 x 16"):
        resume(run.folder, data=sources.load(tmp_path / "there", options={"size": 32}))
