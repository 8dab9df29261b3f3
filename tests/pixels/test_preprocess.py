"""Preprocess: closed forms for standardising and geometry, one way of resizing everywhere, and a round trip through JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from striate.core.errors import ArgumentError, UnknownNameError
from striate.pixels import Preprocess
from striate.pixels.scaling import resized


def noise(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def test_standardises_per_channel():
    images = torch.from_numpy(noise(6, 5)).permute(2, 0, 1)[None]
    prepare = Preprocess(size=(6, 5), mean=(0.1, 0.5, 0.9), std=(0.2, 0.25, 0.5))
    wanted = (images.double() / 255 - torch.tensor([0.1, 0.5, 0.9]).view(1, 3, 1, 1)) / torch.tensor([0.2, 0.25, 0.5]).view(1, 3, 1, 1)
    assert prepare(images).dtype == torch.float32
    torch.testing.assert_close(prepare(images).double(), wanted, rtol=0, atol=1e-5)
    assert torch.equal(prepare(images), prepare(images.float() / 255))
    assert prepare(images.double() / 255).dtype == torch.float64


def test_is_differentiable_and_leaves_its_input_alone():
    images = torch.rand(2, 1, 4, 4, requires_grad=True)
    before = images.detach().clone()
    Preprocess(size=(4, 4), channels=1, mean=(0.3,), std=(0.25,))(images).sum().backward()
    torch.testing.assert_close(images.grad, torch.full_like(images, 4.0))
    assert torch.equal(images.detach(), before)


def test_one_number_serves_all_channels():
    assert Preprocess(size=(2, 2), channels=3, mean=(0.5,), std=(0.25,)) == Preprocess(size=(2, 2), mean=(0.5,) * 3, std=(0.25,) * 3)


def test_crop_cuts_the_centre():
    picture = noise(40, 100)
    found = Preprocess(size=(40, 40)).fit(picture)
    np.testing.assert_array_equal(found.numpy(), picture[:, 30:70].transpose(2, 0, 1))


def test_crop_scales_by_the_short_side_then_cuts():
    picture = noise(64, 96)
    found = Preprocess(size=(24, 24), short_side=32).fit(picture)
    wanted = Image.fromarray(picture).resize((24, 24), Image.Resampling.BILINEAR, box=(24, 8, 72, 56))  # 24 of 32 pixels = 48 of 64
    np.testing.assert_array_equal(found.permute(1, 2, 0).numpy(), np.asarray(wanted))


@pytest.mark.parametrize(("kind", "resample"), [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)])
def test_squash_is_pillows_antialiased_resize(kind, resample):
    picture = noise(50, 90)
    found = Preprocess(size=(20, 30), resize="squash", kind=kind).fit(picture)
    np.testing.assert_array_equal(found.permute(1, 2, 0).numpy(), np.asarray(Image.fromarray(picture).resize((30, 20), resample)))


def test_antialias_averages_and_its_absence_picks():
    stripes = np.zeros((64, 64, 1), np.uint8)
    stripes[:, ::2] = 255
    smooth = Preprocess(size=(16, 16), channels=1, resize="squash").fit(stripes).numpy()
    sharp = Preprocess(size=(16, 16), channels=1, resize="squash", antialias=False).fit(stripes).numpy()
    assert np.abs(smooth.astype(int) - 127).max() <= 24  # the triangle filter at the border is cut short
    assert np.abs(smooth[0, :, 2:-2].astype(int) - 127).max() <= 2
    wide = torch.nn.functional.interpolate(torch.from_numpy(stripes).permute(2, 0, 1)[None].float(), (16, 16), mode="bilinear", antialias=False)
    assert np.abs(sharp - wide[0].numpy()).max() <= 1


def test_antialiased_resize_agrees_with_torch():
    picture = noise(90, 70)
    ours = resized(picture, (33, 21)).astype(float)
    theirs = torch.nn.functional.interpolate(torch.from_numpy(picture).permute(2, 0, 1)[None].double(), (33, 21), mode="bilinear", antialias=True)
    assert np.abs(ours - theirs[0].permute(1, 2, 0).numpy()).max() <= 1.01  # Pillow rounds between its two passes


def test_a_box_is_the_same_whatever_lies_around_it():
    picture = noise(90, 120)
    box = (10.3, 20.7, 77.9, 88.2)
    wanted = Image.fromarray(picture).resize((16, 12), Image.Resampling.BILINEAR, box=box)
    assert np.abs(resized(picture, (12, 16), box=box).astype(int) - np.asarray(wanted)).max() <= 1


def test_pad_centres_on_the_background():
    picture = np.full((10, 20, 3), 77, np.uint8)
    found = Preprocess(size=(20, 20), resize="pad", background=(1, 2, 3)).fit(picture).permute(1, 2, 0).numpy()
    wanted = np.tile(np.array([1, 2, 3], np.uint8), (20, 20, 1))
    wanted[5:15] = 77
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("mode", ["crop", "squash", "pad"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (3, 7), (224, 224), (225, 223)])
def test_any_shape_comes_to_size(mode, shape):
    found = Preprocess(size=(64, 48), resize=mode).fit(np.full((*shape, 3), 90, np.uint8))
    inside = found[:, 31, 23]
    assert found.shape == (3, 64, 48)
    assert inside.tolist() == [90, 90, 90]


def test_resize_none_refuses():
    with pytest.raises(ArgumentError, match="got 5 x 6 pixels, expected 4 x 4"):
        Preprocess(size=(4, 4), resize="none").fit(noise(5, 6))


def test_channels_follow_the_network():
    grey = noise(8, 8, 1)
    assert torch.equal(Preprocess(size=(8, 8), channels=3).fit(grey), torch.from_numpy(grey).permute(2, 0, 1).repeat(3, 1, 1))
    assert torch.equal(Preprocess(size=(8, 8), channels=1).fit(grey[:, :, 0]), torch.from_numpy(grey).permute(2, 0, 1))
    colour = np.tile(np.array([255, 0, 0], np.uint8), (8, 8, 1))
    assert Preprocess(size=(8, 8), channels=1).fit(colour).unique().tolist() == [76]  # 0.299 * 255
    with pytest.raises(ArgumentError, match="got 4 channels, expected 3"):
        Preprocess(size=(8, 8)).fit(noise(8, 8, 4))


def test_many_channels_are_resized_one_by_one():
    picture = noise(40, 40, 7)
    found = Preprocess(size=(20, 20), channels=7).fit(picture)
    for band in range(7):
        assert torch.equal(found[band : band + 1], Preprocess(size=(20, 20), channels=1).fit(picture[:, :, band]))


def test_opening_a_file_equals_decoding_and_fitting(tmp_path):
    from striate.pixels import decode

    Image.fromarray(noise(1000, 1400)).save(tmp_path / "a.png")
    prepare = Preprocess(size=(224, 224))
    assert prepare.detail == 448
    packed = decode(tmp_path / "a.png", channels=3, short_side=prepare.detail)
    assert packed.shape == (500, 700, 3)
    assert torch.equal(prepare.open(tmp_path / "a.png"), prepare.fit(packed))


def test_whitening_follows_standardising():
    generator = torch.Generator().manual_seed(0)
    mean, matrix = torch.randn(12, generator=generator), torch.randn(12, 12, generator=generator)
    prepare = Preprocess(size=(2, 2), mean=(0.5,) * 3, std=(0.25,) * 3, whitening=(mean, matrix))
    images = torch.rand(5, 3, 2, 2, generator=generator)
    rows = ((images.double() - 0.5) / 0.25).reshape(5, 12)
    torch.testing.assert_close(prepare(images).double(), ((rows - mean.double()) @ matrix.double()).reshape(5, 3, 2, 2), rtol=0, atol=1e-4)
    with pytest.raises(ArgumentError, match="whitening is tied to its size"):
        prepare(torch.rand(1, 3, 4, 4))


def test_round_trip():
    plain = Preprocess(size=(24, 32), channels=1, mean=(0.2,), std=(0.3,), resize="pad", background=(0, 1, 2), kind="bicubic", antialias=False)
    short = Preprocess(size=(24, 24), short_side=32)
    white = Preprocess(size=(2, 2), channels=1, whitening=(torch.arange(4.0), torch.eye(4)))
    for prepare in (plain, short, white):
        text = json.dumps(prepare.to_json(), allow_nan=False)
        again = Preprocess.from_json(json.loads(text), prepare.tensors())
        assert again == prepare
        assert hash(again) == hash(prepare)
    assert plain != short
    assert white != Preprocess(size=(2, 2), channels=1, whitening=(torch.arange(4.0), 2 * torch.eye(4)))
    with pytest.raises(ArgumentError, match=r"whitening\.mean"):
        Preprocess.from_json(white.to_json())
    with pytest.raises(ArgumentError, match="newer striate"):
        Preprocess.from_json({**plain.to_json(), "sharpen": 3})


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        ({"size": (0, 4)}, ArgumentError, "size"),
        ({"size": (4, 4), "mean": (0.1, 0.2)}, ArgumentError, "mean: got"),
        ({"size": (4, 4), "std": (0.0,)}, ArgumentError, "std"),
        ({"size": (4, 4), "std": (float("nan"),)}, ArgumentError, "std"),
        ({"size": (4, 4), "resize": "crob"}, UnknownNameError, "Did you mean crop"),
        ({"size": (8, 8), "short_side": 4}, ArgumentError, "short_side"),
        ({"size": (8, 8), "background": (0, 0, 256)}, ArgumentError, "background"),
        ({"size": (2, 2), "whitening": (torch.zeros(3), torch.eye(3))}, ArgumentError, "whitening: got shapes"),
    ],
)
def test_values_that_do_not_fit_are_refused(values, error, words):
    with pytest.raises(error, match=words):
        Preprocess(**values)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(3, 4, 4), "expected N 3 H W"),
        (torch.zeros(1, 1, 4, 4), "expected N 3 H W"),
        (torch.zeros(1, 3, 4, 4, dtype=torch.int64), "expected uint8"),
        (torch.full((1, 3, 4, 4), 255.0), "divide by 255"),
    ],
)
def test_images_that_are_not_pixels_are_refused(images, words):
    with pytest.raises(ArgumentError, match=words):
        Preprocess(size=(4, 4))(images)
