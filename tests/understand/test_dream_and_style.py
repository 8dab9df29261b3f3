"""DeepDream and style transfer: what they climb and match has closed forms; their controls do what they say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import striate.understand as u
from striate.core.errors import ArgumentError, UnknownNameError
from striate.probe import activations
from striate.understand.photographs import luminance, photograph, recoloured, resized
from striate.understand.styling import gram, regions, resized_mask


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4),
    )  # fmt: skip


def textured(seed: int, high: int = 48, wide: int = 40, *, coarse: int = 12) -> Tensor:
    noise = torch.rand(1, 3, coarse, coarse, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(noise, size=(high, wide), mode="bilinear")


def test_a_dream_raises_what_it_climbs_and_keeps_the_pictures_shape(net: nn.Module) -> None:
    pixels = textured(1)
    made = u.dream(net, pixels, layer="6", octaves=2, steps=6)
    assert made.arrays["image"].shape == (1, 3, 48, 40)
    shown = torch.from_numpy(made.arrays["image"])
    before, after = (float(activations(net, each, at="6")["6"].square().mean()) for each in (pixels, shown))
    assert after > 1.3 * before
    assert made.arrays["gain"][0] == pytest.approx(after / before, rel=1e-4)
    assert float((shown - pixels).abs().mean()) < 0.25, "it is still the photograph"
    one = u.dream(net, pixels, layer="6", channel=4, octaves=1, steps=6)
    channel = [float(activations(net, torch.from_numpy(each), at="6")["6"][:, 4].mean()) for each in (one.arrays["pixels"], one.arrays["image"])]
    assert channel[1] > channel[0]
    assert one.arrays["after"][0] == pytest.approx(channel[1], rel=1e-4)


def test_octaves_that_are_too_small_are_left_out_and_told(net: nn.Module) -> None:
    made = u.dream(net, textured(2), octaves=6, ratio=1.4, steps=1)
    assert made.options["octaves"] == 1
    assert any("1 of 6 octaves" in note for note in made.notes)
    assert u.dream(net, textured(2, 90, 64), octaves=3, steps=1, size=None).options["octaves"] == 3


def test_colours_of_a_dream_vary_less_when_decorrelated(net: nn.Module) -> None:
    def hues(colour: str) -> float:
        change = u.dream(net, textured(3), layer="6", octaves=1, steps=4, colour=colour)
        moved = change.arrays["image"] - change.arrays["pixels"]
        return float(np.square(moved - moved.mean(1, keepdims=True)).sum() / np.square(moved).sum())

    assert hues("decorrelated") < 0.5 * hues("plain")


def test_photographs_keep_their_shape(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (120, 60), (255, 0, 0)).save(tmp_path / "wide.png")
    pixels, names = photograph(tmp_path / "wide.png", 60)
    assert (tuple(pixels.shape), names) == ((1, 3, 30, 60), ("wide.png",))
    assert float(pixels[:, 0].min()) == 1
    assert photograph(pixels, 100)[0].shape == pixels.shape, "nothing is enlarged"
    with pytest.raises(ArgumentError, match="16 pixels"):
        photograph(pixels, 3)
    assert torch.allclose(resized(torch.full((1, 3, 9, 9), 0.4), 0.5), torch.tensor(0.4))


def test_recoloured_pictures_have_the_mean_and_the_covariance_asked_for() -> None:
    pixels, like = 0.45 + 0.1 * textured(4), 0.4 + 0.2 * textured(5, 30, 30)
    made = recoloured(pixels, like).double().flatten(2)[0]
    wanted = like.double().flatten(2)[0]
    assert torch.allclose(made.mean(1), wanted.mean(1), atol=1e-5)
    assert torch.allclose(torch.cov(made), torch.cov(wanted), rtol=0.02, atol=1e-6)
    assert torch.allclose(recoloured(like, like), like, atol=1e-5)


def test_gram_matrices_by_hand_and_by_region() -> None:
    features = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = gram(features)
    by_hand = [[[(features[n, a] * features[n, b]).sum() / 20 for b in range(3)] for a in range(3)] for n in range(2)]
    assert torch.allclose(found[:, 0], torch.tensor(by_hand, dtype=torch.float64))
    left = torch.zeros(2, 4, 5)
    left[0, :, :2], left[1, :, 2:] = 1, 1
    halves = gram(features, left)
    assert torch.allclose(halves[:, 0], gram(features[..., :2])[:, 0])
    assert torch.allclose(halves[:, 1], gram(features[..., 2:])[:, 0])
    assert torch.allclose(gram(features, torch.ones(1, 4, 5)), found)
    assert not gram(features, torch.zeros(1, 4, 5)).any()
    assert torch.allclose(resized_mask(left, (2, 1)), torch.tensor([[[0.4], [0.4]], [[0.6], [0.6]]]))


def test_style_transfer_takes_the_style_and_keeps_the_content(net: nn.Module) -> None:
    content, manner = textured(6), textured(7, 60, 60, coarse=40)
    made = u.style(net, content, manner, steps=60, octaves=1, content_layer="3", style_layers=["1", "6"])
    shown, used = torch.from_numpy(made.arrays["image"]), torch.from_numpy(made.arrays["style_picture"])
    assert shown.shape == content.shape
    assert max(used.shape[-2:]) == 48, "at scale 1 the longer sides are equal"

    def style_error(pixels: Tensor) -> float:
        found, wanted = (activations(net, each, at=["1", "6"]) for each in (pixels, used))
        return float(np.mean([float((gram(found[k]) - gram(wanted[k])).square().sum() / gram(wanted[k]).square().sum()) for k in ("1", "6")]))

    assert made.receipts["style_error_of_content"] == pytest.approx(style_error(content), rel=1e-3)
    assert style_error(shown) < 0.2 * style_error(content)
    assert made.receipts["style_error"] == pytest.approx(style_error(shown), rel=0.1), "up to 8 bits"
    kept = u.style(net, content, manner, steps=60, octaves=1, content_layer="3", style_layers=["1", "6"], strength=0, tv=0)
    assert kept.receipts["content_error"] < 0.001


def test_the_controls_of_style_transfer(net: nn.Module) -> None:
    content, manner = textured(8), textured(9)
    options = {"steps": 4, "octaves": 1}
    large = u.style(net, content, manner, scale=1.5, **options)
    assert large.arrays["style_picture"].shape[2:] == (72, 60)
    hues = u.style(net, content, manner, colour="luminance", **options)
    change = hues.arrays["image"] - content.numpy()
    inside = ((hues.arrays["image"] > 0.01) & (hues.arrays["image"] < 0.99)).all(1)  # what reached black or white had no room to keep its hue
    assert inside.mean() > 0.2
    assert np.abs(change - change.mean(1, keepdims=True)).max(1)[inside].max() < 2 / 255 + 1e-6
    grey = torch.from_numpy(hues.arrays["style_picture"])
    assert torch.allclose(grey, luminance(grey).expand_as(grey), atol=1e-6)
    matched = torch.from_numpy(u.style(net, content, manner, colour="matched", **options).arrays["style_picture"])
    assert torch.allclose(matched.mean((2, 3)), content.mean((2, 3)), atol=0.02)


def test_each_region_takes_the_style_of_its_namesake(net: nn.Module) -> None:
    content = torch.full((1, 3, 32, 32), 0.5)
    manner = content.clone()
    manner[:, 0, :, :16], manner[:, 2, :, :16] = 0.9, 0.1
    manner[:, 0, :, 16:], manner[:, 2, :, 16:] = 0.1, 0.9
    here, there = np.zeros((32, 32), int), np.zeros((32, 32), int)
    here[:16], there[:, :16] = 7, 7
    options = {"steps": 80, "octaves": 1, "content_layer": "3", "style_layers": ["1"], "strength": 100.0}
    made = u.style(net, content, manner, content_regions=here, style_regions=there, **options)
    red = made.arrays["image"][0, 0] - made.arrays["image"][0, 2]
    assert red[:14].mean() > 0.2
    assert red[18:].mean() < -0.2
    assert made.options["regions"] == 2


def test_what_makes_no_sense_is_refused(net: nn.Module) -> None:
    pixels = textured(1)
    for given, words in (
        ({"octaves": 0}, "octaves"),
        ({"ratio": 1.0}, "ratio"),
        ({"smooth": -1.0}, "smooth"),
        ({"channel": 12, "layer": "6"}, "channels 0 to 11"),
        ({"colour": "grey"}, "decorrelated"),
    ):
        with pytest.raises(ArgumentError, match=words):
            u.dream(net, pixels, **({"steps": 1} | given))
    for given, words in (
        ({"strength": -1.0}, "strength"),
        ({"scale": 0.0}, "scale"),
        ({"octaves": 0}, "octaves"),
        ({"colour": "blue"}, "matched"),
        ({"style_layers": []}, "style_layers: got none"),
        ({"content_regions": np.zeros((4, 4), int)}, "style_regions: got none"),
        ({"content_regions": np.zeros((4, 4), int), "style_regions": np.ones((4, 4), int)}, "must be the same"),
        ({"content_regions": np.arange(20).reshape(4, 5), "style_regions": np.arange(20).reshape(4, 5)}, "at most 16"),
        ({"content_regions": np.full((4, 4), 0.5), "style_regions": np.full((4, 4), 0.5)}, "one label a pixel"),
    ):
        with pytest.raises(ArgumentError, match=words):
            u.style(net, pixels, pixels, **({"steps": 1} | given))
    with pytest.raises(ArgumentError, match="expected one of each"):
        u.style(net, torch.cat([pixels, pixels]), pixels)
    with pytest.raises(UnknownNameError, match="layer"):
        u.style(net, pixels, pixels, content_layer="66", style_layers=["1"])


def test_label_pictures_may_be_files_of_any_size(tmp_path: Path) -> None:
    from PIL import Image

    for name, size in (("a.png", (4, 2)), ("b.png", (2, 2))):
        picture = Image.new("L", size, 0)
        picture.paste(255, (0, 0, 1, size[1]))
        picture.save(tmp_path / name)
    found = regions(tmp_path / "a.png", tmp_path / "b.png", ((4, 8), (6, 6)))
    assert found is not None
    content, style = found
    assert (content[1].sum(0) > 0).tolist() == [True, True, False, False, False, False, False, False]
    assert (style[1].sum(0) > 0).tolist() == [True, True, True, False, False, False]
    assert torch.equal(content.sum(0), torch.ones(4, 8)), "every pixel belongs to one region"
    assert regions(None, None, ((1, 1), (1, 1))) is None


def test_an_answer_that_began_below_zero_has_no_gain(net: nn.Module) -> None:
    pixels = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    first = next(name for name, module in net.named_modules() if isinstance(module, nn.Conv2d))
    low = [number for number in range(4) if u.dream(net, pixels, layer=first, channel=number, steps=1, octaves=1).arrays["before"][0] <= 0]
    assert low, "some filter answers below zero on average"
    made = u.dream(net, pixels, layer=first, channel=low[0], steps=2, octaves=1)
    assert np.isnan(made.arrays["gain"][0])
    told = " ".join(re.sub(r"<[^>]+>", " ", made.figure().svg()).split())
    assert " before, " in told
    assert "times as strongly" not in told
