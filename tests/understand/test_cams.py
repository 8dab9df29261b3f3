"""The CAM family against literal re-computations, its layer by default, and the forward pass that needs no backward one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import striate.understand as u
from striate import zoo
from striate.core.errors import ArgumentError, UnknownNameError
from striate.probe import Snapshot
from striate.understand import cams
from striate.understand.standins import stand_in

NAMES = ("grad_cam", "grad_cam_plus_plus", "layer_cam", "eigen_cam", "score_cam")


class Pooled(nn.Module):
    """Its head is pooling and one dense layer, behind a functional in-place ReLU."""

    def __init__(self, head: str = "mean") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.drop = nn.Dropout(0.5)
        self.head, self.fc = head, nn.Linear(8 if head != "flat" else 8 * 36, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = self.conv2(x)
        F.relu_(x)
        pooled = {"mean": lambda: x.mean((2, 3)), "max": lambda: x.amax((2, 3)), "flat": lambda: x.flatten(1)}[self.head]()
        return self.fc(self.drop(pooled))

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv2(F.max_pool2d(F.relu(self.conv1(x)), 2)))

    def end(self, maps: torch.Tensor) -> torch.Tensor:
        return self.fc({"mean": maps.mean((2, 3)), "max": maps.amax((2, 3)), "flat": maps.flatten(1)}[self.head])


def net(head: str = "mean") -> Pooled:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return Pooled(head).double()


def pictures(count: int = 2, side: int = 12) -> torch.Tensor:
    return torch.rand(count, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def maps_and_gradients(model: Pooled, images: torch.Tensor, target: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    maps = model.maps(images).detach().requires_grad_()
    score = sum(model.end(maps)[number, each] for number, each in enumerate(target))
    return maps.detach(), torch.autograd.grad(score, maps)[0]


def literal(name: str, maps: torch.Tensor, gradients: torch.Tensor) -> np.ndarray:
    """Position by position, as the papers write it."""
    found = np.zeros((len(maps), *maps.shape[2:]))
    for n, (picture, back) in enumerate(zip(maps.numpy(), gradients.numpy(), strict=True)):
        for k in range(len(picture)):
            a, g = picture[k], back[k]
            if name == "grad_cam":
                found[n] += g.mean() * a
            elif name == "layer_cam":
                found[n] += np.maximum(g, 0) * a
            else:
                below = 2 * g**2 + a.sum() * g**3
                share = np.divide(g**2, below, out=np.zeros_like(g), where=below != 0)
                found[n] += (share * np.maximum(g, 0)).sum() * a
    return np.maximum(found, 0)


@pytest.mark.parametrize("head", ["mean", "max", "flat"])
@pytest.mark.parametrize("name", ["grad_cam", "grad_cam_plus_plus", "layer_cam"])
def test_maps_are_the_literal_ones(name: str, head: str) -> None:
    model, images, target = net(head).eval(), pictures(), [1, 4]
    wanted = literal(name, *maps_and_gradients(model, images, target))
    made = getattr(u, name)(model, images, target=target)
    assert wanted.max() > 1e-4
    assert np.abs(made.arrays["map"] - wanted).max() <= 1e-10
    assert made.layer == "/relu#2"
    assert np.allclose(getattr(u, name)(model, images, target=target, layer="/relu#2").arrays["map"], wanted, atol=1e-10)


def test_a_pooled_head_needs_no_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a backward pass")

    wanted = {head: u.grad_cam(net(head), pictures(), target=2).arrays["map"] for head in ("mean", "max")}
    monkeypatch.setattr(torch.autograd, "grad", refused)
    assert np.array_equal(u.grad_cam(net("mean"), pictures(), target=2).arrays["map"], wanted["mean"])
    with pytest.raises(AssertionError, match="a backward pass"):
        u.grad_cam(net("max"), pictures(), target=2)


def test_where_a_head_begins_is_remembered_and_proved_anew() -> None:
    model = net("mean")
    first, again = (u.grad_cam(model, pictures(), target=2).arrays["map"] for _ in range(2))
    assert cams._FOUND[model][0] == "/relu#2"
    assert np.array_equal(first, again)
    model.head = "max"
    assert np.array_equal(u.grad_cam(model, pictures(), target=2).arrays["map"], u.grad_cam(net("max"), pictures(), target=2).arrays["map"])
    many = u.grad_cam(net("mean"), pictures(5), target=2, batch=2)
    assert np.allclose(many.arrays["map"][:2], first, atol=1e-12)


def test_a_head_is_believed_only_when_the_scores_come_out() -> None:
    class Lookalike(Pooled):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * 1.01

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = Lookalike().double().eval()
    maps, gradients = maps_and_gradients(model, pictures(), [0, 3])
    made = u.grad_cam(model, pictures(), target=[0, 3])
    assert np.allclose(made.arrays["map"], literal("grad_cam", maps, 1.01 * gradients), atol=1e-12)


def test_class_maps_averaged_are_their_own_cam() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double()
    made = u.grad_cam(model, pictures(), target=[4, 0])
    maps = model[:2](pictures()).detach()
    assert made.layer == "1"
    assert np.allclose(made.arrays["map"], torch.stack([maps[0, 4], maps[1, 0]]).numpy() / 100)


def test_eigen_cam_is_the_first_singular_vector() -> None:
    for side in (12, 6):  # more positions than channels, and fewer
        model = net().eval()
        made = u.eigen_cam(model, pictures(2, side))
        for found, maps in zip(made.arrays["map"], model.maps(pictures(2, side)).detach(), strict=True):
            rows = maps.flatten(1).numpy()
            _, sizes, right = np.linalg.svd(rows, full_matrices=False)
            vector = right[0] * sizes[0] * np.sign(right[0].sum())
            assert np.allclose(found.ravel(), vector, atol=1e-9)
    assert made.target is None
    assert 0 < made.receipts["explained"] <= 1


@pytest.mark.parametrize("most", [None, 3])
def test_score_cam_is_the_literal_one(most: int | None) -> None:
    model, image = net("max").eval(), pictures(1)
    maps = model.maps(image).detach()[0]
    maps_of_one = [k for k in range(8) if float(maps[k].max() - maps[k].min()) > 0]
    if most is not None:
        maps_of_one = sorted(sorted(maps_of_one, key=lambda k: -float(maps[k].max() - maps[k].min()))[:most])
    nothing = stand_in(image[0], "mean")
    scores = []
    for k in maps_of_one:
        mask = F.interpolate(maps[None, k : k + 1], size=(12, 12), mode="bilinear", align_corners=False)[0, 0]
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        seen, blank = model(torch.stack([image[0] * mask + nothing * (1 - mask), nothing])).detach()[:, 3].tolist()
        scores.append(seen - blank)
    shares = np.exp(scores) / np.exp(scores).sum()
    wanted = np.maximum(sum(share * maps[k].numpy() for share, k in zip(shares, maps_of_one, strict=True)), 0)
    made = u.score_cam(model, image, target=3, most=most)
    assert np.abs(made.arrays["map"][0] - wanted).max() <= 1e-6
    assert ("left out" in " ".join(made.notes)) == (len(maps_of_one) < 8)


def test_an_early_layer_has_finer_maps_and_a_function_can_be_named() -> None:
    model, images = net(), pictures()
    assert u.layer_cam(model, images, target=1, layer="conv1").arrays["map"].shape == (2, 12, 12)
    assert u.layer_cam(model, images, target=1, layer="/max_pool2d#1").arrays["map"].shape == (2, 6, 6)
    early = u.grad_cam(model, images, target=1, layer="conv2")  # followed by an in-place ReLU
    maps = model.conv2(F.max_pool2d(F.relu(model.conv1(images)), 2)).detach().requires_grad_()
    gradient = torch.autograd.grad(model.eval().end(F.relu(maps))[:, 1].sum(), maps)[0]
    assert np.allclose(early.arrays["map"], literal("grad_cam", maps.detach(), gradient), atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_layers_are_named_with_the_nearest(name: str) -> None:
    model, method = net(), getattr(u, name)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(432, 5)).double()
    before = Snapshot.of(model)
    for layer, error, words in (
        ("conv3", UnknownNameError, "conv2"),
        ("/relu#5", UnknownNameError, "relu#2"),
        ("fc", ArgumentError, "expected maps N C H W"),
    ):
        with pytest.raises(error, match=words):
            method(model, pictures(), layer=layer)
    with pytest.raises(ArgumentError, match="no layer of this network gives maps"):
        method(flat, pictures())
    assert before.differences(model) == ()


def test_a_pooling_that_writes_into_the_maps_does_not_change_them() -> None:
    class Power(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.clamp_(min=0.3).mean((2, 3), keepdim=True)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), Power(), nn.Flatten(), nn.Linear(5, 4)).double()
    maps = model[:2](pictures()).detach().requires_grad_()
    gradient = torch.autograd.grad(model[3:](maps.clamp(min=0.3).mean((2, 3)))[:, 1].sum(), maps)[0]
    made = u.layer_cam(model, pictures(), target=1)
    assert made.layer == "1"
    assert np.allclose(made.arrays["map"], literal("layer_cam", maps.detach(), gradient), atol=1e-12)


def test_a_layer_that_does_not_matter_says_so() -> None:
    class Idle(Pooled):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.idle(x)
            return super().forward(x)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = Idle().double()
        model.idle = nn.Conv2d(3, 2, 3).double()
    made = u.grad_cam(model, pictures(), target=1, layer="idle")
    assert not made.arrays["map"].any()
    assert "does not depend on idle" in " ".join(made.notes)


def test_a_layer_called_twice_asks_which_call() -> None:
    class Twice(Pooled):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(torch.sigmoid(self.again(self.again(x))))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Twice().double()
        model.again = nn.Conv2d(3, 3, 1).double()
    with pytest.raises(ArgumentError, match=r"again is called 2 times; say which"):
        u.grad_cam(model, pictures(), target=1, layer="again")
    first, second = (u.layer_cam(model, pictures(), target=1, layer=f"again[{turn}]").arrays["map"] for turn in (0, 1))
    assert not np.allclose(first, second)


def test_chunks_are_the_same() -> None:
    for head in ("mean", "max"):
        for name in NAMES:
            target = {} if name == "eigen_cam" else {"target": [0, 1, 2, 3, 4]}
            whole, parts = (getattr(u, name)(net(head), pictures(5), batch=size, **target).arrays["map"] for size in (None, 2))
            assert np.allclose(whole, parts, atol=1e-10), (name, head)


EXPECTED = {
    "lenet5": ((1, 32, 32), "relu2"),
    "alexnet": ((3, 224, 224), "features.11"),
    "vgg11": ((3, 64, 64), "features.19"),
    "resnet18": ((3, 64, 64), "layer4.1.relu"),
    "squeezenet1_1": ((3, 64, 64), "classifier.2"),
    "densenet121": ((3, 64, 64), "relu"),
    "googlenet": ((3, 64, 64), "inception5b"),
    "resnet20": ((3, 32, 32), "relu"),
}


LARGE = ("alexnet", "vgg11", "googlenet")


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in EXPECTED])
def test_the_default_layer_is_the_last_map_of_every_architecture(name: str) -> None:
    shape, part = EXPECTED[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = zoo.build(name, classes=10, input=shape)
    image = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    with u.prepare(model, image) as p:
        seen = cams.look(p, None)
        assert part in seen.layer
        assert seen.layer == u.default_layer(p.network, p.inputs)
        again = cams.look(p, seen.layer)
    assert seen.maps.shape[-1] > 1
    assert torch.equal(seen.maps, again.maps)
    largest = again.gradients.abs().max()
    assert (seen.gradients - again.gradients).abs().max() <= 1e-5 * largest, "the gradient without a backward pass is the gradient"
