"""Temperature scaling: its closed form, what it does to a trained network, and that what is held back for it is never trained on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from striate import zoo
from striate.core.contracts import Recipe
from striate.core.errors import ArgumentError, Interrupted
from striate.core.tensors import load_tensors
from striate.data import arrays
from striate.training import Run, evaluate, resume, train
from striate.training.calibration import effect, find_temperature, head_for_scaling, scale_head, undone
from striate.training.session import Quiet


def test_temperature_in_closed_form():
    # two classes, logits (0, a), right for a share p: the least loss is at sigmoid(a / T) = p
    targets = np.array([1] * 80 + [0] * 20)
    logits = np.stack([np.zeros(100), np.full(100, 5.0)], 1)
    temperature = find_temperature(logits, targets)
    share = 0.8 * (1 - 1 / 102) + 0.2 / 102  # targets are 1 / (n + 2) short of certain
    assert temperature == pytest.approx(5.0 / np.log(share / (1 - share)), rel=1e-3)
    change = effect(logits, targets, temperature)
    assert change.ece_before == pytest.approx(1 / (1 + np.exp(-5.0)) - 0.8, abs=1e-6)
    assert change.ece_after == pytest.approx(0.8 - share, abs=1e-3)
    assert change.loss_after == pytest.approx(-0.8 * np.log(share) - 0.2 * np.log(1 - share), abs=1e-5)
    assert "calibration error 19.3 % -> 0.6 %" in str(change)
    shares = 1 / (1 + np.exp(-logits[:, 1] / temperature))
    again = undone(np.stack([1 - shares, shares], 1), targets, temperature)
    assert again.ece_before == pytest.approx(change.ece_before, abs=1e-6)
    assert again.loss_after == pytest.approx(change.loss_after, abs=1e-6)


def test_a_few_samples_all_read_right_do_not_make_it_sure():
    logits = np.array([[3.0, 0.0], [0.0, 2.0], [4.0, 0.0]])
    shares = 1 / (1 + np.exp(-np.array([3.0, 2.0, 4.0]) / find_temperature(logits, np.array([0, 1, 0]))))
    assert shares.mean() == pytest.approx(1 - 1 / 5, abs=0.03)


@pytest.mark.parametrize("name", ["resnet20", "squeezenet1_1", "lenet5"])
def test_a_scaled_head_divides_the_logits(name):
    torch.manual_seed(0)
    net = zoo.build(name, classes=4, input=(3, 32, 32)).eval()
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        before = net(x)
        scale_head(net, 2.5, x)
        torch.testing.assert_close(net(x), before / 2.5, atol=1e-6, rtol=1e-4)


def test_bad_words():
    with pytest.raises(ArgumentError, match="logits: got shape"):
        find_temperature(np.zeros(3), np.zeros(3, int))
    with pytest.raises(ArgumentError, match="NaN or infinite"):
        find_temperature(np.array([[np.nan, 0.0]]), np.zeros(1, int))
    with pytest.raises(ArgumentError, match="recipe calibrate: got 1"):
        Recipe(calibrate=1.0)


class Base(nn.Module):
    """A convolution, a mean and a head."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 8, 3), nn.Linear(8, 2)

    def codes(self, x):
        return F.relu(self.conv(x)).mean((2, 3))

    def forward(self, x):
        return self.fc(self.codes(x))


class HeadFirst(Base):
    """The head is registered before the convolution, which does not make it the last layer called."""

    def __init__(self):
        super().__init__()
        self.late = nn.Conv2d(1, 8, 3)

    def codes(self, x):
        return F.relu(self.late(x)).mean((2, 3))


class AuxiliaryLast(Base):
    """The auxiliary head is registered and called last."""

    def __init__(self):
        super().__init__()
        self.aux = nn.Linear(8, 2)

    def forward(self, x):
        codes = self.codes(x)
        return self.fc(codes), self.aux(codes)


class LogSoftmaxed(Base):
    def forward(self, x):
        return F.log_softmax(super().forward(x), 1)


class ZeroAtFirst(Base):
    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)


class Softmaxed(Base):
    def forward(self, x):
        return F.softmax(super().forward(x), 1)


class Clipped(Base):
    def forward(self, x):
        return super().forward(x).clamp(-0.1, 0.1)


def shares_of(net, x):
    output = net(x)
    return (output[0] if isinstance(output, tuple) else output).double()


