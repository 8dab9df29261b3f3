"""Adversarial pictures against closed forms on linear networks, the papers' formulas as plain loops, and real saving and reading back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import striate.understand as u
from striate.core.errors import ArgumentError, UnknownNameError
from striate.understand.attacking import bound_of, saved

SIDE = 8
SIZE = 3 * SIDE * SIDE


class Linear(nn.Module):
    """Class scores W x + b: every attack has a closed form."""

    def __init__(self, classes: int = 4, scale: float = 0.05) -> None:
        super().__init__()
        drawn = torch.Generator().manual_seed(4)
        self.weight = nn.Parameter(torch.randn(classes, SIZE, generator=drawn, dtype=torch.float64) * scale)
        self.bias = nn.Parameter(torch.randn(classes, generator=drawn, dtype=torch.float64) * 0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.weight.T + self.bias


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3), nn.Linear(6 * 4 * 4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(F.relu(self.conv2(F.relu(self.conv1(x)))).flatten(1))


def small() -> Small:
    torch.manual_seed(9)
    return Small()


def inner(count: int = 6, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Pictures on the 8-bit grid, far enough from black and white that no clipping happens."""
    steps = torch.randint(90, 166, (count, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(3))
    return steps.to(dtype) / 255


def two_classes() -> tuple[Linear, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return net, pictures, the way from the predicted class to the other (N D), and each picture's margin."""
    net, x = Linear(2), inner(40)
    logits = net(x).detach()
    own = logits.argmax(1)
    way = net.weight.detach()[1 - own] - net.weight.detach()[own]
    return net, x, way, (logits.gather(1, own[:, None]) - logits.gather(1, 1 - own[:, None]))[:, 0]


def test_fgsm_of_two_linear_classes_is_the_sign_of_their_difference() -> None:
    net, x, way, margin = two_classes()
    found = u.fgsm(net, x, epsilon=3, preprocess="identity")
    expected = x + 3 / 255 * way.sign().view_as(x)
    np.testing.assert_allclose(found.arrays["image"], expected.numpy(), atol=1e-7)
    turned = (3 / 255 * way.abs().sum(1) > margin).numpy()
    assert np.array_equal(found.arrays["success"], turned)
    assert found.receipts["success"] == pytest.approx(turned.mean())
    assert found.receipts["largest_linf_255"] == pytest.approx(3)
    back = u.fgsm(net, x, epsilon=3, target=found.arrays["before"].tolist(), preprocess="identity")  # to its own class: the other way
    np.testing.assert_allclose(back.arrays["image"], (x - 3 / 255 * way.sign().view_as(x)).numpy(), atol=1e-7)
    assert f"{len(x)} of {len(x)} pictures had the target class before" in back.notes[-1]


def plain_pgd(net: nn.Module, x0: torch.Tensor, labels: torch.Tensor, epsilon: float, steps: int, size: float, way: float) -> torch.Tensor:
    """Foolbox's formula, written out."""
    x = x0
    for _ in range(steps):
        x = x.clone().requires_grad_()
        loss = F.cross_entropy(net(x), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
        x = x.detach() + way * size * gradient.sign()
        x = x0 + torch.clamp(x - x0, -epsilon, epsilon)
        x = x.clamp(0, 1)
    return x


@pytest.mark.parametrize("target", [None, 2])
def test_fgsm_and_pgd_are_the_formula_bit_for_bit(target: int | None) -> None:
    net = small()
    x = torch.rand(5, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    labels = net(x).argmax(1) if target is None else torch.full((5,), target)
    way = 1.0 if target is None else -1.0
    one = plain_pgd(net, x, labels, 1.0, 1, 8 / 255, way)  # a wide bound: one step and the clip
    assert np.array_equal(u.fgsm(net, x, target=target, epsilon=8, preprocess="identity").arrays["exact"], one.numpy())
    many = plain_pgd(net, x, labels, 8 / 255, 12, 8 / 255 / 30, way)
    np.testing.assert_allclose(
        u.pgd(net, x, target=target, epsilon=8, steps=12, step=8 / 30, preprocess="identity").arrays["exact"], many.numpy(), atol=2e-9
    )


def test_pgd_keeps_its_bound_and_reaches_fgsm_where_all_is_linear() -> None:
    net, x, way, _ = two_classes()
    found = u.pgd(net, x, epsilon=4, preprocess="identity")
    np.testing.assert_allclose(found.arrays["image"], (x + 4 / 255 * way.sign().view_as(x)).numpy(), atol=1e-7)
    first, second, third = (u.pgd(net, x, epsilon=4, steps=1, random_start=True, seed=seed, preprocess="identity") for seed in (0, 0, 1))
    assert np.array_equal(first.arrays["exact"], second.arrays["exact"])
    assert not np.array_equal(first.arrays["exact"], third.arrays["exact"])
    for each in (first, third):
        assert np.abs(each.arrays["exact"] - x.numpy()).max() <= 4 / 255 + 1e-7
        assert each.arrays["linf"].max() <= 4 / 255 + 1e-7


def test_deepfool_finds_the_nearest_border_of_linear_classes_in_one_step() -> None:
    net, x = Linear(5), inner(12)
    logits, weight = net(x).detach(), net.weight.detach()
    own = logits.argmax(1)
    gaps = logits.gather(1, own[:, None]) - logits
    ways = (weight[None] - weight[own][:, None]).norm(dim=2)
    distance = torch.where(gaps == 0, torch.inf, gaps / ways).amin(1).numpy()
    found = u.deepfool(net, x, preprocess="identity")
    np.testing.assert_allclose(found.arrays["exact_l2"], 1.02 * (distance + 1e-4), rtol=1e-5)
    assert found.receipts["success_before_saving"] == 1
    goal = int((own[0] + 1) % 5)
    aimed = u.deepfool(net, x[:1], target=goal, preprocess="identity")
    np.testing.assert_allclose(aimed.arrays["after"], [goal])


def test_ddn_comes_near_the_least_distance_and_never_under_it() -> None:
    net, x, way, margin = two_classes()
    least = (margin / way.norm(dim=1)).numpy()
    found = u.ddn(net, x, steps=200, preprocess="identity")
    assert (found.arrays["exact_l2"] >= least * (1 - 1e-6)).all()
    assert np.median(found.arrays["exact_l2"] / least) < 1.06
    assert found.receipts["success_before_saving"] == 1


def test_what_eight_bits_would_round_away_is_enlarged_until_it_holds() -> None:
    net, x, way, _ = two_classes()
    with torch.no_grad():
        gaps = net(x)[:, 0] - net(x)[:, 1]
        net.bias[0] -= gaps.median() + 1e-3  # some pictures stand right at the border
        gaps = net(x)[:, 0] - net(x)[:, 1]
    least = (gaps.abs() / way.norm(dim=1)).numpy()
    found = u.deepfool(net, x, preprocess="identity")
    tiny = np.abs(found.arrays["exact"] - x.numpy()).reshape(len(x), -1).max(1) < 0.5 / 255
    assert tiny.any(), "the case is not tested"
    assert found.receipts["success"] == 1
    assert (found.arrays["stretch"][tiny] > 1).all()
    assert (found.arrays["l2"] >= least * (1 - 1e-6)).all()


def test_success_is_what_saved_and_reread_files_say(tmp_path: Path) -> None:
    net = small()
    x = (torch.rand(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(8)) * 255).round() / 255
    for name, options in (("pgd", {"epsilon": 12}), ("ddn", {}), ("deepfool", {})):
        found = getattr(u, name)(net, x, preprocess="identity", **options)
        files = []
        for number, picture in enumerate(found.arrays["image"]):
            files.append(tmp_path / f"{name}{number}.png")
            Image.fromarray(np.rint(picture * 255).astype(np.uint8).transpose(1, 2, 0)).save(files[-1])
        with u.prepare(net, files, preprocess="identity") as p:
            again = p.logits.argmax(1).numpy()
            assert np.array_equal(p.pixels.numpy(), found.arrays["image"])
        assert np.array_equal(again, found.arrays["after"])
        assert np.array_equal(again != found.arrays["before"], found.arrays["success"])


def test_saving_stays_within_the_bound_wherever_there_is_a_step() -> None:
    drawn = torch.Generator().manual_seed(0)
    pixels, way = torch.rand(1000, generator=drawn), torch.rand(1000, generator=drawn) * 2 - 1
    for epsilon in (0.5, 1.0, 2.5):
        kept = saved((pixels + way * epsilon / 255).clamp(0, 1), pixels, epsilon / 255)
        assert torch.equal(kept, (kept * 255).round() / 255)
        assert float((kept - pixels).abs().max()) <= epsilon / 255 + 1e-5


def test_fooling_reaches_the_confidence_asked_for_from_pictures_and_from_noise() -> None:
    net = small()
    with torch.no_grad():
        net.fc.weight.mul_(40)
    x = torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(8))
    found = u.fooling(net, x, confidence=0.95, rate=2.0, preprocess="identity")
    assert found.target == tuple(net(x).argmin(1).tolist()), "by default the class each is least like"
    assert found.receipts["arrived"] == 1
    shares = net(torch.from_numpy(found.arrays["image"])).detach().softmax(1).gather(1, torch.tensor(found.target)[:, None])
    assert float(shares.min()) >= 0.95
    assert (found.arrays["steps_taken"] > 0).all()
    noise, other = (u.fooling(net, x, target=1, start="noise", rate=2.0, seed=seed, preprocess="identity") for seed in (0, 1))
    assert noise.receipts["arrived"] == 1
    assert not np.array_equal(noise.arrays["pixels"], x.numpy())
    assert not np.array_equal(noise.arrays["pixels"], other.arrays["pixels"])
    already = u.fooling(net, found.arrays["image"], target=list(found.target), confidence=0.95, preprocess="identity")
    assert (already.arrays["steps_taken"] == 0).all()


def test_the_curve_is_that_of_the_margins_and_moves_to_the_same_network() -> None:
    net, x, way, margin = two_classes()
    found = u.attack_curve(net, x, epsilons=(1, 2, 6), attacks=("fgsm", "noise"), second=net, preprocess="identity")
    for row in range(3):
        expected = (found.arrays["epsilon"][row] / 255 * way.abs().sum(1) > margin).double().mean()
        assert found.arrays["success"][row] == pytest.approx(float(expected))
    assert np.array_equal(found.arrays["transfer"], found.arrays["success"])
    assert (found.arrays["success"][3:] <= found.arrays["success"][:3]).all()
    labels = net(x).argmax(1).numpy().copy()
    labels[:10] = 1 - labels[:10]
    judged = u.attack_curve(net, (x, labels), epsilons=(2,), attacks=("pgd",), preprocess="identity")
    assert judged.receipts["right"] == 30
    assert judged.arrays["success"][0] == pytest.approx(float((2 / 255 * way.abs().sum(1) > margin)[10:].double().mean()))
    assert judged.figure().title.startswith("PGD turns")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("fgsm", {"epsilon": 8 / 255}, "for 8/255 give 8"),
        ("pgd", {"epsilon": 0.0}, "expected 0.5 to 255"),
        ("pgd", {"steps": 0}, "steps: got 0"),
        ("pgd", {"step": -1.0}, "step: got -1"),
        ("deepfool", {"candidates": 1}, "candidates: got 1"),
        ("deepfool", {"overshoot": 2.0}, "overshoot"),
        ("ddn", {"gamma": 1.0}, "gamma"),
        ("fooling", {"confidence": 1.0}, "confidence"),
        ("fgsm", {"target": 4}, "from 0 to 3"),
    ],
)
def test_errors(name: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        getattr(u, name)(small(), inner(1, torch.float32), preprocess="identity", **options)


def test_errors_of_the_curve() -> None:
    with pytest.raises(UnknownNameError, match="pgd"):
        u.attack_curve(small(), inner(2, torch.float32), attacks=("pgb",))
    labels = 3 - small()(inner(2, torch.float32)).argmax(1).numpy()
    with pytest.raises(ArgumentError, match="no picture is classified right"):
        u.attack_curve(small(), (inner(2, torch.float32), labels % 4), preprocess="identity", attacks=("fgsm",))
    assert bound_of(2) == 2 / 255


def test_pictures_between_the_steps_are_told_of() -> None:
    net, x, _, _ = two_classes()
    assert not any("no 8-bit pictures" in note for note in u.fgsm(net, x, preprocess="identity").notes)
    assert any("no 8-bit pictures" in note for note in u.fgsm(net, x + 0.3 / 255, preprocess="identity").notes)


def test_figures_tell_what_happened() -> None:
    net, x, _, _ = two_classes()
    one = u.fgsm(net, x[:1], epsilon=200, preprocess="identity")
    before, after = int(one.arrays["before"][0]), int(one.arrays["after"][0])
    assert one.figure().title == f"FGSM turns class {before} into class {after}, within 200/255"
    many = u.ddn(net, x, preprocess="identity")
    assert many.figure().title.startswith(f"{int(many.arrays['success'].sum())} of 40 pictures change class by DDN, median L2")
    assert many.figure().title.endswith("(first 12 shown)")


def test_a_second_network_without_a_preprocess_gets_the_firsts() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 3)).eval()
    pixels = torch.rand(12, 3, 4, 4, generator=torch.Generator().manual_seed(1))

    def how(x: Tensor) -> Tensor:
        return (x - 0.9) / 0.1

    labels = net(how(pixels)).argmax(1).numpy()
    assert (net(pixels).argmax(1).numpy() != labels).any(), "it would say something else of the pixels as they are"
    net.preprocess = type("How", (), {"__call__": staticmethod(how), "to_json": dict, "fit": staticmethod(lambda picture: picture)})()
    made = u.attack_curve(net, (pixels, labels), second=nn.Sequential(*net), attacks=("noise",), epsilons=(0.5,), steps=1)
    assert made.receipts["right"] == 12
