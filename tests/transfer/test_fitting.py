"""Fitting: what scikit-learn finds in the full space, wherever it was computed; one clear error for data nothing can be fitted to."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from striate.core.errors import ArgumentError, DataError
from striate.transfer import as_conv, as_linear, fit, freeze, head, unfreeze, with_head
from striate.transfer.fitting import checked
from striate.transfer.heads import set_head

NAMES = ("ants", "bees", "wasps")


def clouds(count, width, classes=3, seed=0, apart=2.0):
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(classes, width)) * apart / np.sqrt(width)
    y = np.arange(count) % classes
    return centres[y] + generator.normal(size=(count, width)) / np.sqrt(width) + 3.0, y


def prepared(x):
    centred = x - x.mean(0)
    return centred / np.sqrt((centred**2).sum(1).mean())


def centred_rows(logits):
    return logits - logits.mean(1, keepdims=True)


@pytest.mark.parametrize(("count", "width", "classes"), [(40, 100, 3), (40, 100, 2), (90, 6, 3)])
def test_logistic_regression_is_that_of_the_full_space(count, width, classes):
    x, y = clouds(count, width, classes)
    found = fit(x, y, classes=NAMES[:classes], strengths=(10.0,))
    z = prepared(x)
    oracle = LogisticRegression(C=10.0, tol=1e-8, max_iter=5000).fit(z, y).decision_function(z)
    wanted = np.stack([-oracle, oracle], 1) / 2 if classes == 2 else oracle
    np.testing.assert_allclose(centred_rows(found.logits(x)) * found.temperature, centred_rows(wanted), atol=2e-2 * abs(wanted).max())


def test_svm_is_that_of_the_full_space():
    x, y = clouds(60, 12)
    found = fit(x, y, classes=NAMES, kind="hinge", strengths=(1.0,))
    z = prepared(x)
    oracle = LinearSVC(C=1.0, tol=1e-8, max_iter=100_000, dual=False).fit(z, y).decision_function(z)
    np.testing.assert_allclose(found.logits(x) * found.temperature, oracle, atol=2e-2 * abs(oracle).max())


def test_the_strength_with_the_least_held_out_loss_is_taken():
    x, y = clouds(60, 40, apart=1.0)
    found = fit(x, y, classes=NAMES)
    assert found.tried[found.strength] == min(found.tried.values()) == found.loss
    assert sorted(found.held_rows) == sorted([*range(60)] * 2)  # few pictures: two shuffles
    shares = np.exp(found.held_logits / found.temperature)
    shares /= shares.sum(1, keepdims=True)
    of_seven = -np.log(shares[found.held_rows == 7, y[7]])
    assert found.losses(y)[7] == pytest.approx(of_seven.mean())
    assert found.losses(y).mean() == pytest.approx(found.loss)
    assert found.error == pytest.approx((found.held_logits.argmax(1) != y[found.held_rows]).mean())


def test_held_out_logits_come_from_classifiers_that_had_not_seen_the_picture():
    x, y = clouds(30, 200, apart=0.0)  # nothing to learn: who had seen a picture would know it
    found = fit(x, y, classes=NAMES, strengths=(1000.0,))
    assert found.error > 0.45
    assert (found.logits(x).argmax(1) == y).all()


def test_class_weights_are_scikit_learns_balance():
    x, y = clouds(60, 10, classes=2)
    keep = np.flatnonzero((y == 0) | (np.arange(60) < 12))
    found = fit(x[keep], y[keep], classes=NAMES[:2], strengths=(1.0,), class_weights=True)
    z = prepared(x[keep])
    oracle = LogisticRegression(C=1.0, tol=1e-8, class_weight="balanced").fit(z, y[keep]).decision_function(z)
    logits = found.logits(x[keep]) * found.temperature
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], oracle, atol=2e-2 * abs(oracle).max())


def test_bad_data_is_one_clear_error_each():
    x, y = clouds(12, 4)
    with pytest.raises(DataError, match="all 12 pictures are of one class, bees"):
        fit(x, np.ones(12, int), classes=NAMES)
    with pytest.raises(DataError, match="no picture of wasps"):
        fit(x[y < 2], y[y < 2], classes=NAMES)
    with pytest.raises(DataError, match="one picture only of wasps"):
        fit(x[:9], np.array([0, 0, 0, 0, 1, 1, 1, 1, 2]), classes=NAMES)
    broken = x.copy()
    broken[3, 1] = np.nan
    with pytest.raises(DataError, match="1 of 12 rows hold NaN or infinite values, the first is row 3"):
        fit(broken, y, classes=NAMES)
    with pytest.raises(ArgumentError, match="expected N D and N"):
        checked(x, y[:5], NAMES)
    with pytest.raises(ArgumentError, match="strengths"):
        fit(x, y, classes=NAMES, strengths=(0.0,))


def test_a_fitted_classifier_ends_as_a_linear_layer_and_as_a_convolution():
    import torch

    x, y = clouds(30, 8)
    found = fit(x, y, classes=NAMES, kind="hinge")
    layer = as_linear(found)
    np.testing.assert_allclose(layer(torch.from_numpy(x).float()).detach().numpy(), found.logits(x), atol=1e-4)
    maps = torch.randn(2, 8, 3, 5)
    said = as_conv(layer)(maps).mean((2, 3))
    torch.testing.assert_close(said, layer(maps.mean((2, 3))), atol=1e-5, rtol=1e-5)
    target = torch.nn.Conv2d(8, 3, 1)
    assert set_head(target, found)
    torch.testing.assert_close(target(maps), as_conv(layer)(maps))
    assert not set_head(torch.nn.Linear(9, 3), found)


@pytest.mark.parametrize("kind", ["linear", "mlp", "conv1x1"])
def test_a_cut_trunk_with_a_fresh_head(small, kind):
    import torch

    made = with_head(small, "layer2", kind, classes=5).eval()
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        maps = small.layer2(small.layer1(small.relu(small.bn1(small.conv1(x)))))
        torch.testing.assert_close(made(x), made.head(maps if kind == "conv1x1" else maps.mean((2, 3))))
    assert made(x).shape == (2, 5)
    assert freeze(made, "trunk") == len(list(made.trunk.parameters()))
    assert [name.split(".")[0] for name, p in made.named_parameters() if p.requires_grad] == ["head"] * len(list(made.head.parameters()))
    assert unfreeze(made) == len(list(made.parameters()))
    with pytest.raises(ArgumentError, match=r"unknown module 'layr2'. Did you mean layer2"):
        with_head(small, "layr2", kind, classes=5)
    with pytest.raises(ArgumentError, match=r"fc gives \(1, 3\); conv1x1 reads maps"):
        with_head(small, "fc", "conv1x1", classes=5)


def test_heads_compute_what_their_name_says():
    import torch

    codes, maps = torch.randn(4, 8), torch.randn(4, 8, 2, 2)
    mlp = head("mlp", 8, 3, hidden=5).eval()
    wanted = torch.relu(codes @ mlp[1].weight.T + mlp[1].bias) @ mlp[4].weight.T + mlp[4].bias
    torch.testing.assert_close(mlp(codes), wanted)
    conv = head("conv1x1", 8, 3)
    flat = conv[0].weight.flatten(1)
    torch.testing.assert_close(conv(maps), maps.mean((2, 3)) @ flat.T + conv[0].bias)
    assert head("linear", 8, 3)(codes).shape == (4, 3)
    with pytest.raises(ArgumentError, match=r"unknown head 'lineer'. Did you mean linear"):
        head("lineer", 8, 3)
    with pytest.raises(ArgumentError, match="inputs: got 0"):
        head("linear", 0, 3)
    with pytest.raises(ArgumentError, match="dropout"):
        head("mlp", 8, 3, dropout=1.0)
