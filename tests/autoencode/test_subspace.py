"""The linear autoencoder and PCA: scikit-learn's components, Eckart and Young's loss, the closed form and training to the same subspace (row E4)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from striate import autoencode, data
from striate.autoencode.learning import pixels_of
from striate.core.contracts import Recipe
from striate.core.errors import ArgumentError
from striate.training import train


def rows(n=4000, k=3, rest=0.02, seed=0):
    """Pictures 1 x 3 x 4 about 0.1 with `k` strong directions of deviation 1.2 to 0.8 and a weak rest."""
    draw = np.random.default_rng(seed)
    axes = np.linalg.qr(draw.normal(size=(12, 12)))[0]
    scale = np.r_[np.linspace(1.2, 0.8, k), np.full(12 - k, rest * 0.8)]
    return (0.1 + draw.normal(size=(n, 12)) * scale @ axes.T).astype(np.float32)


def test_components_are_scikit_learns():
    x = rows(300, rest=0.3)
    ours, theirs = autoencode.principal(x), PCA(svd_solver="full").fit(x.astype(np.float64))
    assert np.allclose(ours.variances * 300 / 299, theirs.explained_variance_, rtol=1e-9)
    assert np.allclose(np.abs(ours.components @ theirs.components_.T), np.eye(12), atol=1e-6)
    assert np.allclose(ours.rebuilt(x, 3), theirs.mean_ + (x - theirs.mean_) @ theirs.components_[:3].T @ theirs.components_[:3])


def svd(x):
    """Variances and components as torch's thin SVD of the centred rows has them."""
    centred = torch.from_numpy(np.asarray(x, np.float64) - np.asarray(x, np.float64).mean(0))
    _, sizes, components = torch.linalg.svd(centred, full_matrices=False)
    return (sizes**2 / len(x)).numpy(), components.numpy()


@pytest.mark.parametrize("count", [None, 3])
def test_few_large_rows_are_decomposed_by_their_products(count):
    x = np.random.default_rng(0).random((6, 12_288), np.float32)  # the covariance would have 1.2 GB, its eigenvectors take minutes
    found, (variances, components) = autoencode.principal(x, count), svd(x)
    kept = count or 5
    assert found.components.shape == (kept, 12_288), "six centred rows span five directions"
    assert np.allclose(found.variances, variances[:kept], rtol=1e-9)
    assert np.allclose(np.abs(found.components @ components[:kept].T), np.eye(kept), atol=1e-9)
    assert found.lost(2) == pytest.approx(variances[2:].sum() / 12_288, rel=1e-9)
    with pytest.raises(ArgumentError, match=f"expected 0 to {kept} components"):
        found.rebuilt(x, 6)


def test_rows_that_repeat_add_no_component():
    x = np.random.default_rng(0).random((3, 50))
    found = autoencode.principal(np.r_[x, x, x])
    assert len(found.components) == np.linalg.matrix_rank(x - x.mean(0)) == 2
    assert np.allclose(found.rebuilt(x, 2), x, atol=1e-9)
    assert len(autoencode.principal(np.ones((4, 9))).components) == 0


def test_weak_components_of_few_rows_are_orthonormal():
    draw = np.random.default_rng(0)
    scale = 10.0 ** -np.linspace(0, 4, 40)  # variances down to a hundred-millionth of the first
    x = (draw.normal(size=(41, 40)) * scale) @ np.linalg.qr(draw.normal(size=(300, 40)))[0].T
    found, (variances, components) = autoencode.principal(x), svd(x)
    kept = len(found.components)
    assert kept == 40
    assert np.abs(found.components @ found.components.T - np.eye(kept)).max() < 1e-12
    assert np.allclose(found.variances, variances[:kept], rtol=1e-6)
    assert autoencode.principal_angles(found.components[:35], components[:35]).max() < 1e-6


