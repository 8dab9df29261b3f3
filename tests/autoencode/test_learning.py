"""Training, judging, stacking, pre-training and the comparison with few labels, on tiny pictures; figures recomputed by hand."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from skimage.metrics import peak_signal_noise_ratio
from torch import nn

import striate as st
from striate import autoencode, zoo
from striate.autoencode.learning import pixels_of
from striate.core.errors import ArgumentError, DataError, StorageError
from striate.core.runtime import derived_seed
from striate.core.tensors import load_tensors
from striate.training import Run
from striate.training.session import Quiet


@pytest.fixture(scope="module")
def digits():
    """400 of scikit-learn's digits, as they are stored."""
    data = st.data.load("digits")
    tables = {name: table.take(np.arange(300 if name == "train" else 100)) for name, table in data.tables.items()}
    return replace(data, tables=tables, spec=None)


@pytest.fixture(scope="module")
def denoised(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "denoised"
    options = {"code": 20, "widths": (40,), "noise": "gaussian", "amount": 0.2}
    return autoencode.train(None, digits, options=options, epochs=3, lr=5e-3, folder=folder, seed=1)


def pixels(data, split):
    return torch.cat([batch.x for batch in pixels_of(data).split(split).batches(1000, epoch=0, seed=0)])


def test_psnr_by_the_formula_and_as_scikit_image_has_it():
    a, b = np.zeros((2, 1, 4, 4)), np.full((2, 1, 4, 4), 0.1)
    assert autoencode.psnr(a, b) == pytest.approx(20.0)
    draw = np.random.default_rng(0)
    x, y = draw.random((3, 8, 8)), draw.random((3, 8, 8))
    assert autoencode.psnr(x, y) == pytest.approx(peak_signal_noise_ratio(x, y, data_range=1))
    assert autoencode.psnr(x * 255, y * 255, peak=255) == pytest.approx(autoencode.psnr(x, y))
    assert autoencode.psnr(x, x) == math.inf
    with pytest.raises(ArgumentError, match="expected the same"):
        autoencode.psnr(x, y[:2])


def test_the_runs_figure_is_the_error_of_what_its_network_gives_back(digits, denoised):
    x = pixels(digits, "test")
    with torch.no_grad():
        rebuilt = denoised.model(x)
    assert denoised.task.name == "reconstruct"
    figure = denoised.result["splits"]["test"]["loss"]
    assert figure == pytest.approx(float((rebuilt - x).square().mean()), rel=0.02)  # the run may have been judged in bf16
    assert not list((denoised.folder / "predictions").glob("*")), "whole pictures are not kept"
    assert Run.load(denoised.folder).build().code_size == 20


def test_what_is_judged_is_recomputed(digits, denoised):
    found = autoencode.Reconstruction.load(denoised.folder)
    clean, known = pixels(digits, "test"), pixels(digits, "train")
    order = torch.randperm(len(clean), generator=torch.Generator().manual_seed(0))
    assert found.n == len(clean) == len(order)
    with torch.no_grad():
        assert found.figures["model"] == pytest.approx(autoencode.psnr(clean, denoised.model(clean)), abs=1e-3)
    mean = known.mean(0, keepdim=True).expand_as(clean)
    assert found.figures["mean"] == pytest.approx(autoencode.psnr(clean, mean), abs=1e-3)
    basis = autoencode.principal(known.flatten(1).numpy())
    by_pca = np.clip(basis.rebuilt(clean.flatten(1).numpy(), 20), 0, 1)
    assert found.figures["PCA"] == pytest.approx(autoencode.psnr(clean.flatten(1), by_pca), abs=1e-3)
    assert found.cleaned["noisy"] == pytest.approx(-20 * math.log10(0.2), abs=0.1), "noise of deviation 0.2 is 14 dB"
    assert found.gain["noisy"] == pytest.approx(found.cleaned["model"] - found.cleaned["noisy"])
    assert found.cleaned[f"PCA, {int(found.cleaned['best'])}"] >= found.cleaned["PCA, 20"] - 0.3
    assert found.codes.shape == (100, 20)
    assert set(found.pictures) >= {"original", "noisy", "model", "PCA, 20"}


def test_the_page_tells_it(denoised):
    page = st.report(denoised).read_text()
    found = autoencode.Reconstruction.load(denoised.folder)
    assert found.title in page
    assert f"{found.cleaned['model']:.1f}" in page
    for words in ("as many as the code has numbers", "Where the codes lie", "What the first layer looks for", "st.autoencode.train(None, data"):
        assert words in page
    for name in ("reconstruction.npz", "reconstruction.json"):
        assert name in page


def test_a_broken_record_is_said(denoised, tmp_path):
    (tmp_path / "reconstruction.json").write_text((denoised.folder / "reconstruction.json").read_text())
    (tmp_path / "reconstruction.npz").write_bytes(b"no")
    with pytest.raises(StorageError, match="cannot be read"):
        autoencode.Reconstruction.load(tmp_path)


def test_pictures_without_labels_learn_and_are_measured(tmp_path):
    draw = np.random.default_rng(0)
    data = st.data.arrays(draw.random((60, 1, 6, 6), np.float32), val=(draw.random((20, 1, 6, 6), np.float32), None))
    run = autoencode.train(None, data, options={"code": 3}, epochs=2, folder=tmp_path / "run")
    assert all("val/loss" in row for row in run.history)
    assert autoencode.Reconstruction.load(run.folder).labels is None
    st.report(run)


def test_large_pictures_are_judged_in_seconds_and_by_the_components_there_are(tmp_path):
    x = np.random.default_rng(0).random((6, 3, 64, 64)).astype(np.float32)
    told = []

    class Told(Quiet):
        def note(self, text):
            told.append(text)

    began = time.perf_counter()
    how = {"epochs": 1, "batch": 6, "folder": tmp_path / "run", "progress": Told()}
    run = autoencode.train(None, st.data.arrays(x), options={"code": 32}, **how)
    found = autoencode.Reconstruction.load(run.folder)
    assert time.perf_counter() - began < 60, "by the covariance it was minutes and 5 GB"
    assert (found.code, found.components, found.fitted) == (32, 5, 6), "six centred pictures have five components"
    assert "clean, through 5 principal components" in found.rows()
    assert found.figures["PCA"] > 100, "they give the pictures back that they were found from"
    assert not told, "nothing here takes long"


def test_what_takes_long_is_announced_and_what_is_cleaned_is_compared_with_all_components(monkeypatch):
    monkeypatch.setattr(autoencode.judging, "LONG", 10)
    told = []

    class Told(Quiet):
        def note(self, text):
            told.append(text)

    x = np.random.default_rng(0).random((12, 1, 8, 8)).astype(np.float32)
    model = autoencode.autoencoder((1, 8, 8), code=20)
    found = autoencode.judge(model, st.data.arrays(x), noise="masking", progress=Told())
    assert told == ["measuring beside PCA, which is found from 12 training pictures of 64 numbers: this takes a while"]
    assert any(name.startswith("cleaned by 11 principal components") and "as many as the code" not in name for name in found.rows())
    assert found.cleaned["best"] <= 11


def test_one_is_told_as_one():
    x = np.random.default_rng(0).random((12, 1, 8, 8)).astype(np.float32)
    found = autoencode.judge(autoencode.autoencoder((1, 8, 8), code=1), st.data.arrays(x))
    assert found.title.startswith("1 number gives back a picture ")
    assert found.title.endswith(" 1 principal component")
    assert "clean, through 1 principal component" in found.rows()


def test_the_count_that_cleans_best_is_the_best_of_all_tried():
    draw = np.random.default_rng(0)
    x = torch.from_numpy(np.clip(0.5 + 0.2 * draw.normal(size=(80, 4)) @ draw.normal(size=(4, 36)), 0, 1).astype(np.float32)).view(80, 1, 6, 6)
    basis = autoencode.principal(x.flatten(1).numpy())
    best = autoencode.judging._best_count(basis, x, "gaussian", 0.2, seed=3)
    noisy = autoencode.corrupted(x, "gaussian", 0.2, seed=derived_seed(3, 4)).flatten(1).numpy()
    known = {k: autoencode.psnr(x.flatten(1), basis.rebuilt(noisy, k).clip(0, 1)) for k in (1, 2, 3, 4, 5, 6, 7, 8, 9, 36)}
    assert best == max(known, key=known.__getitem__)


def test_a_stopped_run_goes_on_to_the_same_bits(digits, tmp_path):
    class Killed(BaseException):
        """Stands for a process that vanishes."""

    class Vanish(Quiet):
        def stepped(self, step, *, samples, loss):
            if len(Run.load(tmp_path / "half").history) == 1:
                raise Killed

    how = {"options": {"code": 4, "noise": "masking"}, "epochs": 3}
    whole = autoencode.train(None, digits, folder=tmp_path / "whole", **how)
    with pytest.raises(Killed):
        autoencode.train(None, digits, folder=tmp_path / "half", progress=Vanish(), **how)
    assert not (tmp_path / "half" / "weights.safetensors").exists()
    with pytest.raises(Killed):  # once more, and within training
        autoencode.resume(tmp_path / "half", data=digits, progress=Vanish())
    again = autoencode.resume(tmp_path / "half", data=digits)
    assert len(again.history) == 3
    figures = [(folder / "reconstruction.json").read_bytes() for folder in (whole.folder, again.folder)]
    assert figures[0] == figures[1], "what training measures is measured after a resumed one too"
    (again.folder / "reconstruction.json").unlink()  # killed while it was measured
    autoencode.resume(again.folder, data=digits)
    assert (again.folder / "reconstruction.json").read_bytes() == figures[0]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_text_is_refused(tmp_path):
    (tmp_path / "lines.txt").write_text("1\tgood\n0\tbad\n" * 30)
    with pytest.raises(DataError, match="is text"):
        autoencode.train(None, str(tmp_path / "lines.txt"))


@pytest.fixture(scope="module")
def stacked(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stack") / "run"
    options = {"code": 6, "widths": (30,), "activation": "sigmoid", "tied": True}
    return autoencode.stack(None, digits, options=options, recipe=autoencode.stacking.LAYERS.edited(lr=0.01), epochs=20, fine_tune=4, folder=folder)


class TestStack:
    def test_each_layers_turn_is_a_run_and_has_its_pictures(self, stacked):
        assert [layer.name for layer in stacked.layers] == ["fc1", "code"]
        for layer in stacked.layers:
            assert Run.load(layer.folder).state == "finished"
        found = autoencode.Reconstruction.load(stacked.run.folder)
        assert {"layer 1", "layers 1 to 2"} <= set(found.pictures)
        assert found.layers[1]["psnr"] == pytest.approx(stacked.before, abs=0.1), "the last layer's turn ends with the whole"
        assert "Layer by layer" in st.report(stacked.run).read_text()

    def test_layers_learned_before_the_whole_did(self, digits, stacked):
        mean = autoencode.judge(stacked.model, digits).figures["mean"]
        assert stacked.layers[0].psnr > mean + 0.5
        assert stacked.after > mean

    def test_a_layer_sees_the_codes_of_those_below(self, digits, tmp_path):
        model = autoencode.autoencoder((1, 16, 16), widths=(12,), code=3, activation="sigmoid")
        seen = []
        model.encoder.get_submodule("code").register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].detach().clone()))
        stacked = autoencode.stack(model, digits, epochs=1, fine_tune=0, folder=tmp_path / "run", precision="fp32")
        assert stacked.run is None
        with torch.no_grad():
            below = torch.nn.Sequential(*list(model.encoder)[:3])(pixels(digits, "train"))
        distance = (seen[0][:, None] - below).abs().amax(2).amin(1)
        assert distance.max() < 1e-5, "each row of the first batch is the code of some training picture"


