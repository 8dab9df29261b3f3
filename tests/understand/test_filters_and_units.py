"""Row U1: filters as pictures and their figures in closed form, dead units with their proof, sparsity by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import striate.understand as u
from striate import zoo
from striate.core.errors import ArgumentError, StorageError, UnknownNameError
from striate.core.tensors import save_tensors
from striate.understand.filter_figures import noise, noise_of_white, resemblance, roughness, under
from striate.understand.methods.sparsity import hoyer
from striate.understand.rectifiers import rectifiers


def test_roughness_of_a_constant_of_noise_and_of_a_checkerboard():
    board = np.indices((7, 7)).sum(0) % 2 * 2.0 - 1
    ramp = np.broadcast_to(np.arange(7.0), (7, 7))
    white = np.random.default_rng(0).normal(size=(1, 400, 7, 7))
    assert roughness(np.ones((1, 3, 7, 7)))[0] == 0
    assert roughness(board[None, None])[0] == pytest.approx(2)
    assert roughness(white)[0] == pytest.approx(1, abs=0.02)
    assert roughness(ramp[None, None])[0] == pytest.approx(0.5 / (2 * 13))  # half the steps are 1, the mean square of 0 … 6 is 13
    assert np.isnan(roughness(np.ones((1, 3, 1, 1)))[0])
    assert np.isnan(roughness(np.zeros((1, 3, 3, 3)))[0])


def test_noise_is_the_share_of_high_frequencies():
    place = np.arange(8)
    slow, fast = np.cos(2 * np.pi * place / 8), np.cos(2 * np.pi * 3 * place / 8)
    waves = np.stack([np.broadcast_to(5 + slow, (8, 8)), np.broadcast_to(fast, (8, 8)), np.broadcast_to(slow + 2 * fast, (8, 8)).T])[:, None]
    assert noise(waves) == pytest.approx([0, 1, 4 / 5], abs=1e-12)
    assert noise_of_white(8, 8) == pytest.approx((64 - 25) / 63)  # of each axis 5 of 8 frequencies are low: 0, ±1 and ±2 eighths
    white = np.random.default_rng(0).normal(size=(1, 400, 7, 7))
    assert noise(white)[0] == pytest.approx(noise_of_white(7, 7), abs=0.02)
    assert np.isnan(noise(np.ones((2, 1, 3, 3)))).all()
    assert np.isnan(noise_of_white(3, 3))


def test_resemblance_and_norms():
    drawn = np.random.default_rng(1).normal(size=(4, 2, 3, 3))
    kernels = np.concatenate([drawn, 2 * drawn[1:2], -drawn[2:3], np.zeros((1, 2, 3, 3)), 0.05 * drawn[3:4]])
    nearest, cosine = resemblance(kernels)
    assert [nearest[1], nearest[4], nearest[2], nearest[5], nearest[3], nearest[7]] == [4, 1, 5, 2, 7, 3]
    assert cosine[[1, 4, 2, 5, 3, 7]] == pytest.approx([1, 1, -1, -1, 1, 1])
    assert cosine[6] == 0
    flat = kernels.reshape(8, -1)
    unit = flat[0] / np.linalg.norm(flat[0])
    others = [abs(unit @ row / np.linalg.norm(row)) for row in flat[1:] if row.any()]
    assert abs(cosine[0]) == pytest.approx(max(others))
    assert under(kernels, 0.01).tolist() == [False] * 6 + [True, False]
    assert under(kernels, 0.1).tolist() == [False] * 6 + [True, True]
    assert under(np.zeros((2, 1, 1, 1)), 0.1).all()


def test_first_layer_filters_are_colours_on_one_scale():
    conv = nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0] = 0.5
        conv.weight[1, 2] = -0.25
        conv.weight[3] = conv.weight[0]
    made = u.filters(nn.Sequential(conv, nn.ReLU()))
    image = made.arrays["image"]
    assert made.layer == "0"
    assert image[0, :, 1, 1].tolist() == [1, 0.5, 0.5]
    assert image[1, :, 1, 1].tolist() == [0.5, 0.5, 0.25]
    assert (image[2] == 0.5).all()
    assert {name: made.receipts[name] for name in ("filters", "near_zero", "alike_pairs", "raw_min", "raw_max")} == {
        "filters": 4,
        "near_zero": 1,
        "alike_pairs": 1,
        "raw_min": -0.25,
        "raw_max": 0.5,
    }
    own = u.filters(nn.Sequential(conv), scale="filter", order="norm", count=2)
    assert own.arrays["number"].tolist() == [0, 3]
    assert u.filters(nn.Sequential(conv), scale="filter").arrays["image"][1, :, 1, 1].tolist() == [0.5, 0.5, 0]
    assert made.figure().title == "1 of 4 filters of 0 is near zero, 1 pair is alike, smooth"


def test_deeper_filters_are_tiles_of_their_slices():
    conv = nn.Conv2d(4, 2, 2, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.arange(-16, 16).reshape(2, 4, 2, 2).float())
    made = u.filters(conv_net := nn.Sequential(nn.Conv2d(3, 4, 1), conv), layer="1")
    assert made.arrays["image"].shape == (2, 3, 5, 5)  # 2 x 2 tiles of 2 x 2 with a line between
    assert np.array_equal(made.arrays["weights"], conv.weight.detach().numpy())
    red, blue = made.arrays["image"][:, 0], made.arrays["image"][:, 2]
    assert (blue[0, :2, :2] > red[0, :2, :2]).all(), "negative weights are blue"
    assert (red[1, 3:, 3:] > blue[1, 3:, 3:]).all(), "positive ones red"
    assert np.ptp(made.arrays["image"][:, :, 2], axis=1).max() < 0.01, "the line between is neutral"
    with pytest.raises(UnknownNameError, match="unknown layer '2'"):
        u.filters(conv_net, layer="2")
    with pytest.raises(ArgumentError, match="0 has no filters"):
        u.filters(nn.Sequential(nn.ReLU(), nn.Linear(2, 2)), layer="0")
    with pytest.raises(ArgumentError, match="neither convolutions nor dense layers"):
        u.filters(nn.ReLU())


def test_dense_filters_are_templates_in_the_shape_of_the_pictures():
    torch.manual_seed(0)
    model = zoo.build("lenet5", classes=10, input=(1, 28, 28))
    dense = next(name for name, module in model.named_modules() if isinstance(module, nn.Linear))
    made = u.filters(model, layer=dense)
    features = dict(model.named_modules())[dense].in_features
    assert np.prod(made.arrays["weights"].shape[1:]) == features
    assert made.arrays["weights"].shape[2] > 1, "the maps before it are known by running the network"
    plain = nn.Sequential(nn.Flatten(), nn.Linear(27, 2))
    assert u.filters(plain, shape=(3, 3, 3)).arrays["image"].shape == (2, 3, 3, 3)
    row = u.filters(plain)
    assert row.arrays["weights"].shape == (2, 1, 1, 27)
    assert any("give shape=" in note for note in row.notes)
    with pytest.raises(ArgumentError, match="has 12 values"):
        u.filters(plain, shape=(3, 2, 2))


class Units(nn.Module):
    """Three filters that answer to red, to nothing (a bias holds it down), and to bright pictures only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.fc = nn.Linear(3, 2)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[0, 0] = self.conv.weight[1, 1] = self.conv.weight[2, 2] = 1
            self.conv.bias.copy_(torch.tensor([0.0, -1.5, -0.5]))

    def forward(self, x):
        return self.fc(F.relu(self.conv(x)).mean((2, 3)))


