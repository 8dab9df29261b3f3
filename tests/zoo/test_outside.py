"""Networks from outside: one's own factories, timm and torchvision, failures that say what to do, and files that may not run code."""

import importlib
import json

import pytest
import torch
from oracles import library
from torch import nn

from striate import zoo
from striate.core.contracts import ModelSpec
from striate.core.errors import ArgumentError
from striate.zoo import outside

NETS = """
import torch
from torch import nn

def small(classes, input, *, width=4):
    return nn.Sequential(nn.Flatten(), nn.Linear(input[0] * input[1] * input[2], width), nn.ReLU(), nn.Linear(width, classes))

class Coloured(nn.Sequential):
    def __init__(self, in_channels, num_classes):
        super().__init__(nn.Conv2d(in_channels, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, num_classes))

def fixed():
    return nn.Linear(2, 3)

def words(classes):
    return "a network"

def defaults(num_classes=3, channels=1):
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))

def shaped(classes=None, shape=(1, 5, 6)):
    return nn.Linear(shape[2], classes or 4)

def valued(classes):
    return nn.Linear(2, int(torch.tensor(float(classes)).item()))

def running(classes):
    raise RuntimeError("size 3 expected\\n  got 4")

def keyed(classes):
    return {}["width"]

ready = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
number = 3
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    name = f"nets_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    return name


def test_ones_own_factory_gets_what_it_asks_for(nets):
    model = zoo.build(f"{nets}:small", classes=["a", "b"], input=(1, 5, 6), options={"width": 7})
    assert [tuple(p.shape) for p in model.parameters()] == [(7, 30), (7,), (2, 7), (2,)]
    assert zoo.spec_of(model) == ModelSpec(f"{nets}:small", 2, (1, 5, 6), {"width": 7})
    assert zoo.build(f"{nets}:Coloured", classes=4, input=(2, 9, 9))(torch.zeros(3, 2, 9, 9)).shape == (3, 4)
    assert isinstance(zoo.build(f"{nets}:fixed", classes=4, input=(2, 9, 9)), nn.Linear)


@pytest.mark.parametrize(
    ("what", "options", "words"),
    [
        ("smal", {}, r"has no 'smal'\. Did you mean small"),
        ("words", {}, "returned str, expected an nn.Module"),
        ("number", {}, "is int, expected a function or class"),
        ("running", {}, r"nets_\w+:running could not be built, for its own code raised RuntimeError: size 3 expected got 4$"),
        ("keyed", {}, r"nets_\w+:keyed could not be built, for its own code raised KeyError: 'width'$"),
        ("ready", {"width": 3}, "is a network that is built already and takes no options, got width"),
        ("small", {"depth": 3}, "refuses these arguments: .*unexpected keyword argument 'depth'"),
        ("", {}, "expected timm:NAME, torchvision:NAME or package.module:factory"),
    ],
)
def test_what_a_factory_gets_wrong_is_named(nets, what, options, words):
    with pytest.raises(ArgumentError, match=words):
        zoo.build(f"{nets}:{what}", classes=2, input=(1, 4, 4), options=options)


def test_a_network_that_is_built_already_is_taken_as_it_is(nets):
    from striate.measure import summary

    found = summary(lambda: zoo.build(f"{nets}:ready", classes=2, input=(1, 9, 9)), (1, 9, 9))
    assert found.totals.multiply_adds == 2 * 9 * 7 * 7
    first, second = (zoo.build(f"{nets}:ready", classes=2, input=(1, 9, 9)) for _ in range(2))
    ready = importlib.import_module(nets).ready
    assert torch.equal(first[0].weight, ready[0].weight), "it was not built without values by the summary that first imported it"
    assert first[0].weight is not second[0].weight is not ready[0].weight
    assert zoo.spec_of(ready) is None


def test_what_a_factory_is_made_for_stands_in_its_signature(nets):
    assert outside.made_for(f"{nets}:defaults") == (3, (1, 224, 224))
    assert outside.made_for(f"{nets}:shaped") == (None, (1, 5, 6))
    for name in ("small", "Coloured", "fixed", "ready"):
        assert outside.made_for(f"{nets}:{name}") == (None, None)
    assert outside.made_for("timm:resnet18") == (None, None) if importlib.util.find_spec("timm") else True


def test_a_factory_that_needs_values_still_gets_them(nets):
    from striate.measure import summary

    found = summary(lambda: zoo.build(f"{nets}:valued", classes=3, input=(1, 1, 2)), (1, 1, 2))
    assert found.totals.parameters == 9
    assert any("needed its values to be built" in note for note in found.notes)


def test_a_module_whose_own_code_fails_is_named(nets, tmp_path):
    (tmp_path / f"{nets}_broken.py").write_text("width = sizes[3]\n")
    with pytest.raises(ArgumentError, match="cannot be imported, for its own code raised NameError: name 'sizes' is not defined"):
        zoo.build(f"{nets}_broken:net", classes=2, input=(1, 4, 4))


def test_names_that_lead_nowhere_say_what_to_do(monkeypatch):
    with pytest.raises(ArgumentError, match="needs nowhere, which is not here: run striate where it lies, or install it"):
        zoo.build("nowhere.nets:small", classes=2, input=(1, 4, 4))
    for name in ("nets/small.py:net", "small.py:net"):
        with pytest.raises(ArgumentError, match=r"is not a module's name; for a file small\.py in this folder write small:net"):
            zoo.build(name, classes=2, input=(1, 4, 4))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ArgumentError, match=r"needs timm, which is not here: install it \(pip install timm; `-c constraints.txt`"):
        zoo.build("timm:resnet18", classes=2, input=(3, 64, 64))
    with pytest.raises(ArgumentError, match="comes from outside the zoo and has no card"):
        zoo.card("timm:resnet18")


def test_a_library_that_does_not_import_says_why(monkeypatch):
    monkeypatch.setattr(outside, "check_name", lambda name: None)

    def broken(name):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(outside.importlib, "import_module", broken)
    with pytest.raises(ArgumentError, match=r"torchvision cannot be imported .*nms does not exist\).*install the torchvision made for torch 2"):
        zoo.build("torchvision:resnet18", classes=2, input=(3, 64, 64))


def test_a_file_may_not_name_code_to_run(nets, monkeypatch):
    spec = json.loads(json.dumps(ModelSpec(f"{nets}:small", 2, (1, 4, 4)).to_json()))
    with pytest.raises(ArgumentError, match="code from outside, which is not run on a file's word"):
        ModelSpec.from_json(spec)
    assert ModelSpec.from_json({**spec, "name": "timm:resnet18"}).name == "timm:resnet18"
    monkeypatch.setenv("STRIATE_TRUST", "1")
    assert ModelSpec.from_json(spec).classes == 2


def test_options_of_the_command_line_are_json_or_text():
    assert outside.options(["width=7", "act=relu", "sizes=[1, 2]", "bias=false"]) == {"width": 7, "act": "relu", "sizes": [1, 2], "bias": False}
    with pytest.raises(ArgumentError, match="--model-option width: expected KEY=VALUE"):
        outside.options(["width"])


@pytest.mark.slow
def test_timm_and_torchvision_behind_the_same_words():
    library("timm")
    model = zoo.build("timm:resnet10t", classes=5, input=(1, 64, 64))
    assert model(torch.zeros(2, 1, 64, 64)).shape == (2, 5)
    assert "timm:resnet18" in zoo.names("timm:resnet*")
    with pytest.warns(UserWarning, match="torchvision:resnet18 is made for 3 channels: conv1 takes 1 channels where it took 3"):
        grey = zoo.build("torchvision:resnet18", classes=5, input=(1, 64, 64))
    assert grey(torch.zeros(2, 1, 64, 64)).shape == (2, 5)
    with pytest.raises(ArgumentError, match=r"torchvision has no 'resnet19'\. Did you mean torchvision:resnet18"):
        zoo.build("torchvision:resnet19", classes=5, input=(3, 64, 64))
    assert len(zoo.names("torchvision:vgg*")) == 8
