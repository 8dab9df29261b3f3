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
