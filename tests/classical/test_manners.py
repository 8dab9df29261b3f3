"""scikit-learn's manners: check_estimator, clone, pipelines, cross-validation; one clear error for each kind of bad input; registries of literals."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import striate.classical as classical
from striate.classical import HOG, MLP, Adaline, KNearest, LinearClassifier, Madaline, Perceptron
from striate.classical.registry import baselines, estimators, features
from striate.core.errors import ArgumentError

CLASSIFIERS = [
    KNearest(),
    LinearClassifier(alpha=1e-3),
    LinearClassifier("hinge", alpha=1e-3),
    LinearClassifier("squared-hinge", alpha=1e-3),
    Perceptron(averaged=True),
    Adaline(),
    Madaline(units=3),
]
FEATURES = [features.get(name) for name in features.names()] + [estimators.get("neocognitron")]


def small(n=24, shape=(3, 16, 16), seed=0):
    state = np.random.default_rng(seed)
    y = np.arange(n) % 2
    pictures = state.random((n, *shape)) * 0.5
    pictures[1::2, :, np.arange(shape[1]) % 4 < 2] += 0.5  # stripes, two on, two off
    return (pictures * 255).astype(np.uint8).reshape(n, -1), y


def make(kind):
    fewer = {"words": 8, "textons": 8, "components": 5}
    taken = {name: value for name, value in fewer.items() if name in inspect.signature(kind).parameters}
    return kind(image_shape=(3, 16, 16), **taken)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=str)
def test_scikit_learns_own_checks(estimator):
    skip_unless = {"check_array_api_input", "check_classifier_data_not_an_array"}
    results = check_estimator(estimator, on_fail=None, on_skip=None)
    assert [r["check_name"] for r in results if r["status"] == "failed"] == []
    assert {r["check_name"] for r in results if r["status"] == "skipped"} <= skip_unless


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks_of_the_perceptron_of_many_layers():
    results = check_estimator(MLP(epochs=30, batch=16), on_fail=None, on_skip=None)
    failed = {r["check_name"] for r in results if r["status"] == "failed"}
    assert failed <= {"check_methods_subset_invariance"}  # float32: the last bits depend on the batch


@pytest.mark.parametrize("kind", FEATURES, ids=lambda kind: kind.__name__)
def test_features_clone_pickle_and_stand_in_pipelines(kind):
    x, y = small()
    feature = make(kind)
    again = clone(feature)
    assert again.get_params() == feature.get_params()
    before = {name: repr(value) for name, value in feature.get_params().items()}
    found = feature.fit_transform(x)
    assert {name: repr(value) for name, value in feature.get_params().items()} == before, "fit leaves the options alone"
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(again.fit(x).transform(x), found)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(feature)).transform(x), found)  # noqa: S301 - our own bytes
    np.testing.assert_allclose(feature.transform(x[5:9]), found[5:9], atol=1e-5)
    assert len(feature.get_feature_names_out()) == found.shape[1]
    assert make_pipeline(make(kind), LinearClassifier(alpha=1e-3)).fit(x, y).predict(x).shape == y.shape


@pytest.mark.parametrize("kind", FEATURES, ids=lambda kind: kind.__name__)
def test_features_refuse_bad_pictures_each_in_its_own_words(kind):
    x, _ = small()
    feature = make(kind).fit(x)
    strange = (x / 255.0).copy()
    strange[3, 7] = np.nan
    for bad, words in (
        (strange, "contains NaN or infinity: 1 values, the first .NaN. in row 3"),
        (x.astype(np.float64), "pixels run from 0 to 25"),
        (x[:, :-1], "features"),
        (x[0], "1D"),
    ):
        with pytest.raises(ValueError, match=words):
            feature.transform(bad)
    with pytest.raises(ArgumentError, match="C x H x W = 768"):
        kind(image_shape=(3, 16, 15)).fit(x)


def test_square_pictures_need_no_shape_and_others_do():
    x, _ = small()
    np.testing.assert_array_equal(HOG().fit_transform(x), HOG(image_shape=(3, 16, 16)).fit_transform(x))
    with pytest.raises(ArgumentError, match="no square picture"):
        HOG().fit(x[:, :-3])


@pytest.mark.parametrize("estimator", [*CLASSIFIERS, MLP(epochs=1, widths=(4,))], ids=str)
def test_classifiers_refuse_one_class_and_nan(estimator):
    x = np.random.default_rng(0).random((6, 4))
    with pytest.raises(ArgumentError, match="one class only"):
        clone(estimator).fit(x, np.zeros(6))
    x[2, 1] = np.inf
    with pytest.raises(ArgumentError, match="row 2"):
        clone(estimator).fit(x, np.arange(6) % 2)


def test_cross_validation_and_grid_search():
    x, y = small(n=40)
    pipeline = make_pipeline(HOG(image_shape=(3, 16, 16)), LinearClassifier(alpha=1e-2))
    assert cross_val_score(pipeline, x, y, cv=4).mean() > 0.9
    search = GridSearchCV(pipeline, {"hog__cell": [4, 8], "linearclassifier__loss": ["softmax", "squared-hinge"]}, cv=2).fit(x, y)
    assert search.best_score_ > 0.9


def test_mlp_parts_what_no_line_parts_and_repeats_itself():
    state = np.random.default_rng(0)
    x = state.uniform(-1, 1, size=(200, 2))
    y = np.array(["same", "different"])[(x[:, 0] * x[:, 1] < 0).astype(int)]
    first, again = (MLP((32,), epochs=30, batch=40, lr=0.05, smoothing=0, random_state=3).fit(x, y) for _ in range(2))
    assert first.score(x, y) > 0.95
    assert LinearClassifier(alpha=1e-4).fit(x, y).score(x, y) < 0.7
    np.testing.assert_array_equal(first.scores(x), again.scores(x))
    np.testing.assert_allclose(first.predict_proba(x).sum(axis=1), 1)
    hidden = np.maximum(
        (x - first.mean_) / first.spread_ @ first.network_.fc1.weight.detach().double().numpy().T + first.network_.fc1.bias.tolist(), 0
    )
    by_hand = hidden @ first.network_.fc2.weight.detach().double().numpy().T + first.network_.fc2.bias.tolist()
    np.testing.assert_allclose(first.scores(x), by_hand, atol=1e-4)


@pytest.mark.parametrize("registry", [features, estimators, baselines], ids=lambda registry: registry.kind)
def test_the_source_tells_what_importing_gives(registry):
    assert registry.names()
    for entry in registry:
        live = registry.get(entry.name)
        assert live.registered == {"name": entry.name, "help": entry.help, "facts": entry.facts}
        if registry is not baselines:
            assert "image_shape" in entry.signature.names
            assert getattr(classical, live.__name__) is live
        else:
            assert set(entry.facts) == {"group", "quick"}
