"""Runs whose outputs are not classes alone: a box beside them is no class, for no method; an autoencoder has none, and its code is its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import striate.understand as u
from striate.autoencode import autoencoder
from striate.core.errors import ArgumentError
from striate.pixels import Preprocess
from striate.training import Run
from striate.understand.codes import code_layer

PICTURES = torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(0))


class Small(nn.Module):
    """Two classes, then four numbers of a box that are larger than any class score."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()
        self.fc = nn.Linear(6, 6)
        with torch.no_grad():
            self.fc.bias[2:] += 20

    def forward(self, x):
        return self.fc(self.relu(self.conv(x)).mean((2, 3)))

    def classes(self, x):
        return self(x)[:, :2]


class TwoHeads(nn.Module):
    """Classes from pooled maps, a box from a narrow version of them, which the classes do not see; the box's head comes last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()
        self.classify, self.narrow, self.place = nn.Linear(6, 2), nn.Conv2d(6, 2, 1), nn.Linear(2 * 144, 4)

    def forward(self, x):
        maps = self.relu(self.conv(x))
        return torch.cat([self.classify(maps.mean((2, 3))), self.place(self.narrow(maps).flatten(1))], 1)

    def classes(self, x):
        return self.classify(self.relu(self.conv(x)).mean((2, 3)))


class Classes(nn.Module):
    """The oracle: a network that gives the classes alone."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner.classes(x)


