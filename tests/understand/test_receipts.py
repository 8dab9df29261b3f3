"""Full receipts against what can be worked out by hand: an additive network's curves, correlations, mosaics, and what the verdict says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import striate.understand as u
from striate.core.errors import ArgumentError
from striate.probe import Snapshot
from striate.understand.curves import block_means, block_numbers, centre_prior, curves, ranking
from striate.understand.inputs import prepare
from striate.understand.pointing import halved, pointed, squares
from striate.understand.randomising import last_weights, rank_correlation, shuffled
from striate.understand.receipts import full, verdict
from striate.understand.throughput import Throughput

SIDE, ACROSS = 8, 4


class Additive(nn.Module):
    """Two classes; the score of class 1 over class 0 is the sum of w · x: what a block adds is known exactly."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(SIDE * SIDE, 2)
        draw = torch.Generator().manual_seed(1)
        with torch.no_grad():
            self.fc.weight.copy_(torch.randn(2, SIDE * SIDE, generator=draw) * 0.2)
            self.fc.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x.flatten(1))


class Convolutional(nn.Module):
    """Takes pictures of any size, four classes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.conv1, self.conv2, self.fc = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1), nn.Linear(8, 4)
        with torch.no_grad():
            self.fc.weight.mul_(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.conv2(torch.relu(self.conv1(x)))).mean((2, 3)))


def pictures(count: int, channels: int = 1, side: int = SIDE) -> torch.Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(2))


def share(model: Additive, picture: torch.Tensor, kept: np.ndarray, target: int) -> float:
    """p(target) of a picture whose blocks outside `kept` are black, in NumPy."""
    x = picture[0].double().numpy().copy()
    for block in set(range(ACROSS * ACROSS)) - set(kept.tolist()):
        row, column = divmod(block, ACROSS)
        x[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = 0
    logits = model.fc.weight.detach().double().numpy() @ x.ravel()
    shares = np.exp(logits - logits.max())
    return float(shares[target] / shares.sum())


def test_curves_equal_a_naive_loop_and_an_order_and_its_reverse_have_opposite_gaps() -> None:
    model, x = Additive(), pictures(1)
    draw = np.random.default_rng(0)
    orders = np.stack([draw.permutation(16) for _ in range(3)])
    with prepare(model, x, preprocess="identity", target=1) as p:
        found = curves(Throughput(p), p, 0, np.concatenate([orders, orders[:, ::-1]]), block_numbers(SIDE, SIDE, ACROSS), 0.0)
    for number, order in enumerate(orders):
        morf = np.trapezoid([share(model, x[0], order[gone:], 1) for gone in range(17)], dx=1 / 16)
        lerf = np.trapezoid([share(model, x[0], order[: 16 - gone], 1) for gone in range(17)], dx=1 / 16)
        assert found.morf[number] == pytest.approx(morf, abs=1e-6)
        assert found.lerf[number] == pytest.approx(lerf, abs=1e-6)
    np.testing.assert_allclose(found.gap[:3], -found.gap[3:], atol=1e-6)


def test_no_order_beats_what_each_block_truly_adds() -> None:
    model, x = Additive(), pictures(1)
    adds = ((model.fc.weight[1] - model.fc.weight[0]).detach().view(1, SIDE, SIDE) * x[0])[0].double().numpy()
    blocks = block_numbers(SIDE, SIDE, ACROSS)
    draw = np.random.default_rng(0)
    true = ranking(block_means(adds, blocks), draw)
    with prepare(model, x, preprocess="identity", target=1) as p:
        found = curves(Throughput(p), p, 0, np.stack([true, *(draw.permutation(16) for _ in range(40))]), blocks, 0.0)
    assert found.gap.argmax() == 0
    assert found.gap[0] > 0


@pytest.mark.parametrize(("height", "width", "across"), [(32, 32, 8), (28, 28, 8), (5, 30, 8), (225, 33, 4)])
def test_blocks_cover_everything_as_equally_as_they_can(height: int, width: int, across: int) -> None:
    numbers = block_numbers(height, width, across)
    down, over = min(across, height), min(across, width)
    _, counts = np.unique(numbers, return_counts=True)
    assert len(counts) == down * over
    assert counts.max() <= -(-height // down) * -(-width // over)
    assert counts.min() >= (height // down) * (width // over)
    values = np.random.default_rng(1).normal(size=(height, width))
    means = block_means(values, numbers)
    for block in range(len(counts)):
        assert means[block] == pytest.approx(values[numbers.numpy() == block].mean())


def test_rankings_and_the_centre() -> None:
    draw = np.random.default_rng(3)
    assert ranking(np.array([0.1, 3.0, -2.0, 1.0]), draw).tolist() == [1, 3, 0, 2]
    assert {tuple(ranking(np.zeros(3), draw).tolist()) for _ in range(60)} == {(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)}
    blob = centre_prior(4, 6)
    assert np.unravel_index(blob.argmax(), blob.shape) in {(1, 2), (1, 3), (2, 2), (2, 3)}
    np.testing.assert_allclose(blob, blob[::-1, ::-1])
    assert blob[0, 0] == pytest.approx(-np.hypot(3 / 8, 5 / 12))


def test_rank_correlation_against_scipy() -> None:
    draw = np.random.default_rng(5)
    one, other = draw.integers(0, 6, 50).astype(float), draw.integers(0, 6, 50).astype(float)
    assert rank_correlation(one, other) == pytest.approx(spearmanr(one, other).statistic)
    assert rank_correlation(one, np.ones(50)) == 0
    assert rank_correlation(np.zeros(50), np.ones(50)) == 1


def test_shuffling_changes_the_last_layer_only() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), weight_norm(nn.Linear(72, 3)), nn.Identity())
    model.add_module("unused", nn.Linear(2, 2))
    model.unused.weight = model[0].bias  # shared
    assert last_weights(model[:5], lambda: model[:5](pictures(1))) == "3"
    before = Snapshot.of(model)
    made = shuffled(model, "3", seed=1)
    assert before.differences(model) == ()
    for name, value in model.state_dict().items():
        fresh = made.state_dict()[name]
        if not name.startswith("3."):
            assert torch.equal(fresh, value)
        else:
            assert torch.equal(fresh.flatten().sort().values, value.flatten().sort().values)
    assert not torch.equal(made[:5](pictures(1)), model[:5](pictures(1)))
    assert all(torch.equal(a, b) for a, b in zip(shuffled(model, "3", 1).state_dict().values(), made.state_dict().values(), strict=True))
    assert last_weights(nn.Flatten(), lambda: None) is None


def test_pointing_in_closed_form() -> None:
    maps = np.zeros((4, 6, 6))
    maps[0, 1, 4] = 2.0  # all of it in quarter 1
    maps[1] = 1.0  # everywhere
    maps[2, 4, 1], maps[2, 0, 0], maps[2, 5, 5] = 3.0, 1.0, -9.0  # three quarters in quarter 2; what speaks against does not count
    energy, hit = pointed(maps, (1, 3, 2, 0))
    np.testing.assert_allclose(energy, [1, 0.25, 0.75, 0.25])
    np.testing.assert_allclose(hit, [1, 0.25, 1, 0.25])
    energy, hit = pointed(np.ones((2, 3, 5)), (0, 3))  # cells on the middle lines belong to both sides
    np.testing.assert_allclose(energy, [0.25, 0.25])
    np.testing.assert_allclose(hit, [0.25, 0.25])


def test_squares_show_the_picture_in_its_quarter_among_other_classes() -> None:
    x, classes = pictures(9, 3, 4), (0, 0, 1, 1, 2, 3, 3, 4, 0)
    found = squares(x, classes, most=8, seed=2)
    assert found is not None
    assert len(found.pixels) == len(found.target) == 8
    for number, (mosaic, quarter) in enumerate(zip(found.pixels, found.quarter, strict=True)):
        parts = [mosaic[:, a : a + 4, b : b + 4] for a in (0, 4) for b in (0, 4)]
        assert torch.equal(parts[quarter], x[number])
        shown = [next(classes[k] for k in range(9) if torch.equal(part, x[k])) for part in parts]
        assert len(set(shown)) == 4
    assert len(set(found.quarter)) > 1
    assert torch.equal(halved(found).pixels[0, 0, 0, 0], found.pixels[0, 0, :2, :2].mean())
    assert squares(x, (0, 1, 2, 0, 1, 2, 0, 1, 2), most=8, seed=2) is None


def test_full_receipts_of_a_batch_are_those_of_its_pictures() -> None:
    model, x = Convolutional(), pictures(3, 3, 12)
    before = Snapshot.of(model)
    made = u.occlusion(model, x, preprocess="identity")
    whole = full(model, x, made, preprocess="identity", seed=3)
    assert before.differences(model) == ()
    for number in range(3):
        one = full(model, x[number : number + 1], made[number], preprocess="identity", seed=3)
        for name in ("receipt_gap", "receipt_gap_centre", "receipt_insertion", "receipt_shuffled"):
            np.testing.assert_allclose(one.arrays[name], whole.arrays[name][number : number + 1], rtol=1e-4, atol=1e-6)
    assert whole.receipts["gap"] == pytest.approx(whole.arrays["receipt_gap"].mean())
    assert set(made.receipts) < set(whole.receipts)
    assert np.array_equal(whole.arrays["map"], made.arrays["map"])
    assert whole.notes[0].startswith("On these 3 pictures")
    assert any("four classes" in note for note in whole.notes)


def test_what_does_not_depend_on_the_last_layer_is_marked() -> None:
    model, x = Convolutional(), pictures(2, 3, 12)
    found = u.explain(model, x, method="eigen_cam,grad_cam", preprocess="identity", receipts="full")
    assert found["eigen_cam"].receipts["shuffled_correlation"] == 1
    assert found["eigen_cam"].notes[0].startswith("Not to be trusted")
    assert found["grad_cam"].receipts["shuffled_correlation"] < 1
    assert "gap centre" in found.html()


def test_what_cannot_be_checked_says_so() -> None:
    model, x = Convolutional(), pictures(2, 3, 12)
    unit = full(model, x, u.guided(model, x, layer="conv2", preprocess="identity"), preprocess="identity")
    assert "gap" not in unit.receipts
    assert "unit of a layer" in unit.notes[-1]
    picture = full(model, x, u.fgsm(model, x, preprocess="identity"), preprocess="identity")
    assert "full receipts are for maps" in picture.notes[-1]
    with pytest.raises(ArgumentError, match="not the 2 pictures this explanation by saliency"):
        full(model, x.flip(0), u.saliency(model, x, preprocess="identity"), preprocess="identity")
    blank = full(Additive(), torch.zeros(1, 1, 8, 8), u.occlusion(Additive(), torch.zeros(1, 1, 8, 8), preprocess="identity"), preprocess="identity")
    assert "blank" in blank.notes[0]


@pytest.mark.parametrize(
    ("gap", "correlation", "pictures", "said"),
    [
        (0.39, 0.08, 100, "better than it follows a blob"),
        (0.33, 0.08, 100, "a blob in the middle of the picture does about as well"),
        (0.31, 0.08, 100, "a blob in the middle of the picture does about as well"),
        (0.05, 0.08, 1, "not follow the map more than chance"),
        (0.05, 0.08, 100, "a blob in the middle of the picture does better"),
        (0.50, 0.95, 100, "Not to be trusted"),
    ],
)
def test_verdicts(gap: float, correlation: float, pictures: int, said: str) -> None:
    receipts = {"gap": gap, "gap_centre": 0.32, "gap_random_spread": 0.15, "shuffled_correlation": correlation}
    told = verdict(receipts, pictures, unsure=0.02)
    assert said in told
    assert ("Not to be trusted" in told) == (correlation > 0.8)


@pytest.mark.parametrize("kind", ["in place", "several outputs"])
def test_shuffling_leaves_the_pictures_alone_and_takes_any_output(kind: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> object:
            x = x.sub_(0.5).mul_(2) if kind == "in place" else x
            scores = self.fc(self.conv(x).relu().mean((2, 3)))
            return scores if kind == "in place" else (scores, x)

    pixels = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    kept = pixels.clone()
    made = full(Net().eval(), pixels, u.saliency(Net().eval(), pixels, preprocess="identity"), preprocess="identity")
    assert torch.equal(pixels, kept)
    assert "shuffled_correlation" in made.receipts
    assert not [note for note in made.notes if "could not be made again" in note or "floats run" in note]