class TestPretraining:
    def net(self, name="mlp", **options):
        torch.manual_seed(0)
        return zoo.build(name, classes=10, input=(1, 16, 16), options=options or {"widths": (30, 20), "activation": "sigmoid"})

    @pytest.mark.parametrize("method", ["greedy", "whole", "boltzmann"])
    def test_the_trunk_learns_and_the_head_stays(self, digits, method):
        model = self.net().train()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        found = autoencode.pretrain(model, digits, method=method, epochs=2)
        changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
        assert changed == {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}
        assert found.model is model
        assert model.training
        assert found.layers == ("fc1", "fc2")
        assert len(found.losses) == (1 if method == "whole" else 2)
        assert not any(parameter.grad is not None and not torch.isfinite(parameter.grad).all() for parameter in model.parameters())

    def test_the_trunk_has_the_weights_that_learned_to_give_back(self, digits, tmp_path):
        model = self.net()
        found = autoencode.pretrain(model, digits, epochs=15, recipe=autoencode.stacking.LAYERS.edited(lr=0.01), folder=tmp_path)
        for run, layer in zip(found.runs, found.layers, strict=True):
            learned = load_tensors(run.folder / "weights.safetensors")[0]
            assert torch.equal(learned[f"encoder.{layer}.weight"], model.get_submodule(layer).weight)
            losses = [row["train/loss"] for row in run.history]
            assert losses[-1] < 0.6 * losses[0]
        assert found.losses[0] == found.runs[0].history[-1]["train/loss"] < 0.5, "standardised pixels have variance 1"

    def test_convolutions_are_mirrored_too(self, digits, tmp_path):
        net = zoo.build("lenet5", classes=10, input=(1, 16, 16))
        found = autoencode.pretrain(net, digits, epochs=1, folder=tmp_path)
        assert found.layers[:2] == ("conv1", "conv2")
        assert all(run.state == "finished" for run in found.runs)

    def test_what_cannot_be_pretrained_is_refused(self, digits):
        with pytest.raises(ArgumentError, match=r"plain chain|chain of layers"):
            autoencode.pretrain(zoo.build("resnet20", classes=10, input=(3, 16, 16)), digits)
        with pytest.raises(ArgumentError, match="one before the head is needed"):
            autoencode.pretrain(nn.Sequential(nn.Flatten(), nn.Linear(256, 10)), digits)
        with pytest.raises(ArgumentError, match="Did you mean greedy"):
            autoencode.pretrain(self.net(), digits, method="gredy")
        with pytest.raises(ArgumentError, match="linear layers followed by sigmoids; act1 is ReLU"):
            autoencode.pretrain(self.net(widths=(8,), activation="relu"), digits, method="boltzmann")


