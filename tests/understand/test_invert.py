"""Inversion: exact where a layer keeps everything, honest about what deep layers lose."""

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
from striate.understand.inputs import prepare
from striate.understand.reading import reading, stages

NETS = Path(__file__).parent / "nets"


class Mixing(nn.Module):
    """An orthogonal mixing of the channels loses nothing; a pooling after it does; the dense layer takes one size alone."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 3, 1)
        self.pool = nn.AvgPool2d(4)
        self.fc = nn.Linear(3 * 4 * 4, 4)
        with torch.no_grad():
            turned, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))
            self.mix.weight.copy_(turned[:, :, None, None])
            self.mix.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(torch.relu_(self.mix(x) + 2)).flatten(1))


def photographs(count: int = 2, side: int = 16) -> Tensor:
    noise = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(4))
    return nn.functional.interpolate(noise, size=(side, side), mode="bicubic").clamp(0.05, 0.95)


def test_what_loses_nothing_gives_the_picture_back() -> None:
    net, pixels = Mixing(), photographs()
    made = u.invert(net, pixels, layer=["mix", "pool"], steps=300, rate=0.5, tv=0)
    assert made.arrays["strip"].shape == (2, 2, 3, 16, 16)
    assert (made.arrays["psnr"][:, 0] > 40).all()
    assert (made.arrays["psnr"][:, 1] < 30).all(), "means over 4 x 4 pixels do not tell what is within"
    assert (made.arrays["feature_error"][:, 1] < 0.01).all(), "yet their features are met"
    shown = torch.from_numpy(made.arrays["strip"][:, 1])
    wanted, found = (activations(net, each, at="pool")["pool"].flatten(1) for each in (pixels, shown))
    assert np.allclose(made.arrays["feature_error"][:, 1], ((found - wanted).norm(dim=1) / wanted.norm(dim=1)).numpy(), atol=1e-6)
    error = (shown - pixels).square().flatten(1).mean(1)
    assert np.allclose(made.arrays["psnr"][:, 1], (-10 * error.log10()).numpy(), atol=1e-3)
    assert np.array_equal(made.arrays["image"], made.arrays["strip"][:, -1])


def test_total_variation_smooths_what_the_features_leave_open() -> None:
    pixels = photographs(1)
    rough, smooth = (u.invert(Mixing(), pixels, layer="pool", steps=80, tv=tv, parametrise="pixels") for tv in (0.0, 1.0))
    size = [float(np.abs(np.diff(made.arrays["image"])).mean()) for made in (rough, smooth)]
    assert size[1] < 0.7 * size[0]
    assert smooth.layer == "pool"


def test_a_strip_over_the_stages_by_default(trained_digits: nn.Module, digits_pictures: tuple[Tensor, Tensor]) -> None:
    made = u.invert(trained_digits, digits_pictures[0][1700:1702], steps=120)
    assert made.options["layers"] == ("/relu#1", "/relu#2", "relu")
    psnr = made.arrays["psnr"].mean(0)
    assert psnr[0] > 35
    assert psnr[0] > psnr[-1] + 8, "the deeper, the less of the picture is left"
    assert made.arrays["feature_error"].max() < 0.25
    assert "dB" in made.figure().title


def test_reading_stops_after_the_last_layer_so_other_sizes_will_do() -> None:
    net = Mixing()
    with prepare(net, photographs(1, 40), preprocess="identity") as p, reading(p, ["mix"]) as read:
        leaf = photographs(2, 40).requires_grad_()
        found = read(leaf)["mix"]
        assert torch.allclose(found, net.mix(leaf)), "what is written into it later does not show"
        (slope,) = torch.autograd.grad(found.sum(), leaf)
        assert torch.allclose(slope[0, :, 0, 0], net.mix.weight.sum((0, 2, 3)))
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            net(leaf)
    with (
        pytest.raises(ArgumentError, match="does not take pictures of shape 3×40×40"),
        prepare(net, photographs(1, 40), preprocess="identity") as p,
        reading(p, ["fc"]),
    ):
        pass


def test_stages_name_the_last_of_conv_norm_and_relu() -> None:
    block = [nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()]
    net = nn.Sequential(*block, nn.MaxPool2d(2), nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with prepare(net, photographs(1), preprocess="identity") as p:
        assert stages(p) == [["2", "4"], ["6"]]
    with (
        prepare(nn.Sequential(nn.Flatten(), nn.Linear(768, 2)), photographs(1), preprocess="identity") as p,
        pytest.raises(ArgumentError, match="maps"),
    ):
        stages(p)


def test_what_makes_no_sense_is_refused() -> None:
    net, pixels = Mixing(), photographs(1)
    for given, words in (
        ({"layer": []}, "got none"),
        ({"steps": 0}, "steps"),
        ({"rate": 0.0}, "rate"),
        ({"tv": -1.0}, "tv: got -1"),
        ({"power": 0.0}, "power"),
    ):
        with pytest.raises(ArgumentError, match=words):
            u.invert(net, pixels, **({"steps": 2, "layer": "mix"} | given))
    with pytest.raises(UnknownNameError, match="pool"):
        u.invert(net, pixels, layer="poool")
    with torch.no_grad():
        net.mix.weight.zero_()
    with pytest.raises(ArgumentError, match="say nothing of it"):
        u.invert(net, pixels, layer="mix")


@pytest.mark.slow
@pytest.mark.data
def test_gates_of_the_layers_of_a_cifar_resnet() -> None:
    """The first layer gives the picture back at 40 dB and more; the last stage's features are met within .25."""
    network = zoo.build("resnet20", classes=10, input=(3, 32, 32), weights=NETS / "resnet20_cifar10.safetensors")
    raw = np.fromfile(Path(os.environ["STRIATE_DATA"]) / "cifar-10-batches-bin" / "test_batch.bin", np.uint8).reshape(-1, 3073)
    made = u.invert(network, raw[[3, 11, 6], 1:].reshape(-1, 3, 32, 32))
    layers, psnr, error = made.options["layers"], made.arrays["psnr"].mean(0), made.arrays["feature_error"].mean(0)
    assert len(layers) == 4
    assert psnr[0] >= 40
    assert (np.diff(psnr) < 0).all()
    assert (error <= 0.25).all()


def test_half_precision_does_not_leave_its_range() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 3)).half().eval()
    with torch.no_grad():
        net[0].weight.mul_(60)
    made = u.invert(net, photographs(1, 32), layer="1", steps=3, preprocess="identity")
    assert np.isfinite(made.arrays["image"]).all()
    assert np.isfinite(made.arrays["feature_error"]).all()


def test_a_misspelt_parametrisation_is_told_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="fourier"):
        u.invert(Mixing(), photographs(1), layer="mix", parametrise="furier", steps=1)
