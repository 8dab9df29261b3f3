"""Row U2: neighbours, trustworthiness and maps against scikit-learn, PCA against the singular values, maps that keep their seed."""

from __future__ import annotations

import importlib.util
import os

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness as theirs
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from torch import nn

import striate.understand as u
from striate import zoo
from striate.core.errors import ArgumentError, UnknownNameError
from striate.understand import flattening
from striate.understand.codes import code_layer, nearest, trustworthiness, vote
from striate.understand.flattening import flattened, principal
from striate.understand.samples import samples_of

RANDOM = np.random.default_rng(0)
CODES = RANDOM.normal(size=(300, 20)).astype(np.float32) * np.linspace(3, 0.2, 20, dtype=np.float32) + 5


def test_nearest_equals_scikit_learn():
    distances, numbers = NearestNeighbors(n_neighbors=6).fit(CODES).kneighbors(CODES)
    found, away = nearest(CODES, 5)
    assert np.array_equal(found, numbers[:, 1:])
    assert away == pytest.approx(distances[:, 1:], rel=1e-5)
    some, _ = nearest(CODES, 5, np.array([7, 3]))
    assert np.array_equal(some, numbers[[7, 3], 1:])


def test_the_vote_equals_leave_one_out():
    labels = (CODES[:, 0] > 5).astype(int)[:80] + (CODES[:80, 1] > 6)
    wanted = cross_val_score(KNeighborsClassifier(5), CODES[:80], labels, cv=LeaveOneOut()).mean()
    assert vote(labels, nearest(CODES[:80], 5)[0]) == pytest.approx(wanted)


def test_trustworthiness_equals_scikit_learn():
    for points in (RANDOM.normal(size=(300, 2)).astype(np.float32), CODES[:, :2], CODES[:, :2] ** 3):
        assert trustworthiness(CODES, points, 10) == pytest.approx(theirs(CODES.astype(np.float64), points, n_neighbors=10), abs=1e-9)
    assert trustworthiness(CODES, CODES, 10) == 1
    with pytest.raises(ArgumentError, match="less than half"):
        trustworthiness(CODES[:10], CODES[:10, :2], 5)


@pytest.mark.parametrize("codes", [CODES, CODES[:8]], ids=["tall", "wide"])
def test_pca_equals_scikit_learn(codes):
    tool = PCA(3).fit(codes.astype(np.float64))
    components, share = principal(codes, 3)
    assert np.abs(components) == pytest.approx(np.abs(tool.transform(codes.astype(np.float64))), abs=1e-6)
    assert share == pytest.approx(tool.explained_variance_ratio_)
    assert (components[np.abs(components).argmax(0), range(3)] > 0).all()
    flat = flattened(codes, by="pca")
    assert flat.receipts["variance"] == pytest.approx(tool.explained_variance_ratio_[:2].sum())


def test_t_sne_keeps_its_seed_and_beats_pca():
    digits = load_digits()
    codes, labels = digits.data[:240].astype(np.float32), digits.target[:240]
    first, again = (flattened(codes, by="tsne", perplexity=15, seed=1) for _ in range(2))
    assert np.array_equal(first.points, again.points)
    assert trustworthiness(codes, first.points) > trustworthiness(codes, flattened(codes, by="pca").points) + 0.1
    assert vote(labels, nearest(first.points, 10)[0]) > 0.9
    assert first.notes[0].startswith("t-SNE by openTSNE") == (importlib.util.find_spec("openTSNE") is not None)
    with pytest.raises(ArgumentError, match="expected 1 to 6"):
        flattened(codes[:20], perplexity=7)
    few = flattened(codes[:20])
    assert np.array_equal(few.points, flattened(codes[:20], perplexity=19 / 3).points)
    assert any(note.startswith("perplexity 6.33, a third of the samples") for note in few.notes)
    with pytest.raises(UnknownNameError, match="tsne"):
        flattened(codes, by="t-sne")


def test_without_opentsne_scikit_learn_maps_and_the_notes_say_so(monkeypatch):
    monkeypatch.setattr(flattening.importlib.util, "find_spec", lambda _: None)
    flat = flattened(CODES[:60], perplexity=5, seed=1)
    assert flat.points.shape == (60, 2)
    assert "scikit-learn" in flat.notes[0]
    assert "striate[maps]" in flat.notes[0]


@pytest.mark.parametrize(
    ("name", "size", "layer"), [("resnet18", 32, "avgpool"), ("vgg11", 32, "classifier.4"), ("squeezenet1_1", 64, "classifier.2")]
)
def test_the_code_is_what_goes_into_the_last_dense_layer(name, size, layer):
    model = zoo.build(name, classes=10, input=(3, size, size)).eval()
    assert code_layer(model, torch.zeros(1, 3, size, size)) == layer


