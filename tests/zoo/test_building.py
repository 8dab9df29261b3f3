"""`build`, `names`, `card`, `spec_of`: what they take, what they refuse and in which words."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from striate import zoo
from striate.core.contracts import ModelSpec
from striate.core.errors import ArgumentError, UnknownNameError


def test_names_match_patterns_without_torch():
    assert zoo.names("resnet?") == ()
    assert zoo.names("resnet??") == ("resnet18", "resnet20", "resnet32", "resnet34", "resnet44", "resnet50", "resnet56")
    assert zoo.names("resnet*_v1") == ("resnet101_v1", "resnet152_v1", "resnet50_v1")
    assert zoo.names("vgg_of_nobody") == ()
    code = (
        "import sys; from striate import zoo; zoo.names(); from striate.layers.registry import layers; layers.names(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_spec_holds_all_options_and_foreign_models_have_none():
    model = zoo.build("lenet5", classes=("a", "b"), input=[1, 28, 28])
    assert zoo.spec_of(model) == ModelSpec("lenet5", 2, (1, 28, 28), {"pool": "max"})
    assert zoo.spec_of(nn.Linear(1, 1)) is None


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"name": "lenet"}, UnknownNameError, "Did you mean lenet5"),
        ({"options": {"pol": "max"}}, UnknownNameError, "unknown option of lenet5 'pol'. Did you mean pool?"),
        ({"options": {"pool": "min"}}, UnknownNameError, "pool"),
        ({"options": {"shape": (1, 2, 3)}}, UnknownNameError, "unknown option of lenet5 'shape'"),
        ({"classes": 0}, ArgumentError, "at least one class"),
        ({"classes": "cat"}, ArgumentError, "a number or a list of class names"),
        ({"classes": 2.5}, ArgumentError, "a number or a list of class names"),
        ({"input": (28, 28)}, ArgumentError, r"expected \(channels, height, width\)"),
        ({"input": (1, 28, 0)}, ArgumentError, r"expected \(channels, height, width\)"),
        ({"input": (1, 8, 8)}, ArgumentError, "8x8 is too small for lenet5; the smallest size that fits is 12x12"),
        ({"name": "lenet5_1998", "input": (1, 40, 40)}, ArgumentError, "takes 32x32, or 28x28 edged by 2"),
        ({"name": "sprint28", "input": (1, 20, 30), "options": {"padding": "valid"}}, ArgumentError, "padding: valid takes inputs from 24x24"),
        ({"name": "sprint32", "input": (3, 32, 32), "options": {"depth": 0}}, ArgumentError, "depth: got"),
    ],
)
def test_mistakes_are_named(arguments, error, text):
    name = arguments.pop("name", "lenet5")
    with pytest.raises(error, match=text):
        zoo.build(name, **({"classes": 10, "input": (1, 28, 28)} | arguments))


def test_large_and_small_pictures_get_their_stems():
    for side, kernel, stride, pooled, last in (
        (28, 3, 1, False, 4),
        (48, 3, 1, False, 6),
        (49, 7, 2, False, 4),
        (96, 7, 2, False, 6),
        (97, 7, 2, True, 4),
    ):
        model = zoo.build("resnet18", classes=2, input=(3, side, side + 9)).eval()
        assert (model.conv1.kernel_size, model.conv1.stride, hasattr(model, "maxpool")) == ((kernel, kernel), (stride, stride), pooled), side
        assert model[: list(dict(model.named_children())).index("avgpool")](torch.zeros(1, 3, side, side)).shape[2:] == (last, last)


def test_same_random_state_gives_the_same_network():
    for name in ("lenet5_1998", "sprint32", "resnet20"):
        states = []
        for _ in range(2):
            torch.manual_seed(3)
            states.append(zoo.build(name, classes=3, input=(1, 28, 28)).state_dict())
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
