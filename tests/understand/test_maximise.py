"""Pictures that a unit answers to most: closed forms where there are any, real networks for the rest."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import striate.understand as u
from striate import zoo
from striate.core.errors import ArgumentError, UnknownNameError
from striate.probe import activations
from striate.understand.ascending import Priors, gradient, high_frequencies, unit

NETS = Path(__file__).parent / "nets"
STILL = {"jitter": 0, "zoom": 0.0, "turn": 0.0}


class Linear(nn.Module):
    """Logits that are inner products with fixed patterns: the best picture is known."""

    def __init__(self) -> None:
        super().__init__()
        self.pattern = nn.Parameter(torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("nchw,kchw->nk", x, self.pattern)


class Dead(nn.Module):
    """A channel whose ReLU is off for every faint picture, and one that is always off."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(2, 2)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[1.0, 2, 1], [0, 0, 0], [-1, -2, -1]]).expand(2, 1, 3, 3))
            self.conv.weight[1] *= 0
            self.conv.bias.copy_(torch.tensor([-3.0, -1.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.relu(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize("parametrise", ["pixels", "fourier", "multiresolution"])
def test_a_linear_logits_best_picture_is_its_pattern_in_black_and_white(parametrise: str) -> None:
    net = Linear()
    made = u.maximise(net, shape=(1, 8, 8), parametrise=parametrise, steps=120, rate=0.5, rivals=0, tv=0, **STILL)
    assert made.target == (0, 1)
    patterns = net.pattern.detach().numpy()
    best = np.clip(patterns, 0, None).sum((1, 2, 3))
    assert (made.arrays["value"] > 0.97 * best).all()
    assert (made.arrays["value"] <= best + 1e-5).all()
    shown = torch.from_numpy(made.arrays["image"])
    assert np.allclose(made.arrays["value"], net(shown)[range(2), range(2)].detach().numpy(), atol=1e-4), "the value of the picture as it is given"
    assert torch.equal((shown * 255).round() / 255, shown)


def test_priors_pull_as_their_weights_say() -> None:
    net = Linear()
    flat, grey, free = (
        u.maximise(net, target=0, shape=(1, 8, 8), parametrise="pixels", steps=120, rate=0.2, rivals=0, tv=tv, l2=l2, **STILL).arrays["image"]
        for tv, l2 in ((8.0, 0.0), (0.0, 8.0), (0.0, 0.0))
    )
    rough = [float(np.abs(np.diff(picture)).mean()) for picture in (flat, free)]
    assert rough[0] < rough[1] / 4
    pattern = unit(net.pattern[:1].detach()).numpy()
    assert np.allclose(grey[0], (0.5 + pattern / 16)[0], atol=0.01), "where g / |g| = 2 l2 (x - 1/2), the pull and the prior are even"


def test_priors_are_checked_and_their_gradient_is_their_own() -> None:
    pixels = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(Priors(l2=0.5).gradient(pixels), pixels - 0.5)
    assert not Priors().gradient(pixels).any()
    assert torch.allclose(unit(3 * pixels).square().mean((1, 2, 3)), torch.ones(2, dtype=torch.float64))
    assert not unit(torch.zeros(1, 1, 2, 2)).any()
    with pytest.raises(ArgumentError, match="jitter: got -1"):
        Priors(jitter=-1)
    with pytest.raises(ArgumentError, match="NaN or infinite"):
        gradient(lambda x: (x - x).sqrt().sum((1, 2, 3)), pixels)


def test_a_silent_start_is_helped_and_a_dead_unit_is_told() -> None:
    net = Dead()
    made = u.maximise(net, layer="relu", channel=[0, 1], shape=(1, 12, 12), steps=60, rate=0.2, tv=0)
    assert made.arrays["value"][0] > 0.03
    assert made.arrays["image"][0].std() > 0.2, "no grey dead start"
    assert made.arrays["value"][1] == 0
    assert any("1 of 2 pictures found no answer at all" in note for note in made.notes)


def test_channels_neurons_and_directions_of_a_layer(trained_digits: nn.Module) -> None:
    options = {"shape": (1, 8, 8), "steps": 60, "rate": 0.1, "jitter": 0}
    channels = u.maximise(trained_digits, layer="relu", channel=[2, 5], **options)
    assert channels.options["units"] == ("channel 2", "channel 5")
    one = u.maximise(trained_digits, layer="relu", channel=5, **options)
    assert np.allclose(one.arrays["image"][0], channels.arrays["image"][1], atol=1 / 255 + 1e-6), "alone as among others"
    direction = np.zeros(24)
    direction[[7, 9]] = 3, -4
    along = u.maximise(trained_digits, layer="conv3", direction=direction, **options)
    with torch.no_grad():
        maps = activations(trained_digits, torch.from_numpy(along.arrays["image"]), at="conv3")["conv3"].mean((0, 2, 3))
    assert along.arrays["value"][0] == pytest.approx(float(0.6 * maps[7] - 0.8 * maps[9]), rel=1e-4)
    assert along.arrays["value"][0] > 0
    neuron = u.maximise(trained_digits, layer="conv2", channel=3, position=(6, 1), parametrise="pixels", **options)
    parts = np.abs(neuron.arrays["image"][0, 0] - 0.5)
    assert parts[4:, :4].mean() > 2 * parts[:3, 5:].mean(), "it is written where the neuron looks"
    assert (neuron.options["zoom"], neuron.options["turn"]) == (0, 0), "a single neuron looks at one place"
    assert (one.options["zoom"], one.options["turn"]) == (0.2, 15), "small pictures are moved about, or they please this network alone"


def test_several_pictures_of_a_class_differ_and_more_so_with_diversity(trained_digits: nn.Module) -> None:
    options = {"target": 3, "shape": (1, 8, 8), "steps": 60, "rate": 0.1, "count": 3}

    def likeness(diversity: float) -> float:
        images = u.maximise(trained_digits, diversity=diversity, **options).arrays["image"].reshape(3, -1)
        return float(np.corrcoef(images)[np.triu_indices(3, 1)].mean())

    assert likeness(2.0) < likeness(0.0) < 0.999


def test_a_network_without_maps_has_several_pictures_too() -> None:
    made = u.maximise(Linear(), target=1, count=2, diversity=0.3, shape=(1, 8, 8), steps=40, rate=0.3, rivals=0, jitter=0)
    first, second = made.arrays["image"]
    assert np.abs(first - second).mean() > 0.05
    assert (made.arrays["value"] > 0).all()


def test_every_digit_is_recognised(trained_digits: nn.Module) -> None:
    made = u.maximise(trained_digits, shape=(1, 8, 8), steps=60, rate=0.1)
    assert made.receipts["recognised"] == 1
    assert len(made) == 10
    assert made.arrays["image"].std((1, 2, 3)).min() > 0.05, "none is a grey dead start"
    assert "10 classes" in made.figure().title


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"target": 10}, "from 0 to 9"),
        ({"target": []}, "got none"),
        ({"channel": 1}, "give layer="),
        ({"layer": "relu"}, "say which"),
        ({"layer": "relu", "channel": 24}, "channels 0 to 23"),
        ({"layer": "relu", "channel": 1, "target": 2}, "either target= or layer="),
        ({"layer": "relu", "channel": 1, "position": (9, 0)}, "within the 4 x 4"),
        ({"layer": "fc", "channel": 1, "position": (0, 0)}, "no positions"),
        ({"layer": "relu", "direction": [1.0, 2.0]}, "expected 24 numbers"),
        ({"layer": "relu", "direction": [0.0] * 24}, "not all 0"),
        ({"steps": 0}, "steps: got 0"),
        ({"rate": -1.0}, "rate"),
        ({"count": 0}, "count"),
        ({"rivals": -1.0}, "rivals"),
        ({"diversity": -1.0}, "diversity"),
        ({"tv": float("nan")}, "tv"),
        ({"shape": (3, 8)}, "shape: got"),
        ({"shape": None}, "does not say how large"),
    ],
)
def test_what_makes_no_sense_is_refused(trained_digits: nn.Module, given: dict[str, object], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        u.maximise(trained_digits, **({"shape": (1, 8, 8), "steps": 2} | given))


def test_an_unknown_layer_is_named_with_its_nearest(trained_digits: nn.Module) -> None:
    with pytest.raises(UnknownNameError, match="conv3"):
        u.maximise(trained_digits, layer="convv3", channel=0, shape=(1, 8, 8))


def test_many_classes_want_a_choice() -> None:
    with pytest.raises(ArgumentError, match="tells 13 classes apart; say which"):
        u.maximise(nn.Sequential(nn.Flatten(), nn.Linear(16, 13)), shape=(1, 4, 4))


def test_energy_above_a_quarter_cycle() -> None:
    wave = torch.cos(torch.arange(16.0) * 2 * torch.pi * 3 / 16).expand(1, 1, 16, 16)
    fast = torch.cos(torch.arange(16.0) * 2 * torch.pi * 6 / 16).expand(1, 1, 16, 16)
    assert high_frequencies(torch.cat([wave, fast, wave + fast])).tolist() == pytest.approx([0, 1, 0.5], abs=1e-5)


@pytest.mark.slow
@pytest.mark.data
def test_gate_of_all_ten_classes_of_cifar() -> None:
    """Logits well above all of 2,000 real pictures', every class recognised by this net itself, little high-frequency energy.

    The thresholds were set after seeing this net's figures: they guard against getting worse. What a second net says is `bench/maximise.py`'s.
    """
    network = zoo.build("resnet20", classes=10, input=(3, 32, 32), weights=NETS / "resnet20_cifar10.safetensors").eval()
    loaded = zoo.loaded_into(network)
    raw = np.fromfile(Path(os.environ["STRIATE_DATA"]) / "cifar-10-batches-bin" / "test_batch.bin", np.uint8).reshape(-1, 3073)
    with torch.no_grad():
        real = network(loaded.preprocess(torch.from_numpy(raw[:2000, 1:].reshape(-1, 3, 32, 32)))).amax(0).numpy()
    made = u.maximise(network)
    assert made.receipts["recognised"] == 1
    assert (made.arrays["value"] / real).min() > 1.3
    assert (made.arrays["value"] / real).mean() > 1.6
    assert made.receipts["high_frequencies"] < 0.12
    assert made.arrays["image"].std((1, 2, 3)).min() > 0.05, "none is a grey dead start"