def test_many_large_rows_are_decomposed_at_random_to_the_same(monkeypatch):
    monkeypatch.setattr("striate.autoencode.subspace.WHOLE", 100)
    draw = np.random.default_rng(0)
    scale = 1 / np.arange(1, 301)
    x = 0.5 + (draw.normal(size=(400, 300)) * scale) @ np.linalg.qr(draw.normal(size=(300, 300)))[0].T
    found, (variances, components) = autoencode.principal(x, 20), svd(x)
    assert found.components.shape == (20, 300)
    assert np.allclose(found.variances, variances[:20], rtol=1e-6)
    assert autoencode.principal_angles(found.components[:10], components[:10]).max() < 1e-4
    assert found.lost(20) == pytest.approx(variances[20:].sum() / 300, rel=1e-6)
    again = autoencode.principal(x, 20)
    assert np.array_equal(found.components, again.components)
    assert len(autoencode.principal(x, 200).components) == 300, "so many cost no less than all"


def test_a_code_longer_than_there_are_components_leaves_numbers_at_rest():
    x = rows(3)
    model = autoencode.linear_optimum(x, (1, 3, 4), 5, tied=False)
    with torch.no_grad():
        pictures = torch.from_numpy(x).view(-1, 1, 3, 4)
        assert torch.allclose(model(pictures), pictures, atol=1e-5)
        assert torch.equal(model.encode(pictures)[:, 2:], torch.zeros(3, 3))


@pytest.mark.parametrize("tied", [False, True])
def test_the_closed_form_loses_what_eckart_and_young_say(tied):
    x = rows(400, rest=0.5)
    found = autoencode.principal(x)
    model = autoencode.linear_optimum(x, (1, 3, 4), 3, tied=tied)
    with torch.no_grad():
        loss = float((model(torch.from_numpy(x).view(-1, 1, 3, 4)).flatten(1) - torch.from_numpy(x)).square().mean())
    assert loss == pytest.approx(found.variances[3:].sum() / 12, rel=1e-4)
    assert loss == pytest.approx(found.lost(3), rel=1e-4)


def test_angles_of_planes_known_by_hand():
    a = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0]])
    b = np.array([[1.0, 0, 0, 0], [0, np.cos(0.3), np.sin(0.3), 0]])
    assert np.allclose(autoencode.principal_angles(a, b), [0.3, 0.0], atol=1e-7)
    assert autoencode.principal_angles(a, 5 * a[::-1] + 0).max() < 1e-7
    with pytest.raises(ArgumentError, match="rows of one length"):
        autoencode.principal_angles(a, b[:, :3])


@pytest.mark.parametrize("tied", [False, True])
def test_training_finds_the_pca_subspace(tied, tmp_path):
    x = rows()
    opened = pixels_of(data.arrays(x.reshape(-1, 1, 3, 4)))
    torch.manual_seed(1)
    model = autoencode.autoencoder(opened.shape, code=3, activation="none", output="linear", tied=tied)
    recipe = Recipe(name="pca", epochs=10, batch=100, optimiser="adam", lr=0.02, schedule="cosine")
    train(model, opened, task="reconstruct", recipe=recipe, folder=tmp_path / "run", precision="fp32")
    found = autoencode.principal(x)
    spanned = model.decoder.get_submodule("code_1").weight
    angles = autoencode.principal_angles(spanned if tied else spanned.T, found.components[:3])
    assert angles.max() <= 1e-3
    with torch.no_grad():
        loss = float((model(torch.from_numpy(x).view(-1, 1, 3, 4)).flatten(1) - torch.from_numpy(x)).square().mean())
    assert -1e-6 <= (loss - found.lost(3)) / found.lost(0) <= 1e-3, "of all variance"


def test_counts_out_of_range_are_refused():
    with pytest.raises(ArgumentError, match="expected 0 to 12 components"):
        autoencode.principal(rows(50)).rebuilt(rows(50), 13)
    with pytest.raises(ArgumentError, match="but the rows have 12"):
        autoencode.linear_optimum(rows(50), (1, 4, 4), 2)