class TestFewLabels:
    def test_the_interval_is_students_over_paired_differences(self):
        found = autoencode.Comparison(100, (0.30, 0.28, 0.35), (0.25, 0.26, 0.29))
        differences = np.array([0.05, 0.02, 0.06])
        expected = stats.t.interval(0.95, 2, loc=differences.mean(), scale=stats.sem(differences))
        assert found.gain == pytest.approx(differences.mean())
        assert found.interval == pytest.approx(expected)
        assert "makes no clear difference" in str(found)
        assert "helps" in str(autoencode.Comparison(100, (0.30, 0.31, 0.32), (0.20, 0.21, 0.22)))
        json.dumps(found.to_json())

    def test_both_starts_are_measured_with_few_and_all_labels(self, digits):
        told = []
        small = {"pretraining": {"epochs": 1}, "options": {"widths": (20,)}, "steps": 12}
        found = autoencode.semi_supervised(digits, labels=(40, None), seeds=2, watch=told.append, **small)
        assert [c.labels for c in found] == [40, 300]
        assert all(len(c.random) == len(c.pretrained) == 2 for c in found)
        assert statistics_say_more_labels_help(found)
        assert len(told) == 2 * (1 + 4)
        again = autoencode.semi_supervised(digits, labels=(40,), seeds=1, **small)
        assert again[0].random[0] == found[0].random[0], "the same seed, the same figure"

    def test_counts_and_parts_are_checked(self, digits):
        with pytest.raises(ArgumentError, match="labels: got 5, expected 20"):
            autoencode.semi_supervised(digits, labels=(5,))
        with pytest.raises(DataError, match="needs labels in train, and a test part"):
            autoencode.semi_supervised(replace(digits, tables={"train": digits.tables["train"]}))


def statistics_say_more_labels_help(found):
    return np.mean(found[1].random) <= np.mean(found[0].random)