def test_neighbours_are_found_in_pixels_and_in_codes():
    class Hue(nn.Module):
        """Its code is the mean of red alone."""

        def __init__(self):
            super().__init__()
            self.look, self.fc = nn.Conv2d(3, 1, 1, bias=False), nn.Linear(1, 2)
            with torch.no_grad():
                self.look.weight.copy_(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1))

        def forward(self, x):
            return self.fc(self.look(x).mean((2, 3)))

    images = torch.rand(30, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = np.arange(30) % 3
    assert u.neighbours(Hue(), images).layer == "/mean#1"
    made = u.neighbours(Hue(), (images, labels), queries=4, count=3, layer="look")
    assert any("averaged over their positions" in note for note in made.notes)
    red = images[:, 0].mean((1, 2)).numpy()
    for row, query in enumerate(made.arrays["query"]):
        order = np.argsort(np.abs(red - red[query]))
        assert made.arrays["in_codes"][row].tolist() == order[1:4].tolist()
        away = np.linalg.norm((images - images[query]).flatten(1).numpy(), axis=1)
        assert made.arrays["in_pixels"][row].tolist() == np.argsort(away)[1:4].tolist()
        assert made.arrays["pixel_distance"][row] == pytest.approx(np.sort(away)[1:4], rel=1e-5)
        assert np.array_equal(made.arrays["near_codes"][row][0], images[order[1]].numpy())
        assert made.arrays["label_in_codes"][row].tolist() == labels[order[1:4]].tolist()
    assert len(set(made.arrays["label"].tolist())) == 3, "queries of each class in turn"
    assert {"9_nn_accuracy_in_pixels", "9_nn_accuracy_in_codes"} <= set(made.receipts), "as many as a class of ten can give"
    twins = u.neighbours(Hue(), (torch.cat([images[:15], images[:15] * 0.99]), np.arange(30) % 15), queries=4, count=3)
    assert twins.receipts["1_nn_accuracy_in_pixels"] == 1
    assert "The nearest neighbour names the class right for 100 %" in twins.figure().svg()
    plain = u.neighbours(Hue(), images, queries=4, count=3)
    assert "label" not in plain.arrays
    with pytest.raises(ArgumentError, match="30 samples"):
        u.neighbours(Hue(), images, count=30)


def test_samples_are_drawn_by_seed_and_counted(tmp_path):
    images = np.zeros((10, 1, 4, 4), np.uint8)
    images[:, 0, 0, 0] = np.arange(10)
    some = samples_of(images, count=4, seed=3)
    assert len(some) == 4
    assert np.array_equal(some.pixels[:, 0, 0, 0].mul(255).round().numpy(), some.index)
    assert np.array_equal(samples_of(images, count=4, seed=3).index, some.index)
    assert any(not np.array_equal(samples_of(images, count=4, seed=seed).index, some.index) for seed in range(4, 8))
    assert some.notes() == ("4 of 10 pictures of the pictures given, drawn at random by the seed",)
    assert samples_of(images).notes() == ()
    digits = samples_of("digits", count=50)
    assert digits.title.startswith("digits, ")
    assert digits.labels is not None
    assert digits.pixels.dtype == torch.uint8
    with pytest.raises(UnknownNameError, match="split"):
        samples_of("digits", split="tests")
    with pytest.raises(ArgumentError, match="labels of shape"):
        samples_of((images, [1, 2]))


def test_a_map_of_pixels_is_drawn_and_saved(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    made = u.code_map(model, "digits", space="pixels", by="pca", samples=120)
    assert made.kind == "embedding"
    assert made.arrays["points"].shape == (120, 2)
    assert made.layer is None
    assert made.receipts["trustworthiness"] == pytest.approx(
        theirs(samples_of("digits", count=120).pixels.flatten(1).numpy(), made.arrays["points"], n_neighbors=10), abs=2e-3
    )  # ties: digits are whole numbers
    read = u.load(made.save(tmp_path / "map.npz"))
    assert np.array_equal(read.arrays["points"], made.arrays["points"])
    assert "by their pixels, PCA" in made.figure().title


@pytest.mark.data
@pytest.mark.slow
def test_cifar_neighbours_in_pixels_are_as_published():
    """FACTS: 2,000 CIFAR test pictures, 10-NN accuracy in pixels .26."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    made = u.neighbours(model, "cifar10", samples=2000)
    assert made.receipts["10_nn_accuracy_in_pixels"] == pytest.approx(0.26, abs=0.02)
    assert os.environ["STRIATE_DATA"]
