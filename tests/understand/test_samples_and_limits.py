"""Options that make no sense are refused in words; labels, splits and seeds of the data methods; pictures of any number of channels are drawn."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

import striate.understand as u
from striate.core.arguments import whole_number
from striate.core.errors import ArgumentError, UnknownNameError
from striate.understand.checking import within
from striate.understand.figures import picture_of
from striate.understand.photographs import photograph
from striate.understand.samples import numbered, random_of, samples_of
from striate.understand.standins import stand_in


def _net(channels: int = 3, classes: int = 5) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes)).eval()


def _pictures(count: int = 20, channels: int = 3) -> torch.Tensor:
    return torch.rand(count, channels, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("method", ["maximise", "neighbours", "code_map"])
def test_pictures_of_any_number_of_channels_are_drawn(method, channels, tmp_path):
    if method == "maximise":
        made = u.maximise(_net(channels), shape=(channels, 12, 12), steps=1, target=0)
    else:
        made = getattr(u, method)(_net(channels), _pictures(channels=channels))
    assert made.save(tmp_path / "a.html").stat().st_size > 1000
    grey = np.arange(8, dtype=np.float32).reshape(2, 2, 2) / 8
    assert np.allclose(picture_of(grey)[0], grey.mean(0))
    assert np.allclose(picture_of((grey * 200).astype(np.uint8))[0], (grey * 200).mean(0) / 255)


def test_uint8_pictures_are_drawn_as_they_are():
    picture = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    assert np.allclose(picture_of(picture), picture / 255)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"blur": 13.0}, "blur: got 13.0, expected 0 or more, at most 12"),
        ({"jitter": 12}, "jitter: got 12, expected 0 or more, at most 11"),
        ({"zoom": 1.5}, "zoom: got 1.5, expected 0 or more, at most 1"),
        ({"turn": 181.0}, "turn: got 181.0, expected 0 or more, at most 180"),
        ({"count": 0}, "count: got 0, expected 1 or more"),
        ({"rivals": -1.0}, "rivals: got -1.0, expected 0 or more"),
        ({"diversity": -0.5}, "diversity: got -0.5, expected 0 or more"),
        ({"shape": (3, 12.5, 12)}, r"shape: got \(3, 12.5, 12\)"),
        ({"shape": 3}, "shape: got 3"),
        ({"layer": "0", "target": None, "channel": 1, "position": (1.5, 2)}, r"position: got \(1.5, 2\)"),
    ],
)
def test_what_no_picture_can_be_grown_by_is_refused(options, words):
    with pytest.raises(ArgumentError, match=words):
        u.maximise(_net(), **{"shape": (3, 12, 12), "steps": 1, "target": 0, **options})


def test_channels_may_be_numpys_and_the_title_names_the_layer():
    first, second = (u.maximise(_net(), layer="0", channel=channel, shape=(3, 12, 12), steps=2) for channel in (1, np.int64(1)))
    assert np.array_equal(first.arrays["image"], second.arrays["image"])
    assert "Pictures that channel 1 of 0 answers to most" in first.figure().title


@pytest.mark.parametrize("method", ["neighbours", "code_map"])
def test_a_split_a_layer_or_samples_that_are_not_there_are_refused(method):
    run = getattr(u, method)
    for data in (_pictures(), (_pictures(), torch.arange(20) % 2), [*_pictures().numpy()]):
        with pytest.raises(ArgumentError, match="split: got 'nope', but the pictures given have no splits"):
            run(_net(), data, split="nope")
    with pytest.raises(ArgumentError, match="layer"):
        run(_net(), _pictures(), layer="")
    with pytest.raises(ArgumentError, match="samples: got 0, expected 1 or more"):
        run(_net(), _pictures(), samples=0)


def test_an_empty_split_of_a_data_set_is_no_default(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown split ''"):
        samples_of("digits", split="")
    with pytest.raises(ArgumentError, match="split: got 3, expected a split's name"):
        samples_of("digits", split=3)
    for count in (0, 1.5, "a", True):
        with pytest.raises(ArgumentError, match="count: got "):
            samples_of(_pictures(), count=count)
    assert len(samples_of(_pictures(), count=np.int64(3))) == 3


def test_neighbours_say_which_of_their_numbers_is_too_large():
    with pytest.raises(ArgumentError, match="count: got 20, but there are 20 samples"):
        u.neighbours(_net(), _pictures(), count=20)
    with pytest.raises(ArgumentError, match="queries: got 21, but there are 20 samples"):
        u.neighbours(_net(), _pictures(), queries=21)
    with pytest.raises(ArgumentError, match="count: got 5, but there is 1 sample;"):
        u.neighbours(_net(), _pictures(), samples=1)


def test_options_that_are_passed_over_are_told_or_refused():
    made = u.code_map(_net(), _pictures(), by="pca", perplexity=3.0)
    assert "perplexity belongs to t-SNE: PCA did not heed it" in made.notes
    with pytest.raises(ArgumentError, match="layer: the map is of the pixels"):
        u.code_map(_net(), _pictures(), space="pixels", layer="0")


def test_labels_by_name_are_numbered_and_others_refused():
    names = np.array(["cat", "ant", "dog", "ant"])
    taken = numbered(samples_of((_pictures(4), names)), ("dog", "cat", "ant"))
    assert (taken.labels.tolist(), taken.classes) == ([1, 2, 0, 2], ("dog", "cat", "ant"))
    own = numbered(samples_of((_pictures(4), list(names))), ())
    assert (own.labels.tolist(), own.classes) == ([1, 0, 2, 0], ("ant", "cat", "dog"))
    assert samples_of((_pictures(4), [0.0, 1.0, 2.0, 0.0])).labels.tolist() == [0, 1, 2, 0]
    for labels, words in (
        ([0.5, 1, 1, 1], "labels of type float64"),
        ([None] * 4, "labels of type object"),
        ([0, -1, 1, 1], "the label -1, expected class numbers from 0"),
        ([0, 1], r"labels of shape \(2,\) for 4 pictures"),
        ([[0], [1, 2], 1, 1], "labels of type object"),
    ):
        with pytest.raises(ArgumentError, match=words):
            samples_of((_pictures(4), labels))
    made = u.neighbours(_net(), (_pictures(), ["cat", "ant"] * 10), count=2, queries=2)
    assert made.classes == ("ant", "cat")
    assert set(made.arrays["label"].tolist()) == {0, 1}


def test_titles_say_how_far_pixels_and_codes_agree():
    made = u.neighbours(_net(), _pictures(), count=2, queries=2)
    made.arrays["in_pixels"][:], made.arrays["in_codes"][:] = [[1, 2], [3, 4]], [[2, 5], [4, 3]]
    assert re.fullmatch(r"Of the 2 nearest by codes at 2, 75\s*% are among the 2 nearest by pixels", made.figure().title)

    mapped = u.code_map(_net(), (_pictures(), ["cat", "ant"] * 10), by="pca")
    assert re.fullmatch(r"20 pictures by their codes at 2, PCA: neighbours name the class right for \d+\s*%", mapped.figure().title)


def test_seeds_of_any_sign_draw_samples():
    for seed in (3, np.int64(3), torch.tensor(3)):
        assert np.array_equal(random_of(seed).random(4), np.random.default_rng(3).random(4))
        assert np.array_equal(random_of(seed, 1).random(4), np.random.default_rng([3, 1]).random(4))
    assert not np.array_equal(random_of(-1).random(4), random_of(-2).random(4))
    for seed in (-1, 2**70):
        assert len(u.code_map(_net(), _pictures(), seed=seed, samples=15)) == 15
        assert len(u.neighbours(_net(), _pictures(), seed=seed, samples=15, queries=3)) == 3
    with pytest.raises(ArgumentError, match=r"seed: got 1\.5, expected a whole number"):
        u.neighbours(_net(), _pictures(), seed=1.5)


def test_noise_that_leaves_no_finite_gradient_is_refused():
    for noise in (float("inf"), float("nan"), "a"):
        with pytest.raises(ArgumentError, match="noise: got"):
            u.smoothgrad(_net(), _pictures(1), samples=2, noise=noise)

    class Squares(nn.Module):
        def forward(self, x):
            return x.square().square().flatten(1)[:, :2]

    with pytest.raises(ArgumentError, match="noise: with 1e\\+30 the gradients at noisy copies are NaN or infinite"):
        u.smoothgrad(Squares(), _pictures(1), samples=2, noise=1e30)


def test_levels_rounds_and_sizes_out_of_range_name_their_option():
    with pytest.raises(ArgumentError, match=r"baseline: got 3\.0, expected a level from 0"):
        u.integrated_gradients(_net(), _pictures(1), baseline=3)
    with pytest.raises(ArgumentError, match=r"value: got 3\.0, expected a level from 0"):
        stand_in(_pictures(1)[0], 3.0)
    with pytest.raises(ArgumentError, match="rounds: got 1000000000000, expected 1 or more, at most 1000"):
        u.segmentation(_net(), _pictures(1), rounds=10**12)
    for size, words in ((8, "size: got 8, expected 16 pixels or more"), (20.5, "size: got 20.5, expected a whole number"), ("a", "size: got 'a'")):
        with pytest.raises(ArgumentError, match=words):
            photograph(_pictures(1), size)
    with pytest.raises(ArgumentError, match="images: got 4 channels, expected grey or colour pictures"):
        photograph(_pictures(1, 4), None)


def test_whole_numbers_and_limits():
    for value in (3, np.int64(3), torch.tensor(3)):
        assert whole_number("n", value, least=1) == 3
    for value in (True, 3.0, "3", None, [3]):
        with pytest.raises(ArgumentError, match=r"n: got .* expected a whole number, 1 or more"):
            whole_number("n", value, least=1)
    with pytest.raises(ArgumentError, match="n: got 4, expected 1 or more, at most 3"):
        within("n", 4, 1, 3)
    with pytest.raises(ArgumentError, match="n: got inf, expected 0 or more, and finite"):
        within("n", float("inf"), 0)
