"""Occlusion against a naive loop and its limits; bf16 believed only where it keeps the order; the picture of the winning classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import striate.understand as u
from striate.core import runtime
from striate.core.errors import ArgumentError
from striate.probe import Snapshot
from striate.surgery import Incremental
from striate.surgery.incremental import Work
from striate.understand import throughput
from striate.understand.standins import stand_in
from striate.understand.throughput import Run, Throughput


class Net(nn.Module):
    """Batch norm to fold, functional and in-place ReLUs, and a first operation in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv2, self.relu = nn.Conv2d(6, 8, 3), nn.ReLU(inplace=True)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.conv1(x.sub_(0.4))))
        return self.fc(self.relu(self.conv2(x)).amax((2, 3)))


def net(dtype: torch.dtype = torch.float64) -> Net:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        made = Net().to(dtype)
        with torch.no_grad():
            made.norm.running_mean.normal_()
            made.norm.running_var.uniform_(0.5, 2)
            made.fc.weight.mul_(6)
    return made


def pictures(count: int = 2, size: tuple[int, int] = (11, 14), dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(count, 3, *size, dtype=dtype, generator=torch.Generator().manual_seed(1))


def naive(model: nn.Module, image: torch.Tensor, target: int, window: int, stride: int, value: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One window after the other: p(target), the winner, and the mean fall over the windows that cover each pixel."""
    model = model.eval()
    height, width = image.shape[-2:]
    tops, lefts = ([*range(0, length - window, stride), max(0, length - window)] for length in (height, width))
    falls, count = np.zeros((height, width)), np.zeros((height, width))
    shares, winners = np.zeros((len(tops), len(lefts))), np.zeros((len(tops), len(lefts)), int)
    with torch.no_grad():
        whole = model(image[None].clone()).softmax(1)[0, target].item()
        for i, top in enumerate(tops):
            for j, left in enumerate(lefts):
                covered = image.clone()
                covered[:, top : top + window, left : left + window] = stand_in(image, value)[:, top : top + window, left : left + window]
                logits = model(covered[None])[0]
                shares[i, j], winners[i, j] = logits.softmax(0)[target].item(), int(logits.argmax())
                falls[top : top + window, left : left + window] += whole - shares[i, j]
                count[top : top + window, left : left + window] += 1
    return shares, winners, falls / count


@pytest.mark.parametrize(("window", "stride", "value"), [(4, 2, "mean"), (5, 5, 0.0), (3, 1, "blur"), (1, 1, 1.0)])
def test_occlusion_is_the_naive_loop(window: int, stride: int, value: str | float) -> None:
    images = pictures()
    made = u.occlusion(net(), images, target=[1, 3], window=window, stride=stride, value=value)
    for number, target in enumerate((1, 3)):
        shares, winners, falls = naive(net(), images[number], target, window, stride, value)
        assert np.ptp(shares) > 1e-3
        assert np.abs(made.arrays["probability"][number] - shares).max() <= 1e-6
        assert (made.arrays["winner"][number] == winners).all()
        assert np.abs(made.arrays["map"][number] - falls).max() <= 1e-6
    assert made.receipts["windows"] == shares.size


def test_a_window_over_everything_is_the_baseline() -> None:
    image = pictures(1)
    made = u.occlusion(net(), image, target=2, window=14, value=0.25)
    with torch.no_grad():
        scores = net().eval()(torch.cat([torch.full_like(image, 0.25), image]))
    wanted = scores.softmax(1)[:, 2].numpy()
    assert made.arrays["probability"].shape == (1, 1, 1)
    assert made.arrays["probability"][0, 0, 0] == pytest.approx(wanted[0], abs=1e-9)
    assert made.arrays["probability_before"][0] == pytest.approx(wanted[1], abs=1e-9)
    assert np.allclose(made.arrays["map"], wanted[1] - wanted[0], atol=1e-9)
    logits = u.occlusion(net(), image, target=2, window=14, value=0.25, score="logit")
    assert np.allclose(logits.arrays["map"], (scores[1, 2] - scores[0, 2]).item(), atol=1e-9)
    assert (made.arrays["winner"] == int(scores[0].argmax())).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_blank_picture_has_a_blank_map_and_nothing_is_run(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    before = Throughput.run

    def run(self: Throughput, count: int, *rest: object, **more: object) -> Run:
        ran.append(count)
        return before(self, count, *rest, **more)

    monkeypatch.setattr(Throughput, "run", run)
    blank = torch.full((1, 3, 11, 14), 0.1, dtype=dtype)
    for value in ("mean", "blur", 0.1):
        made = u.occlusion(net(dtype), blank, target=2, window=4, value=value)
        assert not made.arrays["map"].any(), value
    assert ran == [1, 1, 1]
    assert made.figure().svg().count("all") >= 1


def wide_net() -> nn.Module:
    """Large enough for patches to be worth it."""
    torch.manual_seed(3)
    made = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 32 * 32, 5),
    )
    return made.eval()


def test_running_only_what_a_window_changes_gives_the_same_map(monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = wide_net(), pictures(2, (64, 64), torch.float32)
    asked = {"target": 1, "window": 10, "score": "logit", "precision": "fp32"}
    worth: list[bool] = []
    before = Work.worth
    monkeypatch.setattr(Work, "worth", lambda self, batch: worth.append(before(self, batch)) or worth[-1])
    patched = u.occlusion(model, image, **asked)
    assert worth == [True, True]
    monkeypatch.setattr(Work, "worth", lambda self, batch: False)
    wholly = u.occlusion(model, image, **asked)
    assert np.allclose(patched.arrays["map"], wholly.arrays["map"], atol=1e-5 * np.abs(wholly.arrays["map"]).max())
    assert np.allclose(patched.arrays["probability"], wholly.arrays["probability"], atol=1e-6)
    monkeypatch.setattr(Incremental, "forward", lambda self, x: self.network(x) + 1)
    monkeypatch.setattr(Work, "worth", lambda self, batch: True)
    refused = u.occlusion(model, image, **asked)
    assert np.array_equal(refused.arrays["map"], wholly.arrays["map"])
    assert any("run whole" in note for note in refused.notes)


def test_the_sizes_by_default_cover_every_pixel() -> None:
    small = u.occlusion(net(torch.float32), pictures(1, (32, 32), torch.float32), target=0)
    assert (small.options["window"], small.options["stride"]) == (8, 4)
    assert small.arrays["probability"].shape == (1, 7, 7)
    from striate.understand.methods.occlusion import _sizes, _starts

    assert _sizes(None, None, 224, 224) == (15, 8)
    for length in range(5, 40):
        for window in range(1, length + 1):
            for stride in range(1, window + 1):
                starts = _starts(length, window, stride)
                assert starts[-1] + window == length
                assert {place for start in starts for place in range(start, start + window)} == set(range(length))


def test_bad_options_name_what_is_allowed() -> None:
    model, images = net(), pictures()
    before = Snapshot.of(model)
    for options, words in (
        ({"window": 0}, "window: got 0"),
        ({"window": 15}, "at most 14"),
        ({"window": 4, "stride": 5}, "never be covered"),
        ({"value": 1.5}, r"from 0 \(black\) to 1"),
        ({"value": "men"}, "mean"),
        ({"score": "logits"}, "logit"),
        ({"precision": "bf61"}, "bf16"),
        ({"precision": "bf16"}, "bf16 is for float32 networks"),
        ({"target": "cat"}, "unknown class"),
    ):
        with pytest.raises(ArgumentError, match=words):
            u.occlusion(model, images, **options)
    assert before.differences(model) == ()


class Half:
    """A machine with bf16, whatever this one has."""

    precision, channels_last = "bf16", True


def test_bf16_is_believed_only_when_it_keeps_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "settings", lambda *_: Half)
    image = pictures(1, (20, 20), torch.float32)
    wanted, _, falls = naive(net(torch.float32), image[0], 1, 3, 2, "mean")
    half = u.occlusion(net(torch.float32), image, target=1, window=3, stride=2)
    assert half.receipts["bf16_rank_correlation"] >= 0.99
    assert not any("float32" in note for note in half.notes)
    assert 0 < np.abs(half.arrays["probability"][0] - wanted).max() <= 0.02 * np.ptp(wanted) + 0.01
    monkeypatch.setattr(throughput, "AGREEMENT", 1.01)
    full = u.occlusion(net(torch.float32), image, target=1, window=3, stride=2)
    assert np.abs(full.arrays["map"][0] - falls).max() <= 1e-6
    assert any("1 of 1 pictures were computed in float32" in note for note in full.notes)


def test_the_last_layer_stays_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "settings", lambda *_: Half)
    model, seen = net(torch.float32), []
    image = pictures(1, dtype=torch.float32)
    with u.prepare(model, image, target=1) as p:
        fast = Throughput(p)
        for name in ("conv2", "fc"):
            fast.quick.network.get_submodule(name).register_forward_hook(lambda _, given, made: seen.append((given[0].dtype, made.dtype)))
        run = fast.run(100, lambda numbers: image.expand(len(numbers), -1, -1, -1), lambda logits: logits[:, 1])
    assert seen[0][1] == torch.bfloat16
    assert seen[1][1] == torch.float32
    assert run.logits.dtype == torch.float32
    assert "forward" not in vars(model.fc)


def test_networks_that_cannot_be_followed_or_copied_still_run() -> None:
    class Branching(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if float(x.sum()) > -1 else super().forward(-x)

        def __deepcopy__(self, memo: object) -> None:
            raise RuntimeError("no copies")

    class Counting(Net):
        """Another net every time it is run: its copy does not compute the same."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + (1.0 if torch.is_grad_enabled() else 0.0) + self.extra

        extra = 0.0

    image = pictures(1)
    wanted = u.occlusion(net(), image, target=2, window=4).arrays["map"]
    with torch.random.fork_rng(devices=[]):
        branching = Branching().double()
    branching.load_state_dict(net().state_dict())
    assert np.allclose(u.occlusion(branching, image, target=2, window=4).arrays["map"], wanted, atol=1e-9)

    with torch.random.fork_rng(devices=[]):
        counting = Counting().double()
    counting.load_state_dict(net().state_dict())
    with u.prepare(counting, image, target=2) as p:
        assert p.logits.shape == (1, 5)
        Counting.extra = 0.5
        fast = Throughput(p, precision="fp32")
        assert fast.quick.network is p.network
        assert any("faster copy" in note for note in p.notes)


def test_the_figure_names_the_winners() -> None:
    made = u.occlusion(net(), pictures(1), target=2, window=3, stride=2, value=0.0)
    svg = made.figure().svg()
    assert "winner while covered" in svg
    for winner in np.unique(made.arrays["winner"])[:1]:
        assert f"class {winner}" in svg


class Shortcut(nn.Module):
    """Its ReLU's input is read again, after the ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.fc = nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = self.conv(x)
        return self.fc((self.relu(before) + 0.5 * before).mean((2, 3)))


@pytest.mark.parametrize(("make", "written"), [(Shortcut, False), (lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten()), True)])
def test_relus_write_over_their_input_only_where_nobody_reads_it_again(make, written) -> None:
    model, images = make().double(), pictures(2)
    with u.prepare(model, images, target=1) as p:
        fast = Throughput(p)
        assert bool(fast.overwriting) is written
        run = fast.run(2, lambda numbers: p.pixels[numbers], lambda logits: logits[:, 1])
        assert torch.allclose(run.logits, p.logits, rtol=0, atol=1e-12)
        (_, gradients), *_ = fast.gradients(2, lambda numbers: p.pixels[numbers], torch.tensor(1))
        pixels = p.pixels.clone().requires_grad_()
        (wanted,) = torch.autograd.grad(p.model(pixels)[:, 1].sum(), pixels)
        assert torch.allclose(gradients[: len(wanted)], wanted[: len(gradients)], rtol=0, atol=1e-12)
    assert not any(module.inplace for module in model.modules() if isinstance(module, nn.ReLU))


def test_pictures_are_left_alone_where_they_lie_as_the_network_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runtime._MEMORY, "kept", True)  # pixels are channels last then, and no copy is made on the way
    wanted = naive(net(), pictures(1)[0], 1, 4, 2, "mean")[0]
    found = u.occlusion(net(), pictures(1), target=1, window=4, stride=2, value="mean").arrays["probability"][0]
    assert np.abs(found - wanted).max() <= 1e-6
