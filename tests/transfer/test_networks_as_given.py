"""Networks as people write them, given as modules: for other classes, with the head anywhere, stopped in the middle."""

import numpy as np
import pytest
import torch
from torch import nn

import striate as st
from striate.core.errors import ArgumentError
from striate.data import arrays
from striate.probe import activations
from striate.surgery import notes
from striate.training.session import Quiet
from striate.transfer import fine_tune
from striate.transfer.depths import depths
from striate.transfer.outputs import with_outputs
from striate.transfer.shift import domain_shift
from striate.zoo.coded import coded


class Plain(nn.Module):
    """Two convolutions and a head for ten classes; `forward` calls functions beside the modules."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.fc = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1), nn.Linear(8, 10)

    def forward(self, x):
        return self.fc(self.two(self.one(x).relu()).relu().mean((2, 3)))


class HeadFirst(Plain):
    def __init__(self):
        super().__init__()
        body = self.one
        del self.one
        self.one = body


class Both(Plain):
    """Gives its logits in a dict beside others."""

    def forward(self, x):
        return {"other": x, "logits": super().forward(x)}


class Wide(Plain):
    """Casts itself and its input to double precision."""

    def __init__(self):
        super().__init__()
        self.double()

    def forward(self, x):
        return super().forward(x.double())


class Helped(Plain):
    """A helper with a batch norm of its own, registered last and called in training alone."""

    def __init__(self):
        super().__init__()
        self.norm, self.helper = nn.BatchNorm2d(6), nn.Sequential(nn.Conv2d(6, 4, 1), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.aside = nn.Linear(4, 10)

    def forward(self, x):
        middle = self.norm(self.one(x)).relu()
        logits = self.fc(self.two(middle).relu().mean((2, 3)))
        return (logits, self.aside(self.helper(middle))) if self.training else logits


class Tokens(nn.Module):
    """A class token and positions at the top, a layer called twice, one that gives a tuple, and a forward pass that cannot be followed."""

    def __init__(self):
        super().__init__()
        self.patch, self.token = nn.Conv2d(3, 8, 4, stride=4), nn.Parameter(torch.zeros(1, 1, 8))
        self.again, self.lstm, self.mix, self.fc = nn.Linear(8, 8), nn.LSTM(8, 8, batch_first=True), nn.Linear(8, 8), nn.Linear(8, 10)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        x = self.again(self.again(x).relu())
        return self.fc(self.mix(self.lstm(x)[0].amax(1)).relu())


class Stops(Quiet):
    """Interrupts after a step; keeps what is told."""

    def __init__(self, at=None):
        self.at, self.said = at, []

    def stepped(self, step, *, samples, loss):
        if step == self.at:
            raise KeyboardInterrupt

    def note(self, text):
        self.said.append(text)


def given(kind):
    torch.manual_seed(0)
    return kind().eval()


def pictures(count, seed=0):
    """Return `count` noisy pictures with a bright band whose place says the class, and the classes."""
    x, y = np.random.default_rng(seed).integers(0, 60, (count, 3, 16, 16)), np.arange(count) % 3
    for picture, label in zip(x, y, strict=True):
        picture[label, 4 * label : 4 * label + 6] += 120
    return x.astype(np.uint8), y


def blobs():
    return arrays(*pictures(60), val=pictures(24, seed=1), name="blobs")


SHORT = {"epochs": 1, "batch": 20}


@pytest.mark.parametrize("kind", [Plain, HeadFirst, Both, Helped])
def test_a_network_for_other_classes_gets_a_head_for_these(kind, tmp_path):
    model, told = given(kind), Stops()
    run = fine_tune(model, blobs(), strategy="finetune", settings_of_recipe=SHORT, folder=tmp_path / "run", precision="fp32", progress=told)
    assert run.model.fc.out_features == 3
    assert model.fc.out_features == 10, "the network that was given stays as it is"
    said = "fc is fresh, for 3 classes where it had 10: it needs training"
    assert said in told.said
    assert said in run.facts["transfer"]["notes"]
    assert st.evaluate(run, blobs(), split="val").shares.shape == (24, 3)
    assert bool(run.recipe.freeze) == (kind in (Plain, Both)), "what is frozen stands before the head"


def test_a_head_that_fits_is_kept_and_one_that_cannot_be_exchanged_is_told():
    model = given(Plain)
    assert with_outputs(model, tuple("abcdefghij"), (3, 16, 16)) is model
    with pytest.raises(ArgumentError, match=r"mynets:plain has 10 outputs for the 3 classes of the data; let its factory take `classes`"):
        with_outputs(model, ("a", "b", "c"), (3, 16, 16), name="mynets:plain")
    normed = nn.Sequential(model, nn.BatchNorm1d(10)).eval()
    with pytest.raises(ArgumentError, match="has 10 outputs for the 3 classes of the data, and its head cannot be exchanged"):
        with_outputs(normed, ("a", "b", "c"), (3, 16, 16))
    assert notes(with_outputs(model, ("a", "b"), (3, 16, 16)))


def test_a_stopped_run_knows_that_it_was_a_transfer(tmp_path):
    model, folder = given(Plain), tmp_path / "run"
    how = {"strategy": "finetune", "settings_of_recipe": SHORT, "folder": folder, "precision": "fp32"}
    with pytest.raises(KeyboardInterrupt):
        fine_tune(model, blobs(), progress=Stops(at=2), **how)
    stopped = st.Run(folder)
    assert stopped.state == "stopped"
    assert stopped.facts["transfer"]["strategy"] == "finetune"
    assert stopped.facts["python"].startswith("st.fine_tune(")
    whole = with_outputs(given(Plain), blobs().classes, (3, 16, 16))
    run = st.resume(folder, model=whole, data=blobs())
    assert run.state == "finished"
    assert run.facts["transfer"]["weights"] == "the network as it was given"
    with pytest.raises(ArgumentError):
        fine_tune(model, blobs(), strategy="finetune", settings_of_recipe={"epochs": -1}, folder=tmp_path / "never")
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"strategy": "linear", "settings_of_recipe": SHORT}, "epochs, batch, but strategy 'linear' fits a head in closed form"),
        ({"strategy": "svm", "settings_of_recipe": SHORT}, "has no recipe"),
        ({"size": "a"}, "size: got 'a', expected a number of pixels"),
        ({"size": 0}, "size: got 0"),
    ],
)
def test_words_that_would_say_nothing_are_refused(how, words):
    with pytest.raises(ArgumentError, match=words):
        fine_tune(given(Plain), blobs(), **how)


def test_codes_are_taken_where_a_layer_is_called_once_and_gives_one_tensor():
    assert depths(given(Plain), shape=(3, 16, 16)) == ("one", "two")
    assert depths(given(HeadFirst), shape=(3, 16, 16)) == ("one", "two")
    assert depths(nn.DataParallel(given(Plain)), shape=(3, 16, 16)) == ("one", "two")
    assert depths(given(Helped), shape=(3, 16, 16)) == ("one", "norm", "two")
    assert domain_shift(given(Helped), blobs(), precision="fp32") > 0
    assert depths(given(Tokens), shape=(3, 16, 16)) == ("patch", "mix")
    with pytest.raises(ArgumentError, match="has no layers before its head that are called once"):
        depths(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), shape=(3, 2, 2))


@pytest.mark.parametrize("kind", [Tokens, Wide])
def test_a_head_on_codes_of_any_network_is_a_whole_run(kind, tmp_path):
    run = fine_tune(given(kind), blobs(), strategy="linear", folder=tmp_path / "run", precision="fp32", cache=False)
    again = st.evaluate(run, blobs(), split="val", views=run.recipe.views, precision="fp32")
    stored = np.load(tmp_path / "run" / "predictions" / "val.npz")
    np.testing.assert_allclose(again.shares, stored["shares"], atol=2e-4)


def test_a_trunk_that_cannot_be_followed_gives_what_its_layers_give():
    model, x = given(Tokens), torch.randn(4, 3, 16, 16)
    network = coded(model, ("patch", "mix"), 2, input=(3, 16, 16))
    wanted = activations(model, x, at=["patch", "mix"])
    with torch.no_grad():
        found = network.trunk(x)
    assert torch.equal(found[0], wanted["patch"])
    assert torch.equal(found[1], wanted["mix"])
    assert network.codes(x).shape == (4, 16)