def test_dead_units_are_proved_by_the_sample_that_comes_nearest():
    images = torch.zeros(4, 3, 5, 5)
    images[0, 0] = 0.3
    images[2, 1, 4, 4] = 1.0  # nearest to waking the second: 1.0 - 1.5
    images[3, 2] = 0.75
    made = u.dead_filters(Units(), images)
    assert made.arrays["layer"].tolist() == ["conv"] * 3
    assert made.arrays["largest"] == pytest.approx([0.3, -0.5, 0.25])
    assert made.arrays["sample"].tolist() == [0, 2, 3]
    assert made.arrays["dead"].tolist() == [False, True, False]
    assert made.arrays["firing"] == pytest.approx([0.25, 0, 0.25])
    assert np.array_equal(made.arrays["proof_pixels"][0], images[2].numpy())
    assert made.receipts["dead"] == 1
    assert made.figure().title.startswith("1 of 3 units are dead: not one of 4")
    chunked = u.dead_filters(Units(), images, batch=1)
    assert all(np.array_equal(made.arrays[name], chunked.arrays[name]) for name in made.arrays)
    assert u.dead_filters(Units(), images, layer="conv").receipts["units"] == 3
    with pytest.raises(UnknownNameError, match="conv"):
        u.dead_filters(Units(), images, layer="convv")
    with pytest.raises(ArgumentError, match="no ReLU"):
        u.dead_filters(nn.Sequential(nn.Flatten(), nn.Linear(75, 2)), images)