def seeded(kind: type[nn.Module]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind().eval()


def run_of(folder: Any, network: nn.Module, *, task: str = "localise", channels: int = 3, size: int = 12) -> Run:
    facts = {
        "state": "finished",
        "classes": ["ant", "bee"] if task == "localise" else [],
        "task": task,
        "preprocess": Preprocess(size=(size, size), channels=channels, resize="squash").to_json(),
        "model": {"name": "Own", "foreign": True},
    }
    made = Run.create(folder, facts)
    made.__dict__["model"] = network
    return made


@pytest.mark.parametrize("kind", [Small, TwoHeads])
@pytest.mark.parametrize(
    "method",
    ["saliency", "grad_cam", "layer_cam", "score_cam", "eigen_cam", "occlusion", "smoothgrad", "integrated_gradients", "guided", "input_x_gradient"],
)
def test_a_box_beside_the_classes_is_no_class(tmp_path, kind, method):
    network = seeded(kind)
    with torch.no_grad():
        classes = network(PICTURES)[:, :2].argmax(1)
    found = getattr(u, method)(run_of(tmp_path / "run", network), PICTURES)
    wanted = getattr(u, method)(Classes(network), PICTURES, preprocess="identity")
    if found.target is not None:
        assert found.target == tuple(classes.tolist())
    assert np.abs(found.arrays["map"] - wanted.arrays["map"]).max() <= 1e-5 * np.abs(wanted.arrays["map"]).max()
    assert np.abs(wanted.arrays["map"]).max() > 0


@pytest.mark.parametrize("method", ["pgd", "fgsm", "deepfool", "ddn"])
def test_attacks_turn_one_class_into_another_and_never_into_a_number_of_the_box(tmp_path, method):
    network = seeded(Small)
    options = {"epsilon": 64} if method in ("pgd", "fgsm") else {}
    found = getattr(u, method)(run_of(tmp_path / "run", network), PICTURES, **options)
    wanted = getattr(u, method)(Classes(network), PICTURES, preprocess="identity", **options)
    with torch.no_grad():
        before, after = (network(torch.as_tensor(found.arrays[name]))[:, :2].argmax(1) for name in ("pixels", "image"))
    assert found.arrays["before"].tolist() == before.tolist()
    assert found.arrays["after"].tolist() == after.tolist()
    assert np.array_equal(found.arrays["image"], wanted.arrays["image"])


def test_a_target_behind_the_classes_is_refused_and_the_classes_are_named(tmp_path):
    run = run_of(tmp_path / "run", seeded(Small))
    for wrong in (2, 5):
        with pytest.raises(ArgumentError, match=f"target: got {wrong}, expected a class from 0 to 1, or its name: ant, bee"):
            u.saliency(run, PICTURES, target=wrong)
        with pytest.raises(ArgumentError, match="expected a class from 0 to 1"):
            u.pgd(run, PICTURES, target=wrong)
    assert u.saliency(run, PICTURES, target="bee").target == (1, 1, 1)


def test_logits_beside_a_box_are_logits_however_small_they_are(tmp_path):
    """Scores that lie between 0 and 1, or add up to 1, are guessed to be shares elsewhere; here the task says what they are."""
    network = seeded(Small)
    with torch.no_grad():
        network.fc.weight[:2] *= 1e-9
        network.fc.bias[:2] = torch.tensor([0.25, 0.75])
    with u.prepare(run_of(tmp_path / "run", network), PICTURES) as p:
        assert p.logits == pytest.approx(torch.tensor([[0.25, 0.75]] * 3), abs=1e-6)
        assert p.notes == []


def test_the_default_layer_is_not_in_the_head_of_the_box(tmp_path):
    run = run_of(tmp_path / "run", seeded(TwoHeads))
    assert u.grad_cam(run, PICTURES).layer == "relu"
    assert u.activations(run, PICTURES).layer == "relu"


def test_the_codes_are_those_that_go_into_the_classes_not_into_the_box(tmp_path):
    network = seeded(TwoHeads)
    pictures = torch.rand(20, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    found = u.neighbours(run_of(tmp_path / "run", network), pictures, queries=3, count=2)
    with torch.no_grad():
        codes = network.relu(network.conv(pictures)).mean((2, 3)).double()
    for row, query in enumerate(found.arrays["query"].tolist()):
        apart = (codes - codes[query]).norm(dim=1)
        apart[query] = torch.inf
        assert found.arrays["in_codes"][row].tolist() == apart.topk(2, largest=False).indices.tolist()


def coder(**options: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return autoencoder((1, 8, 8), **options).eval()


@pytest.mark.parametrize(
    ("options", "layer"),
    [
        ({"widths": (20,), "code": 5}, "encoder.code"),
        ({"code": 5, "code_activation": "tanh"}, "encoder.code_act"),
        ({"form": "convolutional", "widths": (4, 6), "code": 0}, None),
    ],
)
def test_an_autoencoder_is_mapped_by_its_code(tmp_path, options, layer):
    network = coder(**options)
    run = run_of(tmp_path / "run", network, task="reconstruct", channels=1, size=8)
    pictures = torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    if layer is not None:
        assert code_layer(network, pictures) == layer
    found = u.neighbours(run, pictures, queries=4, count=3)
    with torch.no_grad():
        codes = network.encode(pictures).flatten(1)
    apart = torch.cdist(codes.double(), codes.double()) + torch.diag(torch.full((30,), torch.inf, dtype=torch.float64))
    for row, query in enumerate(found.arrays["query"].tolist()):
        near = apart[query].topk(3, largest=False)
        assert found.arrays["in_codes"][row].tolist() == near.indices.tolist()
        assert found.arrays["code_distance"][row] == pytest.approx(near.values.numpy(), rel=1e-4)
    assert u.code_map(run, pictures, by="pca").layer == found.layer
    assert found.layer.startswith("encoder.")


def test_an_autoencoder_names_no_classes_and_says_so(tmp_path):
    run = run_of(tmp_path / "run", coder(code=5), task="reconstruct", channels=1, size=8)
    picture = torch.rand(1, 1, 8, 8)
    told = r"learned to give pictures back \(task reconstruct\) and names no classes, so there is no class score to explain"
    for method in (u.saliency, u.grad_cam, u.pgd):
        with pytest.raises(ArgumentError, match=told):
            method(run, picture)
    assert u.activations(run, picture, layer="encoder.code").layer == "encoder.code"


def test_one_picture_is_not_said_in_the_plural():
    with pytest.raises(ArgumentError, match=r"returns a tensor of shape \(1, 2, 4, 4\) for 1 picture, expected"):
        u.saliency(nn.Conv2d(3, 2, 1), torch.zeros(1, 3, 4, 4))
