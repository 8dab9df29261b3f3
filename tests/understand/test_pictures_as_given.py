"""Pictures given as PIL objects, files and unusual arrays: the same pixels, or a clear refusal; seeds of every kind of whole number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import striate.understand as u
from striate.core.arguments import whole_number
from striate.core.errors import ArgumentError
from striate.core.runtime import derived_seed
from striate.pixels import Preprocess
from striate.understand.pictures import pixels_of


def _net(channels: int = 3, classes: int = 5) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)).eval()


RAMP = np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20)
HALF_RED = np.broadcast_to(np.array([255, 0, 0, 102], np.uint8), (20, 20, 4))


@pytest.mark.parametrize(
    ("picture", "ending", "mean"),
    [
        (Image.fromarray(RAMP), "png", [0.5]),
        (Image.fromarray((RAMP / 65535).astype(np.float32)), "tif", [0.5]),
        (Image.fromarray(HALF_RED.copy()), "png", [1.0, 0.6, 0.6]),
        (Image.fromarray(HALF_RED.copy()).convert("LA"), "png", [(255 * 0.6 + 76 * 0.4) / 255]),
        (Image.fromarray((RAMP > 30000).astype(np.uint8) * 255).convert("1"), "png", [float((RAMP > 30000).mean())]),
    ],
)
def test_a_pil_picture_and_its_file_are_the_same_pixels(tmp_path, picture, ending, mean):
    path = tmp_path / f"a.{ending}"
    picture.save(path)
    of_object, of_file = pixels_of(picture)[0], pixels_of(path)[0]
    assert torch.equal(of_object, of_file)
    with Image.open(path) as opened:
        assert torch.equal(pixels_of([opened, path])[0], torch.cat([of_file, of_file]))
    assert of_object.mean((0, 2, 3)).tolist() == pytest.approx(mean, abs=2e-3)


def test_alpha_is_laid_over_the_background_of_the_preprocess(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(HALF_RED.copy()).save(path)
    how = Preprocess(size=(20, 20), background=(0, 0, 255))
    wanted = how.open(path)
    for given in (path, Image.fromarray(HALF_RED.copy())):
        pixels = pixels_of(given, how)[0]
        assert torch.equal((pixels[0] * 255).round().byte(), wanted)
        assert pixels[0, :, 0, 0].tolist() == pytest.approx([0.4, 0, 0.6], abs=2e-3)


def test_arrays_of_other_byte_orders_and_lengths_are_read():
    values = np.random.default_rng(0).random((2, 3, 4, 5))
    wanted = torch.from_numpy(values)
    for kind, allowed in (("<f8", 0), (">f8", 0), (np.longdouble, 0), (">f4", 1e-7), ("<f4", 1e-7), (">f2", 1e-3)):
        assert (pixels_of(values.astype(kind))[0] - wanted).abs().max() <= allowed, kind
    assert pixels_of(np.ma.masked_array(values, mask=False))[0].shape == (2, 3, 4, 5)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((3, 4, 4), object), "array of object, expected uint8 .* pictures of many sizes go in a list"),
        (np.full((4, 4), "a"), "array of <U1, expected uint8"),
        (np.zeros((3, 4, 4), "M8[s]"), r"array of datetime64\[s\], expected uint8"),
        (np.zeros((3, 4, 4), [("a", "f4")]), "array of .*, expected uint8"),
        (np.zeros((3, 4, 4), np.clongdouble), "array of complex256, expected uint8"),
        (np.ma.masked_array(np.zeros((3, 4, 4)), mask=np.eye(4)[None].repeat(3, 0)), "masked array, .*filled"),
        (torch.zeros(3, 4, 4).to_sparse(), "laid out as torch.sparse_coo, expected a dense one"),
        (torch.zeros(3, 4, 4, device="meta"), "meta device and holds no values"),
        (torch.zeros(3, 4, 4).to(torch.float8_e4m3fn), "float8_e4m3fn, expected uint8"),
    ],
)
def test_arrays_and_tensors_without_plain_pixels_are_refused(images, words):
    for given in (images, [images]):
        with pytest.raises(ArgumentError, match=f"images: got .*{words}|images: .*{words}"):
            pixels_of(given)


def test_nested_tensors_are_refused():
    with pytest.warns(UserWarning, match="nested tensors"):
        nested = torch.nested.nested_tensor([torch.zeros(3, 4, 4), torch.zeros(3, 5, 4)])
    with pytest.raises(ArgumentError, match="nested tensor, expected one tensor"):
        pixels_of(nested)


def test_seeds_may_be_any_whole_number():
    for seed in (np.int64(3), np.uint8(3), np.array(3), torch.tensor(3)):
        assert derived_seed(seed, 1) == derived_seed(3, 1)
        assert type(whole_number("seed", seed)) is int
    images = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    first, second = (u.smoothgrad(_net(), images, samples=2, seed=seed).arrays["map"] for seed in (3, np.int64(3)))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("seed", [1.5, "a", None, torch.tensor(3.0), np.float64(3)])
def test_seeds_that_are_no_whole_number_are_refused(seed):
    with pytest.raises(ArgumentError, match=r"seed: got .*, expected a whole number"):
        derived_seed(seed)
    with pytest.raises(ArgumentError, match=r"seed: got .*, expected a whole number"):
        u.smoothgrad(_net(), torch.zeros(1, 3, 20, 20), samples=2, seed=seed)