@pytest.mark.parametrize("kind", [Base, HeadFirst, AuxiliaryLast, LogSoftmaxed, ZeroAtFirst])
def test_the_layer_that_makes_the_logits_is_found_by_what_it_does(kind):
    net, x = kind().eval(), torch.rand(6, 1, 8, 8)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert head_for_scaling(net, x) == "fc"
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    if kind is ZeroAtFirst:
        nn.init.normal_(net.fc.weight)
    with torch.no_grad():
        wanted = (shares_of(net, x) / 2.5).softmax(1)
        assert scale_head(net, 2.5, x) == "fc"
        torch.testing.assert_close(shares_of(net, x).softmax(1), wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", [Softmaxed, Clipped])
def test_a_network_whose_logits_no_layer_scales_is_refused_before_a_step(noisy, tmp_path, kind):
    net = kind()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ArgumentError, match=r"no layer of \w+ has weights that a temperature could divide .*\(tried fc, conv\); leave calibrate=0"):
        train(net, noisy, recipe=Recipe(**FIELDS), folder=tmp_path / "run", precision="fp32")
    assert not Run.load(tmp_path / "run", model=kind()).history
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("kind", [HeadFirst, AuxiliaryLast])
def test_what_is_said_of_the_uncalibrated_network_is_true_of_it(noisy, tmp_path, kind):
    run = train(kind(), noisy, recipe=Recipe(**FIELDS | {"epochs": 4}), folder=tmp_path / "run", precision="fp32")
    last = {name[6:]: value for name, value in load_tensors(run.folder / "last.safetensors")[0].items() if name.startswith("model.")}
    net = kind()
    net.load_state_dict(last)
    uncalibrated = evaluate(net, noisy, precision="fp32").figures["loss"]
    assert run.result["calibration"]["test"]["loss_before"] == pytest.approx(uncalibrated, rel=1e-4)
    assert evaluate(run, noisy, precision="fp32").figures["loss"] == pytest.approx(run.result["calibration"]["test"]["loss_after"], rel=1e-4)


def test_trained_weights_are_kept_whatever_becomes_of_the_temperature(noisy, tmp_path, monkeypatch):
    from striate.training import session

    def refuse(*_, **__):
        raise ArgumentError("no temperature")

    monkeypatch.setattr(session, "calibrated", refuse)
    net = Base()
    with pytest.raises(ArgumentError, match="no temperature"):
        train(net, noisy, recipe=Recipe(**FIELDS | {"epochs": 2}), folder=tmp_path / "run", precision="fp32")
    kept = load_tensors(tmp_path / "run" / "weights.safetensors")[0]
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in kept.items())


@pytest.fixture(scope="module")
def noisy():
    """Return two classes told apart by brightness, a quarter of the labels wrong: a network trained long is too sure."""
    generator = np.random.default_rng(0)

    def part(count):
        y = np.arange(count) % 2
        x = (generator.integers(0, 156, (count, 1, 8, 8)) + 99 * y[:, None, None, None]).astype(np.uint8)
        return x, np.where(generator.random(count) < 0.25, 1 - y, y)

    x, y = part(120)
    return arrays(x, y, test=part(200))


class Net(nn.Sequential):
    """A small net that learns labels by heart."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))


FIELDS = {"epochs": 25, "batch": 16, "lr": 0.01, "calibrate": 0.25}


def test_the_held_back_part_makes_the_run_as_sure_as_it_is_right(noisy, tmp_path):
    torch.manual_seed(0)
    run = train(Net(), noisy, recipe=Recipe(**FIELDS), folder=tmp_path / "run", precision="fp32")
    found = run.result["calibration"]
    assert found["n"] == 30
    assert found["temperature"] > 1.5
    assert found["test"]["ece_after"] < 0.5 * found["test"]["ece_before"]
    measured = evaluate(run, noisy, split="test", precision="fp32")
    assert measured.figures["loss"] == pytest.approx(found["test"]["loss_after"], rel=1e-4)
    assert run.facts["data"]["fingerprint"] == noisy.fingerprint  # the data are the user's, whole


def test_what_is_held_back_is_never_trained_on(noisy, tmp_path):
    from dataclasses import replace

    from striate.training import session

    recipe = Recipe(**FIELDS | {"epochs": 2})
    _, held = session._held_back(noisy, recipe, 0)
    rows = {row.tobytes() for row in held.tables["train"].store.pixels}
    table = noisy.tables["train"]
    inside = np.array([row.tobytes() in rows for row in table.store.pixels])
    assert inside.sum() == 30
    changed = table.store.pixels.copy()
    changed[inside] = 255 - changed[inside]
    other = replace(arrays(changed, table.targets), given=noisy.preprocess)
    weights = []
    for data in (noisy.with_preprocess(noisy.preprocess), other):
        torch.manual_seed(0)
        run = train(Net(), data, recipe=recipe, folder=tmp_path / str(len(weights)), precision="fp32")
        temperature = run.result["calibration"]["temperature"]
        values = load_tensors(run.folder / "weights.safetensors")[0]
        weights.append(values["3.weight"] * temperature)
        assert len(run.history) == 2
    torch.testing.assert_close(weights[0], weights[1])


class Stop(Quiet):
    """Interrupts at step 7."""

    def stepped(self, step, *, samples, loss):
        if step == 7:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)


def test_a_stopped_run_is_calibrated_on_the_same_part_after_it_goes_on(noisy, tmp_path):
    recipe = Recipe(**FIELDS | {"epochs": 3})
    runs = []
    for progress in (None, Stop()):
        torch.manual_seed(0)
        folder = tmp_path / str(progress is None)
        try:
            runs.append(train(Net(), noisy, recipe=recipe, folder=folder, precision="fp32", progress=progress))
        except Interrupted:
            runs.append(resume(folder, data=noisy, model=Net()))
    assert runs[0].result["calibration"] == runs[1].result["calibration"]
    first, second = (load_tensors(Run(run.folder, model=Net()).folder / "weights.safetensors")[0] for run in runs)
    assert all(torch.equal(first[name], second[name]) for name in first)
