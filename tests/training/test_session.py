"""What a run remembers: the data's options, the network's options, the command that does the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import striate as st
from striate import data as sources
from striate.core.contracts import Batch
from striate.core.errors import ArgumentError, StorageError
from striate.training import Run, recipes, tasks, train
from striate.training.session import Quiet, new_folder


class Killed(BaseException):
    """Stands for a process that vanishes."""


class Vanish(Quiet):
    def stepped(self, step, *, samples, loss):
        raise Killed


def test_a_run_opens_its_data_and_network_again_with_their_options(tmp_path):
    data = st.data.load("digits", options={"enlarge": 3})
    with pytest.raises(Killed):
        st.train("lenet5", data, folder=tmp_path / "run", epochs=0.2, options={"pool": "average"}, progress=Vanish())
    run = st.resume(tmp_path / "run")
    assert run.state == "finished"
    assert run.facts["data"]["shape"] == [1, 24, 24]
    assert run.facts["model"]["options"]["pool"] == "average"
    assert any(type(module).__name__ == "AvgPool2d" for module in run.model.modules())
    weights = tmp_path / "run" / "weights.safetensors"
    with pytest.raises(StorageError, match="pool is average there, max here"):
        st.zoo.build("lenet5", classes=10, input=(1, 24, 24), weights=weights)
    same = st.zoo.build("lenet5", classes=10, input=(1, 24, 24), options={"pool": "average"}, weights=weights)
    assert all(torch.equal(value, run.model.state_dict()[name]) for name, value in same.state_dict().items())


def test_the_printed_command_and_python_carry_every_choice(tmp_path):
    data = st.data.load("digits", options={"enlarge": 3})
    settings = {"smoothing": 0.2, "augment": ["shift(2)", "cutout(3)"]}
    run = st.train("lenet5", data, folder=tmp_path / "run", epochs=0.1, lr=0.01, seed=3, settings=settings, options={"pool": "average"})
    command = run.facts["command"]
    for part in ("striate train digits", "--data-option enlarge=3", "--model-option pool=average", "--lr 0.01", "--seed 3", "--set smoothing=0.2"):
        assert part in command
    assert "'augment=shift(2) cutout(3)'" in command
    told = run.facts["python"]
    assert "st.data.load('digits', options={'enlarge': 3})" in told
    assert compile(told, "run.json", "eval")


def test_options_are_checked_before_anything_is_made(tmp_path):
    with pytest.raises(ArgumentError, match="enlarge"):
        st.data.load("digits", options={"enlarg": 2})
    with pytest.raises(ArgumentError, match="cannot be set on data that are there already"):
        st.data.load(st.data.digits(), options={"enlarge": 2})
    with pytest.raises(ArgumentError, match="pool"):
        st.train("lenet5", "digits", folder=tmp_path / "run", options={"pol": "max"})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["pca", "zca"])
def test_whitening_travels_with_the_weights(tmp_path, kind):
    run = st.train("lenet5", "digits", folder=tmp_path / "run", epochs=1, settings={"whitening": kind})
    again = st.Run.load(run.folder)
    assert again.preprocess.tensors()
    assert st.evaluate(again, "digits").figures == pytest.approx(run.result["splits"]["test"])


def test_class_weights_reach_the_loss(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.array([0] * 90 + [1] * 10)
    data = st.data.arrays(rng.integers(0, 255, (100, 1, 16, 16), dtype=np.uint8), labels)
    job = tasks.make("classify", data, st.Recipe(class_weights=True))
    assert job.weights.tolist() == pytest.approx([100 / 180, 100 / 20])
    x, y = torch.randn(4, 2), torch.tensor([0, 1, 1, 0])
    batch = Batch(x, y, torch.arange(4))
    each = -x.log_softmax(1)[range(4), y]
    weights = job.weights[y]
    assert float(job.loss(x, batch)) == pytest.approx(float((each * weights).sum() / weights.sum()), rel=1e-5)


def test_auxiliary_heads_count_with_their_weight():
    x, aux, y = torch.randn(4, 3), torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    batch = Batch(x, y, torch.arange(4))
    expected = torch.nn.functional.cross_entropy(x, y) + 0.3 * torch.nn.functional.cross_entropy(aux, y)
    job = tasks.Classify()
    assert float(job.loss((x, aux), batch)) == pytest.approx(float(expected), rel=1e-6)
    assert torch.equal(job.decode((x, aux)), x.softmax(1))


def test_a_network_with_weights_of_its_own_resumes_from_them(tmp_path):
    def net():
        torch.manual_seed(99)
        return st.zoo.build("lenet5", classes=10, input=(1, 16, 16))

    whole = st.train(net(), "digits", folder=tmp_path / "whole", epochs=0.3)
    with pytest.raises(Killed):
        st.train(net(), "digits", folder=tmp_path / "killed", epochs=0.3, progress=Vanish())
    resumed = st.resume(tmp_path / "killed")
    for one, two in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, two)
    (tmp_path / "killed" / "last.safetensors").unlink()
    facts = json.loads((tmp_path / "killed" / "run.json").read_text())
    (tmp_path / "killed" / "run.json").write_text(json.dumps(facts | {"state": "running"}))
    with pytest.raises(ArgumentError, match="was given to train"):
        st.resume(tmp_path / "killed")


def test_a_bug_in_the_users_network_leaves_a_run_that_says_so(tmp_path):
    class Broken(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(256, 10)

        def forward(self, x):
            return self.fc(x)

    with pytest.raises(ArgumentError, match=r"Broken raises RuntimeError on a batch of .* x 1 x 16 x 16: .*shapes cannot be multiplied"):
        st.train(Broken(), "digits", folder=tmp_path / "run", epochs=0.1)
    run = st.Run.load(tmp_path / "run")
    assert run.state == "failed"
    assert "shapes cannot be multiplied" in run.facts["reason"]


def test_a_run_on_sentences_sizes_its_vectors_and_keeps_its_words(tmp_path):
    lines = [f"{word} {other}" for word in ("good fine", "bad poor") for other in ("film", "plot", "cast", "scene", "score")]
    path = tmp_path / "reviews.txt"
    path.write_text("".join(f"{'neg' if line.startswith('bad') else 'pos'}\t{line}\n" for line in lines))
    data = sources.load(path)
    run = train("text_cnn", data, epochs=2, batch=4, options={"width": 8, "filters": 4}, folder=tmp_path / "run")
    again = Run.load(tmp_path / "run")
    assert run.model.vectors.weight.shape == (len(data.preprocess), 8)
    assert again.preprocess.to_json() == data.preprocess.to_json()
    assert torch.equal(again.model.vectors.weight, run.model.vectors.weight)


def test_a_run_of_a_network_from_outside_lies_under_a_name_every_system_takes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = (new_folder(None, "pets", "timm:resnet18.a1_in1k") for _ in range(2))
    assert [str(first), str(second)] == [str(Path("runs") / f"pets-timm-resnet18.a1_in1k-{n}") for n in (1, 2)]
    assert new_folder(None, "pets", "my.nets:tiny") == Path("runs") / "pets-my.nets-tiny-1"


def test_the_name_of_a_folder_decides_neither_network_nor_recipe(tmp_path):
    for number in range(8):
        place = tmp_path / "digits" / ("ant" if number % 2 else "bee")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((64, 64, 3), 20 * number, np.uint8)).save(place / f"{number}.png")
    mine, theirs = st.data.load(tmp_path / "digits"), st.data.load("digits")
    assert (mine.name, recipes.known_as(mine)) == ("digits", "")
    assert (theirs.name, recipes.known_as(theirs)) == ("digits", "digits")
    assert recipes.default_model(recipes.known_as(mine), mine.shape) == "resnet18"
    assert recipes.default_model(recipes.known_as(theirs), theirs.shape) == "lenet5"


def test_few_pictures_of_ones_own_get_no_recipe_of_large_steps(tmp_path):
    for number in range(24):
        place = tmp_path / "small" / ("ant" if number % 2 else "bee")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), 10 * number, np.uint8)).save(place / f"{number}.png")
    mine = st.data.load(tmp_path / "small")
    assert recipes.default_model(recipes.known_as(mine), mine.shape) == "sprint32"
    assert recipes.samples_of(mine) == len(mine.tables["train"])
    run = st.train("sprint32", mine, epochs=0.1, folder=tmp_path / "run")
    assert (run.recipe.name, run.recipe.batch) == ("pictures", 32)
    for samples, name in ((9_999, "pictures"), (10_000, "cifar-sprint"), (None, "cifar-sprint")):
        assert recipes.default("sprint32", "", samples=samples).name == name
    assert recipes.default("sprint32", "cifar10", samples=50_000).name == "cifar-sprint"
    assert recipes.default("lenet5", "digits", samples=1_438).name == "digits"
    assert recipes.default("text_cnn", "", samples=20).name == "sentences"


def test_a_run_on_text_reads_other_text_by_its_own_words(tmp_path):
    for name, lines in (("mine", ["good fine film", "bad dull film"]), ("other", ["bad zebra film dull", "good zebra fine"])):
        (tmp_path / f"{name}.tsv").write_text("".join(f"{line.replace(' ', chr(9), 1)}\n" for line in lines * 10))
    run = st.train("text_cnn", str(tmp_path / "mine.tsv"), epochs=1, batch=8, folder=tmp_path / "run")
    other = st.data.load(str(tmp_path / "other.tsv"))
    found = st.evaluate(run, other, split="train")
    texts = other.tables["train"].store.texts
    tokens, _ = run.preprocess.encode(texts)
    with torch.no_grad():
        wanted = run.model(torch.from_numpy(tokens)).softmax(1)
    assert torch.allclose(torch.from_numpy(found.shares), wanted, atol=1e-2), "bf16 or not"
