"""Figures of row U6 and U7 on a trained ResNet-20 and real CIFAR-10 pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import striate.understand as u
from striate import zoo
from striate.understand.samples import Samples, samples_of

WEIGHTS = Path(__file__).parent / "nets" / "resnet20_cifar10.safetensors"
pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def net() -> nn.Module:
    model = zoo.build("resnet20", classes=10, input=(3, 32, 32))
    zoo.load_weights(model, WEIGHTS)
    return model


@pytest.fixture(scope="module")
def right(net: nn.Module) -> Samples:
    """Test pictures that the network has right."""
    found = samples_of("cifar10", split="test", count=140, seed=2)
    with u.prepare(net, found.pixels) as p:
        rows = np.flatnonzero(p.logits.argmax(1).cpu().numpy() == found.labels)[:80]
    return Samples(found.pixels[torch.from_numpy(rows)], found.labels[rows], found.classes, found.index[rows], len(rows), "right ones")


def test_attacks_beat_noise_by_far_and_grow_with_their_bound(net: nn.Module, right: Samples) -> None:
    found = u.attack_curve(net, (right.pixels[:80], right.labels[:80]), epsilons=(1, 2, 4), steps=40)
    success = dict(zip(zip(found.arrays["attack"].tolist(), found.arrays["epsilon"].tolist(), strict=True), found.arrays["success"], strict=True))
    for epsilon, fgsm, pgd in (
        (1.0, 0.30, 0.55),
        (2.0, 0.45, 0.85),
        (4.0, 0.50, 0.95),
    ):  # less than a reference network's: recipes/cifar10_attacks.py
        assert success["noise", epsilon] <= 0.05
        assert success["fgsm", epsilon] >= fgsm
        assert success["pgd", epsilon] >= max(pgd, success["fgsm", epsilon])


def test_every_picture_reaches_any_class_within_eight_steps(net: nn.Module, right: Samples) -> None:
    found = u.pgd(net, right.pixels[:60], epsilon=8, target=[(int(label) + 1) % 10 for label in right.labels[:60]])
    assert found.receipts["success"] >= 0.98
    assert found.receipts["largest_linf_255"] == 8


def test_the_least_changes_are_small_and_survive_saving(net: nn.Module, right: Samples) -> None:
    direction = u.ddn(net, right.pixels[:60])
    borders = u.deepfool(net, right.pixels[:60])
    assert direction.receipts["success"] == borders.receipts["success"] == 1
    assert direction.receipts["median_l2_before_saving"] <= 0.10
    assert direction.receipts["median_l2_before_saving"] < borders.receipts["median_l2_before_saving"] <= 0.20
    assert direction.receipts["median_l2"] <= 0.15


def test_noise_becomes_any_class(net: nn.Module, right: Samples) -> None:
    found = u.fooling(net, right.pixels[:20], target=[number % 10 for number in range(20)], start="noise")
    assert found.receipts["arrived"] == 1
    assert found.arrays["after_share"].min() >= 0.9


def test_the_strongest_patches_of_a_layer_on_real_pictures(net: nn.Module) -> None:
    found = u.top_patches(net, "cifar10", layers=["layer3.2.relu2"], channels=[0, 1, 2, 3], count=9, samples=1000)
    pictures = samples_of("cifar10", split="test", count=1000, seed=0)
    with u.prepare(net, pictures.pixels) as p, torch.no_grad():
        from striate.probe import activations

        answers = torch.cat([activations(p.network, p.inputs[part], at="layer3.2.relu2")["layer3.2.relu2"] for part in p.chunks()])
    best, places = answers[:, :4].flatten(2).max(2).values.sort(dim=0, descending=True)
    np.testing.assert_allclose(found.arrays["value"].reshape(4, 9), best[:9].T.numpy(), rtol=1e-5)
    assert np.array_equal(found.arrays["sample"].reshape(4, 9), pictures.index[places[:9].T.numpy()])
