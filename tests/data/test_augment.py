"""Each augmentation against a plain per-sample oracle that is given the same random numbers."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from scipy import ndimage

from striate import data as d
from striate.core.errors import ArgumentError, UnknownNameError
from striate.data.augment.base import Draw
from striate.data.registry import augmentations, build, parse_spec

COUNT, HEIGHT, WIDTH = 24, 9, 11


def pictures(channels=3, dtype=np.uint8, seed=0):
    x = np.random.default_rng(seed).integers(0, 256, (COUNT, channels, HEIGHT, WIDTH), dtype=np.uint8)
    x = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
    return x if dtype == np.uint8 else x.float() / 255


def draw(epoch=2):
    return Draw(1, epoch, 5, index=torch.arange(100, 100 + COUNT), size=COUNT)


def only(spec):
    return build((spec,))[0]


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize(("mode", "numpys"), [("zero", "constant"), ("reflect", "reflect"), ("edge", "edge")])
def test_crop_cuts_windows_out_of_the_padded_picture(channels, mode, numpys):
    x = pictures(channels)
    got = only(f"crop(3, mode={mode!r})")(x, draw())
    numbers = draw()
    down, right = numbers.integers(0, 6), numbers.integers(0, 6)
    for i in range(COUNT):
        wide = np.pad(x[i].numpy(), ((0, 0), (3, 3), (3, 3)), mode=numpys)
        assert np.array_equal(got[i].numpy(), wide[:, down[i] : down[i] + HEIGHT, right[i] : right[i] + WIDTH])
    assert got.dtype == torch.uint8
    assert {int(n) for n in down} == set(range(7))  # every place comes up


def test_shift_moves_rows_and_columns_apart():
    x = torch.zeros(COUNT, 1, HEIGHT, WIDTH, dtype=torch.uint8)
    x[:, :, 4, 5] = 200
    places = {tuple(int(n) for n in (picture[0] == 200).nonzero()[0]) for picture in only("shift(0, 2)")(x, draw())}
    assert places == {(4, column) for column in range(3, 8)}
    assert torch.equal(only("shift(0)")(x, draw()), x)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_mirror_flips_whole_pictures(dtype):
    x = pictures(dtype=dtype)
    got = only("mirror(0.7)")(x, draw())
    flip = draw().coins(0.7)
    for i in range(COUNT):
        assert np.array_equal(got[i].numpy(), x[i].numpy()[:, :, ::-1] if flip[i] else x[i].numpy())
    assert torch.equal(only("mirror(0)")(x, draw()), x)
    assert torch.equal(only("mirror(1)")(x, draw()), x.flip(3))


def test_alternating_mirror_shows_both_sides_in_every_two_epochs():
    x = pictures()
    mirror = only("mirror(alternate=True)")
    epochs = [mirror(x, draw(epoch)) for epoch in range(4)]
    assert torch.equal(epochs[1], epochs[0].flip(3))
    assert torch.equal(epochs[0], epochs[2])
    assert torch.equal(epochs[1], epochs[3])
    flipped = [not torch.equal(a, b) for a, b in zip(epochs[0], x, strict=True)]
    assert 0 < sum(flipped) < COUNT


def test_sample_coins_are_fair_and_belong_to_the_sample():
    many = Draw(0, 0, 0, index=torch.arange(20_000), size=20_000).sample_coins()
    assert abs(float(many.float().mean()) - 0.5) < 4 * 0.5 / 20_000**0.5
    one = Draw(0, 7, 9, index=torch.tensor([1234]), size=1).sample_coins()
    assert one[0] == many[1234]
    assert not torch.equal(many, Draw(1, 0, 0, index=torch.arange(20_000), size=20_000).sample_coins())


@pytest.mark.parametrize(
    ("spec", "mode"), [("affine(40, (0.8, 1.3), squeeze=0.3, shear=20, shift=0.2)", "constant"), ("affine(40, mode='edge')", "nearest")]
)
def test_affine_is_scipys_affine_transform(spec, mode):
    x = pictures()
    affine = only(spec)
    got = affine(x, draw())
    matrices, shifts = affine.matrices(draw())
    middle = np.array([(HEIGHT - 1) / 2, (WIDTH - 1) / 2])
    for i in range(COUNT):
        matrix = matrices[i].double().numpy()[::-1, ::-1]  # x, y -> row, column
        offset = middle - matrix @ middle + shifts[i].double().numpy()[::-1] * [HEIGHT, WIDTH]
        for c in range(3):
            expected = ndimage.affine_transform(x[i, c].numpy() / 255, matrix, offset, order=1, mode="grid-constant" if mode == "constant" else mode)
            assert np.abs(got[i, c].numpy() - expected).max() < 1e-4


def test_affine_draws_what_it_says():
    index = torch.arange(4000)
    numbers = Draw(0, 0, 0, index=index, size=4000)
    matrices, shifts = only("affine(30, (0.5, 2.0), shift=0.25)").matrices(numbers)
    scale = torch.linalg.det(matrices.double()).rsqrt()
    angle = torch.rad2deg(torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert 0.5 - 1e-4 <= scale.min() < 0.51
    assert 1.95 < scale.max() <= 2 + 1e-4
    assert 29 < angle.abs().max() <= 30.001
    assert 0.24 < shifts.abs().max() <= 0.25


def test_resized_crop_is_a_box_enlarged():
    x = pictures()
    crop = only("resized_crop((0.3, 0.8))")
    got = crop(x, draw())
    boxes = crop.boxes(np.tile([HEIGHT, WIDTH], (COUNT, 1)), draw())
    for i, (left, top, right, bottom) in enumerate(boxes):
        rows = top + (np.arange(HEIGHT) + 0.5) * (bottom - top) / HEIGHT - 0.5
        columns = left + (np.arange(WIDTH) + 0.5) * (right - left) / WIDTH - 0.5
        places = np.stack(np.meshgrid(rows, columns, indexing="ij"))
        for c in range(3):
            expected = ndimage.map_coordinates(x[i, c].numpy() / 255, places, order=1, mode="nearest")
            assert np.abs(got[i, c].numpy() - expected).max() < 1e-4


def test_resized_crop_boxes_keep_area_and_ratio_inside_the_picture():
    shapes = np.array([[50, 80], [300, 20], [64, 64], [7, 500]]).repeat(500, axis=0)
    boxes = only("resized_crop((0.2, 0.9))").boxes(shapes, Draw(0, 0, 0, index=torch.arange(2000), size=2000))
    wide, tall = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= shapes[:, 1]).all()
    assert (boxes[:, 3] <= shapes[:, 0]).all()
    assert (wide / tall > 0.7499).all()
    assert (wide / tall < 1.3334).all()
    share = wide * tall / shapes.prod(1)
    assert share[1000:1500].min() < 0.25
    assert share[1000:1500].max() > 0.85
    narrow = boxes[1500:]  # 7 x 500 cannot give a fifth of its area within the ratio: the centre then
    assert np.allclose((narrow[:, 0] + narrow[:, 2]) / 2, 250)


def test_jitter_against_a_pixel_by_pixel_oracle():
    x = pictures()
    got = only("jitter(0.5, 0.4, 0.6, 0.3)")(x, draw())
    numbers = draw()
    brightness, contrast, saturation = (numbers.uniform(1 - a, 1 + a, 1, 1, 1).double().flatten().numpy() for a in (0.5, 0.4, 0.6))
    turn = numbers.uniform(-0.3, 0.3, 1, 1).double().flatten().numpy()
    luma = np.array([0.299, 0.587, 0.114])
    for i in range(COUNT):
        p = np.clip(x[i].numpy().transpose(1, 2, 0) / 255 * brightness[i], 0, 1)
        middle = (p @ luma).mean()
        p = np.clip(middle + (p - middle) * contrast[i], 0, 1)
        plain = (p @ luma)[:, :, None]
        p = np.clip(plain + (p - plain) * saturation[i], 0, 1)
        expected = np.empty_like(p)
        for row in range(HEIGHT):
            for column in range(WIDTH):
                h, s, v = colorsys.rgb_to_hsv(*p[row, column])
                expected[row, column] = colorsys.hsv_to_rgb((h + turn[i]) % 1, s, v)
        assert np.abs(got[i].numpy().transpose(1, 2, 0) - expected).max() < 2e-5


def test_lighting_adds_the_principal_components_of_the_training_split():
    x = pictures(seed=4)
    store = d.arrays(x.numpy()).tables["train"].store
    got = only("lighting(0.5)").fitted(store)(x, draw())
    values, vectors = np.linalg.eigh(np.cov(x.numpy().transpose(0, 2, 3, 1).reshape(-1, 3).T / 255, bias=True))
    amounts = draw().normal(3).double().numpy() * 0.5
    change = (got - x.float() / 255).double().numpy()
    for i in range(COUNT):
        signed = [np.abs(change[i, :, 0, 0] @ vectors[:, k]) for k in range(3)]
        assert np.allclose(signed, np.abs(amounts[i] * values), atol=1e-6)
        assert np.allclose(change[i], change[i, :, :1, :1], atol=1e-6)
    with pytest.raises(ArgumentError, match="training split"):
        only("lighting")(x, draw())


def test_cutout_clears_one_clipped_square():
    x = torch.ones(COUNT, 2, HEIGHT, WIDTH)
    got = only("cutout(4)")(x, draw())
    numbers = draw()
    numbers.coins(1.0)
    rows, columns = numbers.integers(0, HEIGHT - 1), numbers.integers(0, WIDTH - 1)
    for i in range(COUNT):
        expected = np.ones((2, HEIGHT, WIDTH), np.float32)
        expected[:, max(0, rows[i] - 2) : rows[i] + 2, max(0, columns[i] - 2) : columns[i] + 2] = 0
        assert np.array_equal(got[i].numpy(), expected)
    assert torch.equal(only("cutout(4, chance=0)")(x, draw()), x)


def test_mixup_blends_inputs_and_shares_alike():
    x = torch.rand(COUNT, 3, HEIGHT, WIDTH)
    y = torch.nn.functional.one_hot(torch.arange(COUNT) % 5, 5).float()
    mixed, shares = only("mixup(0.4)").mix(x, y, draw())
    numbers = draw()
    weight, partner = numbers.beta(0.4), numbers.permutation()
    for i in range(COUNT):
        assert torch.allclose(mixed[i], weight[i] * x[i] + (1 - weight[i]) * x[partner[i]], atol=1e-6)
        assert torch.allclose(shares[i], weight[i] * y[i] + (1 - weight[i]) * y[partner[i]], atol=1e-6)
    many = Draw(0, 0, 0, index=torch.arange(20_000), size=20_000).beta(0.4)
    assert abs(float(many.var()) - 1 / (4 * (2 * 0.4 + 1))) < 0.005  # variance of Beta(a, a)


def test_numbers_of_one_augmentation_do_not_depend_on_its_neighbours():
    data = d.arrays(pictures().numpy(), np.arange(COUNT) % 3)
    alone = next(data.prepared(augment=("shift(0)", "mirror")).split("train", training=True).batches(COUNT, epoch=0, seed=0))
    beside = next(data.prepared(augment=("jitter(0, 0, 0)", "mirror")).split("train", training=True).batches(COUNT, epoch=0, seed=0))
    assert torch.allclose(alone.x, beside.x, atol=1e-5)


def test_registry_reads_signatures_that_importing_confirms():
    from striate.core.signature import Signature

    for entry in augmentations:
        live = Signature.of_callable(augmentations.get(entry.name))
        assert live.names == entry.signature.names
        assert [p.default for p in live.parameters] == [p.default for p in entry.signature.parameters]


@pytest.mark.parametrize(
    ("spec", "name", "values"),
    [
        ("mirror", "mirror", {}),
        ("crop(4)", "crop", {"padding": 4}),
        (" crop(2, mode='reflect') ", "crop", {"padding": 2, "mode": "reflect"}),
        ("resized-crop((0.5, 1))", "resized_crop", {"scale": (0.5, 1.0)}),
        ("mirror(alternate=True)", "mirror", {"alternate": True}),
    ],
)
def test_specs_are_read(spec, name, values):
    assert parse_spec(spec) == (name, values)


@pytest.mark.parametrize(
    ("spec", "error", "text"),
    [
        ("miror", UnknownNameError, "Did you mean mirror"),
        ("crop(pading=2)", UnknownNameError, "Did you mean padding"),
        ("crop(2, mode='reflected')", UnknownNameError, "Did you mean reflect"),
        ("crop('a')", ArgumentError, "padding: got 'a', expected a whole number"),
        ("crop(1, 2)", ArgumentError, "takes 1"),
        ("crop(1, padding=2)", ArgumentError, "padding twice"),
        ("crop(x)", ArgumentError, "literal"),
        ("crop(", ArgumentError, "cannot read"),
        ("__import__('os').system('true')", ArgumentError, "cannot read"),
        ("crop(-1)", ArgumentError, "negative"),
        ("mirror(2)", ArgumentError, "from 0 to 1"),
        ("cutout(0)", ArgumentError, "1 or more"),
        ("mixup(0)", ArgumentError, "more than 0"),
        ("jitter(2)", ArgumentError, "brightness is 2"),
        ("resized_crop((0, 1))", ArgumentError, "0 < low"),
        ("affine(scale=(2, 1))", ArgumentError, "0 < low"),
        ("affine(shear=85)", ArgumentError, "0 to 80"),
    ],
)
def test_specs_that_cannot_be_meant_are_refused(spec, error, text):
    with pytest.raises(error, match=text):
        build((spec,))


def test_augmentations_that_do_not_fit_the_pictures_say_so():
    grey = d.arrays(np.zeros((4, 8, 8), np.uint8), np.arange(4))
    for spec, text in (("jitter", "saturation needs red"), ("lighting", "1 channels"), ("crop(9, mode='reflect')", "larger than 8 x 8")):
        with pytest.raises(ArgumentError, match=text):
            next(grey.prepared(augment=(spec,)).split("train", training=True).batches(4, epoch=0, seed=0))
    with pytest.raises(ArgumentError, match="must come first"):
        grey.prepared(augment=("mirror", "resized_crop")).split("train", training=True)
    with pytest.raises(UnknownNameError):
        grey.prepared(augment=("nothing",))
    with pytest.raises(ArgumentError, match="needs labels"):
        next(d.arrays(np.zeros((4, 8, 8), np.uint8)).prepared(augment=("mixup",)).split("train", training=True).batches(4, epoch=0, seed=0))
