"""What is refused at the front doors and at the first step: one clear error, before anything of the network has changed."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from tests.training.test_own_networks import FAST, Locked, Net, Stop, same, stopped_and_resumed, weights
from torch import nn

from striate import zoo
from striate.core.errors import ArgumentError, StorageError, UnknownNameError
from striate.data import arrays
from striate.training import Run, ensemble, evaluate, resume, train
from striate.training.evaluation import logits_of
from striate.training.finder import find_rate
from striate.training.outputs import heads_in, logits_in


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (32, 1, 8, 8)).astype(np.uint8)
    return arrays(x, np.arange(32) % 3, test=(x[:9], np.arange(9) % 3))


class Named(Net):
    """Logits in a dict, beside what is none."""

    def forward(self, x):
        codes = self.codes(x)
        return {"features": codes, "logits": self.fc(codes)}


class Nameless(Net):
    def forward(self, x):
        return {"scores": super().forward(x)}


class Listed(Net):
    def forward(self, x):
        return [super().forward(x)]


class WithFeatures(Net):
    def forward(self, x):
        codes = self.codes(x)
        return self.fc(codes), codes


class Spatial(Net):
    def forward(self, x):
        return self.fc(self.codes(x))[:, :, None, None].expand(-1, -1, 2, 2)


class Unflattened(Net):
    def forward(self, x):
        return self.fc(self.codes(x))[:, :, None, None]


class Coloured(Net):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)


class TwoArguments(Net):
    def forward(self, x, mask):
        return super().forward(x * mask)


class Detached(Net):
    def forward(self, x):
        return super().forward(x).detach()


class Lazy(Net):
    def __init__(self):
        super().__init__()
        self.fc = nn.LazyLinear(3)


class ExtraState(Net):
    def get_extra_state(self):
        return {"calls": 3}

    def set_extra_state(self, state):
        pass


class Writing(Net):
    """A network that writes into its own input."""

    def forward(self, x):
        return super().forward(x.sub_(0.3).mul_(1.7))


class Lucky(Net):
    """A network that draws from NumPy and Python."""

    def forward(self, x):
        if self.training:
            x = x * float(np.random.uniform(0.5, 1.5)) + random.random() * 0.1  # noqa: NPY002, S311 - as users do
        return super().forward(x)


REFUSED = {
    "ten outputs": (lambda: Net(10), "it has 10 outputs for the 3 classes of the data"),
    "two outputs": (lambda: Net(2), "it has 2 outputs for the 3 classes of the data"),
    "one output": (lambda: Net(1), "it has 1 output for the 3 classes of the data; two classes too need"),
    "features": (WithFeatures, "logits of 8 x 3 and beside them 8 x 8"),
    "dict": (Nameless, "a dict of 'scores', none of them 'logits'"),
    "list": (Listed, "it returns a list, expected logits N K"),
    "maps": (Spatial, r"its output is 8 x 3 x 2 x 2, expected N K.*AdaptiveAvgPool2d"),
    "unflattened": (Unflattened, r"its output is 8 x 3 x 1 x 1, expected N K.*end it with nn\.Flatten"),
    "channels": (Coloured, "Coloured raises RuntimeError on a batch of 8 x 1 x 8 x 8: .*3 channels"),
    "arguments": (TwoArguments, "TwoArguments raises TypeError on a batch of .*'mask'.*forward no other argument"),
    "detached": (Detached, "the output of Detached hangs on no weight that learns"),
    "lazy": (Lazy, r"fc\.weight is lazy"),
    "extra state": (ExtraState, r"ExtraState keeps a dict beside its tensors \(get_extra_state\)"),
    "class": (lambda: Net, r"got the class Net, expected a network; call it first: Net\(\.\.\.\)"),
    "function": (lambda: len, "got the function len, expected a torch.nn.Module"),
    "none": (lambda: None, "got None, expected a torch.nn.Module"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_network_not_made_for_the_data_is_refused_before_it_changes(data, tmp_path, case):
    make, text = REFUSED[case]
    net = make()
    with pytest.raises(ArgumentError, match=text):
        train(net, data, folder=tmp_path / "run", **FAST)
    if case not in ("lazy", "class", "function", "none"):
        fresh = make().state_dict()
        assert all(torch.equal(value, fresh[name]) for name, value in net.state_dict().items() if isinstance(value, torch.Tensor))


def test_find_rate_explains_a_network_that_does_not_take_the_pictures(data):
    with pytest.raises(ArgumentError, match="Coloured raises RuntimeError"):
        find_rate(Coloured(), data, precision="fp32", device="cpu")
    with pytest.raises(ArgumentError, match="it has 2 outputs for the 3 classes"):
        find_rate(Net(2), data, precision="fp32", device="cpu")
    with pytest.raises(ArgumentError, match="the search trains a copy, and Locked cannot be copied"):
        find_rate(Locked(), data, precision="fp32", device="cpu")


def test_logits_in_a_dict_are_trained_evaluated_and_seen_twice(data, tmp_path):
    plain = train(Net(), data, folder=tmp_path / "plain", **FAST)
    named = train(Named(), data, folder=tmp_path / "named", settings={"views": "mirror"}, **FAST)
    assert same(weights(plain), weights(named))
    first, second = (evaluate(run, data, views="mirror", device="cpu", precision="fp32").figures for run in (plain, named))
    assert first == second


def test_logits_of_outputs():
    logits, aux = torch.rand(2, 3), torch.rand(2, 3)
    assert logits_in((logits, aux)) is logits
    assert logits_in({"logits": logits}) is logits
    assert heads_in((logits, None, aux)) == (logits, aux)
    with pytest.raises(ArgumentError, match="a tuple that begins with a list"):
        logits_in(([logits],))
    with pytest.raises(ArgumentError, match="beside them a list"):
        heads_in((logits, [aux]))


def test_a_step_of_one_sample_says_what_a_batch_norm_needs(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (5, 1, 8, 8)).astype(np.uint8)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    with pytest.raises(ArgumentError, match="a step has 1 sample, too few for a batch norm"):
        train(net, arrays(x, np.arange(5) % 2), folder=tmp_path / "run", **FAST | {"batch": 2})


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_of_doubles_gets_doubles(data, tmp_path, precision):
    more = FAST | {"precision": precision}
    run = train(Net().double(), data, folder=tmp_path / "run", **more)
    assert weights(run)["fc.weight"].dtype == torch.float64
    assert evaluate(run, data, device="cpu", precision=precision).figures == run.result["splits"]["test"]
    assert evaluate(Net().double(), data, views="six", device="cpu", precision=precision).shares.shape == (9, 3)


def test_numpys_and_pythons_numbers_are_the_runs_own(data, tmp_path):
    runs = []
    for number in range(2):
        random.seed(number)
        np.random.seed(number)  # noqa: NPY002
        runs.append(train(Lucky(), data, folder=tmp_path / str(number), **FAST))
    assert same(weights(runs[0]), weights(runs[1]))
    random.seed(7)
    assert same(weights(runs[0]), weights(stopped_and_resumed(Lucky, data, tmp_path / "stopped")))
    drawn = random.random()  # noqa: S311
    random.seed(7)
    assert drawn == random.random(), "the caller's own stream goes on as it was"  # noqa: S311


@pytest.mark.parametrize("views", ["mirror", "six"])
def test_a_network_that_writes_into_its_input_sees_each_view_whole(views):
    x = torch.rand(3, 1, 8, 8)
    kept = x.clone()

    class Still(Net):
        def forward(self, x):
            return super().forward((x - 0.3) * 1.7)

    with torch.no_grad():
        torch.testing.assert_close(logits_of(Writing().eval(), x, views), logits_of(Still().eval(), kept, views))
    assert torch.equal(x, kept)


def test_views_that_are_none_and_pictures_too_small_for_six(data, tmp_path):
    with pytest.raises(UnknownNameError, match="unknown views 'foo'"):
        evaluate(Net(), data, views="foo")
    with pytest.raises(UnknownNameError, match="unknown views 'foo'"):
        logits_of(Net(), torch.zeros(1, 1, 8, 8), "foo")
    dots = arrays(np.zeros((6, 1, 1, 1), np.uint8), np.arange(6) % 2)
    with pytest.raises(ArgumentError, match="views: six shifts pictures by one pixel, and these are 1 x 1"):
        train(nn.Sequential(nn.Flatten(), nn.Linear(1, 2)), dots, folder=tmp_path / "run", settings={"views": "six"})
    assert not (tmp_path / "run").exists(), "refused before anything is on disk"


WORDS = {
    "save_seconds": ({"save_seconds": "x"}, "save_seconds: got 'x', expected seconds"),
    "task": ({"task": 3}, "task: got 3, expected a name"),
    "settings": ({"settings": ["mirror"]}, r"settings: got \['mirror'\], expected fields of the recipe"),
    "seed": ({"seed": "a"}, "seed: got 'a', expected a whole number"),
    "device": ({"device": 1.5}, r"device: got 1\.5, expected auto"),
}


@pytest.mark.parametrize("word", WORDS)
def test_words_of_the_wrong_kind(data, tmp_path, word):
    more, text = WORDS[word]
    with pytest.raises(ArgumentError, match=text):
        train("lenet5", data, folder=tmp_path / "run", **more)
    assert not (tmp_path / "run").exists()


def test_a_torch_device_is_a_device(data, tmp_path):
    run = train(Net(), data, folder=tmp_path / "run", **FAST | {"device": torch.device("cpu")})
    assert run.facts["device"] == "cpu"
    assert evaluate(run, data, device=torch.device("cpu")).figures["n"] == 9
    with pytest.raises(ArgumentError, match="cuda:99"):
        evaluate(run, data, device=99)


def test_a_folder_that_cannot_be_made(data, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"folder: .*file/run cannot be made"):
        train(Net(), data, folder=tmp_path / "file" / "run")


def test_a_run_json_that_says_nothing(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({}))
    with pytest.raises(StorageError, match=r"run\.json: says no state"):
        Run.load(tmp_path)
    with pytest.raises(StorageError, match=r"run\.json: says no state"):
        resume(tmp_path)


def test_what_evaluate_and_ensemble_take(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (32, 1, 12, 12)).astype(np.uint8)
    data = arrays(x, np.arange(32) % 3, test=(x[:9], np.arange(9) % 3))
    run = train("lenet5", data, folder=tmp_path / "run", **FAST)
    folder = str(tmp_path / "run")
    assert evaluate(folder, data).figures == evaluate(run, data).figures == pytest.approx(ensemble([folder], data).figures, rel=1e-5)
    with pytest.raises(ArgumentError, match="model: got 'lenet5', and no such folder exists"):
        evaluate("lenet5", data)
    with pytest.raises(ArgumentError, match="got the class Net"):
        evaluate(Net, data)
    with pytest.raises(ArgumentError, match="it has 2 outputs for the 3 classes"):
        evaluate(Net(2), data)
    with pytest.raises(ArgumentError, match="Coloured raises RuntimeError"):
        evaluate(Coloured(), data)
    with pytest.raises(ArgumentError, match="runs: got a Net, expected a run"):
        ensemble([Net()], data)
    with pytest.raises(ArgumentError, match="name: got the class Net, expected the name"):
        zoo.build(Net, classes=2, input=(1, 8, 8))


def test_a_linear_run_of_ones_own_network_is_opened_again(data, tmp_path):
    from striate.transfer import fine_tune

    run = fine_tune(Net(), data, strategy="linear", folder=tmp_path / "run", cache=False, device="cpu", precision="fp32")
    again = Run.load(tmp_path / "run", model=Net())
    assert evaluate(again, data, device="cpu", precision="fp32").figures == evaluate(run, data, device="cpu", precision="fp32").figures
    assert again.best is not None


def test_the_last_epoch_does_not_end_early(tmp_path):
    x = np.zeros((12, 1, 8, 8), np.uint8)
    data = arrays(x, np.arange(12) % 3, val=(x[:6], np.arange(6) % 3))
    told = []

    class Told(Stop):
        def note(self, text):
            told.append(text)

    for epochs in (2, 3):
        run = train(
            Net(), data, folder=tmp_path / str(epochs), progress=Told(-1), settings={"early_stop": 1, "lr": 1e-9}, **FAST | {"epochs": epochs}
        )
        assert len(run.history) == 2
        assert bool(told) == (epochs == 3)
