"""Networks and preprocessing as people write them: other precisions, in-place steps, layouts that count, outputs of every kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import striate.understand as u
from striate.core.errors import ArgumentError
from striate.understand.receipts import full

CLASSES = 5


class Named(NamedTuple):
    """Several outputs, each with its name."""

    features: torch.Tensor
    logits: torch.Tensor


def pictures() -> torch.Tensor:
    return torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(1))


class Own(nn.Module):
    """A convolution and a head over its mean maps; `way` goes from the maps to what the network returns."""

    def __init__(self, way: Callable[[Own, torch.Tensor], Any] | None = None, classes: int = CLASSES) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head, self.way = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, classes), way
        with torch.no_grad():
            self.head.weight.mul_(20)
        self.eval()

    def logits(self, maps: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(maps).mean((2, 3)))

    def forward(self, x: torch.Tensor) -> Any:
        maps = self.conv(x)
        return self.logits(maps) if self.way is None else self.way(self, maps)


@pytest.mark.parametrize("half_of", ["body", "head"])
@pytest.mark.parametrize("name", ["saliency", "grad_cam", "occlusion"])
def test_half_of_a_network_in_half_precision(half_of: str, name: str) -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.body, self.head = nn.Sequential(nn.Conv2d(3, 8, 3)), nn.Linear(8, CLASSES)
            getattr(self, half_of).half()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(F.relu(self.body(x)).mean((2, 3)).to(self.head.weight.dtype))

    half = Mixed().eval()
    made, wanted = getattr(u, name)(half, pictures(), target=0), getattr(u, name)(Mixed().float().eval(), pictures(), target=0)
    assert np.abs(made.arrays["map"] - wanted.arrays["map"]).max() <= 0.1 * np.abs(wanted.arrays["map"]).max()


@pytest.mark.parametrize("name", ["saliency", "occlusion", "integrated_gradients", "grad_cam", "fgsm", "guided", "ddn", "invert"])
def test_a_preprocess_may_write_over_what_it_is_given(name: str) -> None:
    few = {"steps": 4} if name in ("ddn", "invert") else {}
    images = pictures()
    made = getattr(u, name)(Own(), images, preprocess=lambda pixels: pixels.sub_(0.5).div_(0.25), **few)
    wanted = getattr(u, name)(Own(), pictures(), preprocess=lambda pixels: (pixels - 0.5) / 0.25, **few)
    assert torch.equal(images, pictures())
    for key, values in wanted.arrays.items():
        assert np.array_equal(made.arrays[key], values), key


def test_what_a_preprocess_does_wrong_is_said() -> None:
    for wrong, words in (
        (lambda pixels: pixels[0], r"returned a tensor of shape \(3, 20, 20\)"),
        (lambda pixels: pixels.crop(), "AttributeError.*one tensor"),
    ):
        with pytest.raises(ArgumentError, match=f"preprocess: .*{words}"):
            u.saliency(Own(), pictures(), preprocess=wrong)


def test_a_network_that_reads_memory_in_order_gets_it_contiguous() -> None:
    def strided(own: Own, maps: torch.Tensor) -> torch.Tensor:
        n, c, h, w = maps.shape
        return own.head(maps.as_strided((n, c, h // 2, w // 2), (c * h * w, h * w, 2 * w, 2)).amax((2, 3)))

    leaf = pictures().requires_grad_()
    (wanted,) = torch.autograd.grad(Own(strided)(leaf)[:, 0].sum(), leaf)
    made = u.saliency(Own(strided), pictures(), target=0)
    assert np.allclose(made.arrays["map"], wanted.abs().amax(1).numpy(), rtol=0, atol=1e-6 * float(wanted.abs().max()))


@pytest.mark.parametrize("way", [
    lambda own, maps: Named(maps.mean((2, 3)), own.logits(maps)),
    lambda own, maps: {"logits": own.logits(maps)},
    lambda own, maps: own.logits(maps).half(),
])  # fmt: skip
def test_scores_are_found_by_their_name(way: Callable[[Own, torch.Tensor], Any]) -> None:
    made, wanted = u.saliency(Own(way), pictures()), u.saliency(Own(), pictures())
    assert made.target == wanted.target
    assert np.allclose(made.arrays["map"], wanted.arrays["map"], rtol=0, atol=1e-2 * wanted.arrays["map"].max())


def test_a_softmax_at_the_end_is_not_taken_twice() -> None:
    ends = Own(lambda own, maps: own.logits(maps).softmax(1))
    made, wanted = u.occlusion(ends, pictures(), window=5), u.occlusion(Own(), pictures(), window=5)
    assert np.allclose(made.arrays["probability_before"], ends(pictures()).amax(1).detach().numpy(), atol=1e-6)
    assert np.allclose(made.arrays["map"], wanted.arrays["map"], rtol=0, atol=1e-5)
    assert any("ends in a softmax" in note for note in made.notes)
    several = u.saliency(Own(lambda own, maps: own.logits(maps).sigmoid()), pictures())
    assert any("ends in a sigmoid" in note for note in several.notes)


def test_one_score_a_picture() -> None:
    single = Own(classes=1)
    made = u.occlusion(single, pictures(), window=5)
    assert np.allclose(made.arrays["probability_before"], single(pictures()).sigmoid()[:, 0].detach().numpy(), atol=1e-6)
    assert np.ptp(made.arrays["map"]) > 0
    assert any("sigmoid" in note for note in made.notes)
    judged = full(single, pictures(), u.saliency(single, pictures()))
    assert judged.receipts["gap"] != 0
    for name in ("fgsm", "pgd", "ddn", "deepfool", "fooling"):
        with pytest.raises(ArgumentError, match="one score a picture"):
            getattr(u, name)(single, pictures())


def test_a_network_that_bf16_breaks_is_run_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    def strict(own: Own, maps: torch.Tensor) -> torch.Tensor:
        means = maps.mean((2, 3))
        return own.head(torch.zeros(len(maps), 8).index_add_(1, torch.arange(8), means))

    from striate.understand import throughput

    use = throughput.settings("cpu", "bf16")
    monkeypatch.setattr(throughput, "settings", lambda *_: use)
    made = u.occlusion(Own(strict), pictures(), window=3, stride=2)
    wanted = u.occlusion(Own(strict), pictures(), window=3, stride=2, precision="fp32")
    assert np.array_equal(made.arrays["map"], wanted.arrays["map"])
    assert any("does not run in bf16" in note for note in made.notes)
    with pytest.raises(ArgumentError, match="does not run in bf16"):
        u.occlusion(Own(strict), pictures(), window=3, stride=2, precision="bf16")


def test_an_infinite_mask_is_no_broken_weight() -> None:
    masked = Own()
    masked.register_buffer("mask", torch.full((4, 4), -torch.inf).triu(1))
    assert np.array_equal(u.saliency(masked, pictures()).arrays["map"], u.saliency(Own(), pictures()).arrays["map"])
    masked.mask[0, 0] = torch.nan
    with pytest.raises(ArgumentError, match="mask holds NaN"):
        u.saliency(masked, pictures())


@pytest.mark.parametrize(
    "name", ["saliency", "smoothgrad", "integrated_gradients", "fgsm", "pgd", "ddn", "deepfool", "fooling", "guided", "deconvnet"]
)
def test_scores_without_a_gradient_are_refused(name: str) -> None:
    def cut(own: Own, maps: torch.Tensor) -> torch.Tensor:
        return own.logits(maps.detach().requires_grad_())

    with pytest.raises(ArgumentError, match="differentiably"):
        getattr(u, name)(Own(cut), pictures())


def test_what_cannot_be_run_or_counted_is_said() -> None:
    class Keyword(Own):
        def forward(self, *, image: torch.Tensor) -> torch.Tensor:
            return self.logits(self.conv(image))

    lazy = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(3))
    for model, words in ((lazy, "not initialised yet"), (Keyword(), "cannot be called with one batch")):
        with pytest.raises(ArgumentError, match=words):
            u.saliency(model, pictures())
    for name, values in (("batch", (-1, 0, 2.5, "3")), ("seed", (1.5, "a", None))):
        for value in values:
            with pytest.raises(ArgumentError, match=f"{name}: got {value!r}"):
                u.saliency(Own(), pictures(), **{name: value})
    with pytest.raises(ArgumentError, match="no class names are known"):
        u.saliency(Own(), pictures(), target="0")
    assert u.smoothgrad(Own(), pictures(), seed=np.int64(3), samples=2).seed == 3


def test_labels_by_name_need_a_model_that_knows_names() -> None:
    with pytest.raises(ArgumentError, match="got the label 'cat', expected class numbers, or no names"):
        u.attack_curve(Own(), (pictures(), ["cat", "dog"]), epsilons=[2.0], steps=1)