def test_relus_are_named_by_the_filters_before_them():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.norm, self.two, self.act = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True)

        def forward(self, x):
            x = self.act(self.norm(self.one(x)))
            return self.act(self.two(x) + x)

    found = rectifiers(Net().eval(), torch.rand(1, 3, 4, 4))
    assert [(each.address, each.before, each.filters) for each in found] == [("act[0]", "norm", "one"), ("act[1]", "/add#1", "")]


def test_sparsity_over_checkpoints_by_hand(tmp_path):
    images = torch.zeros(2, 3, 2, 2)
    images[0, 0], images[1, 2] = 0.5, 1.0
    model = Units()
    later = {name: value.clone() for name, value in model.state_dict().items()}
    later["conv.bias"] = torch.tensor([-2.0, -2.0, -2.0])
    save_tensors(tmp_path / "epoch-1.safetensors", {f"model.{name}": value for name, value in later.items()})
    made = u.sparsity(model, images, files=(str(tmp_path / "epoch-1.safetensors"),))
    assert made.arrays["checkpoint"].tolist() == ["epoch-1", "as given"]
    assert made.arrays["zeros"] == pytest.approx([1, (2 / 3 + 2 / 3) / 2])
    assert made.arrays["silent"] == pytest.approx([1, 1 / 3])
    assert made.arrays["weight_zeros"] == pytest.approx([6 / 9] * 2)
    assert made.arrays["hoyer"] == pytest.approx([(3 - 3 / np.sqrt(3)) / 2] * 2)
    assert len(u.sparsity(model, images).arrays["layer"]) == 1
    with pytest.raises(StorageError, match=r"epoch-1\.safetensors"):
        u.sparsity(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU()), images, files=(str(tmp_path / "epoch-1.safetensors"),))


def test_hoyer_ends():
    assert hoyer(np.array([3.0, -3.0, 3.0, 3.0])) == pytest.approx(0)
    assert hoyer(np.array([0.0, 0.0, -2.0, 0.0])) == pytest.approx(1)
    assert np.isnan(hoyer(np.zeros(3)))


def test_activations_are_the_layers_own_values_for_chosen_channels():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 36, 2)).eval()
    images = torch.rand(2, 3, 8, 8)
    wanted = model[1](model[0](images)).detach().numpy()
    made = u.activations(model, images, channels=(3, 0))
    assert made.layer == "1"
    assert np.array_equal(made.arrays["activation"], wanted[:, [3, 0]])
    assert made.arrays["map"] == pytest.approx(wanted[:, [3, 0]].mean(1))
    assert made.receipts["share_of_zeros"] == pytest.approx(float((wanted[:, [3, 0]] == 0).mean()))
    assert u.activations(model, images, layer="3").arrays["activation"] == pytest.approx(model(images).detach().numpy(), abs=1e-6)
    with pytest.raises(ArgumentError, match="channels 0 to 4"):
        u.activations(model, images, channels=(5,))
