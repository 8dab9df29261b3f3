"""Saliency, SmoothGrad, input x gradient and integrated gradients against central differences, closed forms and their own axioms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import striate.understand as u
from striate.core.errors import ArgumentError
from striate.probe import Snapshot
from striate.understand.standins import stand_in

METHODS = {name: getattr(u, name) for name in ("saliency", "smoothgrad", "input_x_gradient", "integrated_gradients")}


class Functional(nn.Module):
    """Begins with an in-place operation on its input; functional ReLU, overlapping pooling, a reused module, concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, padding=1)
        self.again = nn.Conv2d(5, 5, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(10, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu_(self.conv(x.sub_(0.5).mul_(2)))
        x = self.relu(self.again(x))
        y = F.relu(self.again(x))
        return self.fc(F.max_pool2d(torch.cat([x, y], 1), 3, 2).mean((2, 3)))


@pytest.fixture
def net() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Functional().double()


def pictures(count: int = 2, side: int = 7) -> torch.Tensor:
    return torch.rand(count, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def differences(net: nn.Module, image: torch.Tensor, target: int, step: float = 1e-5) -> torch.Tensor:
    """dS/dpixel by central differences, pixel by pixel."""
    found = torch.zeros_like(image)
    for place in range(image.numel()):
        moved = [image.clone() for _ in range(2)]
        moved[0].view(-1)[place] += step
        moved[1].view(-1)[place] -= step
        with torch.no_grad():
            up, down = net(torch.stack(moved))[:, target]
        found.view(-1)[place] = (up - down) / (2 * step)
    return found


def test_saliency_is_the_central_difference(net: nn.Module) -> None:
    images = pictures()
    made = u.saliency(net, images, target=[3, 0])
    for image, target, found in zip(images, (3, 0), made.arrays["map"], strict=True):
        wanted = differences(net, image, target).abs().amax(0)
        assert wanted.max() > 1e-3
        assert np.abs(found - wanted.numpy()).max() <= 1e-7


def test_saliency_differentiates_the_preprocessing_too(net: nn.Module) -> None:
    image = pictures(1)
    seven = u.saliency(net, image, target=1, preprocess=lambda x: 0.25 * x + 0.4)
    plain = u.saliency(net, 0.25 * image + 0.4, target=1)
    assert np.allclose(seven.arrays["map"], 0.25 * plain.arrays["map"], rtol=1e-12)


def test_input_x_gradient_is_exact_for_a_network_without_biases(net: nn.Module) -> None:
    scaled = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 25, 4, bias=False)).double()
    images = pictures()
    made = u.input_x_gradient(scaled, images, target=2)
    gradient = torch.stack([differences(scaled, image, 2) for image in images])
    assert np.allclose(made.arrays["map"], (images * gradient).sum(1).numpy(), atol=1e-8)
    scores = scaled(images)[:, 2].detach().numpy()
    assert np.allclose(made.arrays["map"].sum((1, 2)), scores)  # S is homogeneous: Euler's theorem
    assert np.allclose(made.arrays["difference"], scores)
    assert made.receipts["completeness_error"] <= 1e-12
    blank = u.input_x_gradient(net, torch.zeros(1, 3, 7, 7, dtype=torch.float64), target=2)
    assert not blank.arrays["map"].any()


def test_integrated_gradients_of_a_quadratic_are_its_closed_form() -> None:
    class Quadratic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Parameter(torch.ones((), dtype=torch.float64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            flat = x.flatten(1) * self.one
            return torch.stack([(flat**2).sum(1), flat.sum(1), (flat[:, :-1] * flat[:, 1:]).sum(1)], 1)

    image = pictures(1, 4)
    square = u.integrated_gradients(Quadratic(), image, target=0, baseline=0.0, steps=2, most=2)
    assert np.allclose(square.arrays["map"], (image**2).sum(1).numpy())  # a trapezoid is exact for a linear integrand
    line = u.integrated_gradients(Quadratic(), image, target=1, baseline=0.25, steps=2, most=2)
    assert np.allclose(line.arrays["map"], (image - 0.25).sum(1).numpy())
    assert abs(line.arrays["delta"][0]) <= 1e-12


def test_integrated_gradients_are_the_trapezoid_sum(net: nn.Module) -> None:
    image = pictures(1)[0]
    made = u.integrated_gradients(net, image, target=1, steps=9, most=9, tolerance=0.0, baseline="blur")
    start = stand_in(image, "blur")  # a constant picture would tie in max pooling, where its gradient is a matter of taste
    way, total = image - start, torch.zeros_like(image)
    for number, share in enumerate(np.linspace(0, 1, 9)):
        at = (start + share * way).requires_grad_()
        (gradient,) = torch.autograd.grad(net(at[None].clone())[0, 1], at)
        total += gradient * (0.5 if number in (0, 8) else 1.0) / 8
    assert np.allclose(made.arrays["map"][0], (way * total).sum(0).numpy(), atol=1e-12)
    ends = [net(each[None].clone())[0, 1].item() for each in (start, image)]
    assert made.arrays["difference"][0] == pytest.approx(ends[1] - ends[0])
    assert made.arrays["delta"][0] == pytest.approx(ends[1] - ends[0] - made.arrays["map"].sum())


def test_completeness_on_a_trained_network(trained_digits: nn.Module, digits_pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, labels = digits_pictures[0][1400:1424], digits_pictures[1][1400:1424]
    fixed = u.integrated_gradients(trained_digits, images, target=labels, steps=64, most=64, tolerance=0.0)
    assert fixed.receipts["completeness_error"] <= 0.01
    adapted = u.integrated_gradients(trained_digits, images, target=labels, steps=8)
    assert adapted.receipts["completeness_error"] <= 0.01
    assert (np.abs(adapted.arrays["delta"]) <= 0.01 * np.abs(adapted.arrays["difference"])).sum() >= 22, "a difference near zero is hard to reach"
    assert adapted.receipts["gradients"] < fixed.receipts["gradients"] / 2, "adapting spends fewer gradients"
    assert np.allclose(adapted.arrays["map"].sum((1, 2)) + adapted.arrays["delta"], adapted.arrays["difference"], rtol=1e-3, atol=1e-3)
    stopped = u.integrated_gradients(trained_digits, images, target=labels, steps=2, most=2, tolerance=1e-6)
    assert "of 24 pictures do not add up" in " ".join(stopped.notes)


def test_a_blank_picture_has_a_blank_map(net: nn.Module) -> None:
    blank = torch.full((1, 3, 7, 7), 0.3, dtype=torch.float64)
    for baseline in ("mean", "blur", 0.3):
        made = u.integrated_gradients(net, blank, target=1, baseline=baseline)
        assert not made.arrays["map"].any(), baseline
    assert made.arrays["gradients"][0] == 0


def test_smoothgrad_without_noise_is_saliency_and_with_it_the_mean(net: nn.Module) -> None:
    images = pictures()
    plain = u.saliency(net, images, target=1).arrays["map"]
    assert np.allclose(u.smoothgrad(net, images, target=1, noise=0.0, samples=3).arrays["map"], plain, rtol=1e-9)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(147, 4)).double()
    noisy = u.smoothgrad(linear, images, target=1, noise=0.5, samples=3).arrays["map"]
    assert np.allclose(noisy, linear[1].weight[1].detach().view(3, 7, 7).abs().amax(0).numpy())  # one gradient everywhere
    signed, sized = (u.smoothgrad(net, images, target=1, noise=0.5, samples=6, magnitude=m).arrays["map"] for m in (False, True))
    assert (signed <= sized + 1e-12).all()
    assert not np.allclose(signed, sized)


def test_smoothgrad_is_the_mean_over_its_own_noise(net: nn.Module) -> None:
    image = pictures(1)
    with u.prepare(net, image, target=1, seed=4) as p:
        generator = p.generator(0)
    spread = float(image.max() - image.min())
    total = torch.zeros_like(image[0])
    for _ in range(5):
        at = (image[0] + 0.2 * spread * torch.randn(image[0].shape, generator=generator, dtype=torch.float64)).requires_grad_()
        total += torch.autograd.grad(net(at[None].clone())[0, 1], at)[0] / 5
    made = u.smoothgrad(net, image, target=1, noise=0.2, samples=5, seed=4)
    assert np.allclose(made.arrays["map"][0], total.abs().amax(0).numpy(), atol=1e-12)


def test_many_pictures_in_chunks_are_the_same(net: nn.Module) -> None:
    images = pictures(5)
    for name, method in METHODS.items():
        more = {"samples": 3} if name == "smoothgrad" else {}
        whole, parts = (method(net, images, target=[0, 1, 2, 3, 0], batch=size, **more).arrays["map"] for size in (None, 2))
        assert np.allclose(whole, parts, atol=1e-12), name


def test_what_stands_in() -> None:
    picture = pictures(1, 24)[0]
    from scipy.ndimage import gaussian_filter

    blurred = np.stack([gaussian_filter(channel, 2.0, mode="nearest", truncate=3.0) for channel in picture.numpy()])
    assert np.allclose(stand_in(picture, "blur").numpy(), blurred, atol=1e-12)
    assert torch.allclose(stand_in(picture, "mean"), picture.mean((1, 2), keepdim=True).expand_as(picture))
    for kind in (torch.float32, torch.float64):
        blank = torch.full((3, 9, 5), 0.1, dtype=kind)
        assert torch.equal(stand_in(blank, "mean"), blank)
        assert torch.equal(stand_in(blank, "blur"), blank)


def test_bad_options_and_networks_without_gradient(net: nn.Module) -> None:
    before = Snapshot.of(net)
    image = pictures(1)
    for call, words in (
        (lambda: u.smoothgrad(net, image, samples=0), "samples: got 0"),
        (lambda: u.smoothgrad(net, image, noise=-1), "noise: got -1"),
        (lambda: u.integrated_gradients(net, image, steps=1), "steps: got 1, expected 2 or more"),
        (lambda: u.integrated_gradients(net, image, steps=32, most=16), "most: got 16"),
        (lambda: u.integrated_gradients(net, image, baseline=2.0), "expected a level from 0"),
        (lambda: u.integrated_gradients(net, image, baseline="men"), "mean"),
        (lambda: u.saliency(net, image, preprocess=torch.Tensor.detach), "do not depend differentiably"),
    ):
        with pytest.raises(ArgumentError, match=words):
            call()
    assert before.differences(net) == ()


def test_their_figures_tell_the_raw_range(net: nn.Module) -> None:
    for name, method in METHODS.items():
        made = method(net, pictures(), target=1, **({"samples": 2} if name == "smoothgrad" else {}))
        svg = made.figure().svg()
        assert "raw" in svg, name
