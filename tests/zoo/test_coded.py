"""Trunks with heads on their codes: what a reading by hand gives, built again from name and options, and refused in words."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from striate import zoo
from striate.core.errors import ArgumentError, UnknownNameError
from striate.surgery import outputs_at
from striate.zoo.coded import coded, is_coded


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    made = zoo.build("resnet20", classes=5, input=(3, 16, 16))
    with torch.no_grad():
        for _ in range(5):
            made(torch.randn(16, 3, 16, 16))
    return made.eval()


def parts(net, x):
    """Return the outputs of the blocks, by hand."""
    found = {}
    for name, part in net.named_children():
        x = part(x)
        found[name] = x
    return found


@pytest.mark.parametrize("pool", ["avg", "max", "both"])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("at", [("layer3",), ("layer1", "layer3")])
def test_it_computes_what_its_name_says(net, at, pool, unit):
    torch.manual_seed(1)
    made = coded(net, at, 3, pool=pool, unit=unit)
    x = torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        found = parts(net, x)
        codes = []
        for layer in at:
            maps = found[layer]
            for kind in (pool,) if pool != "both" else ("avg", "max"):
                code = maps.mean((2, 3)) if kind == "avg" else maps.amax((2, 3))
                codes.append(code / code.norm(dim=1, keepdim=True) if unit else code)
        wanted = torch.cat(codes, 1) @ made.head.weight.T + made.head.bias
        torch.testing.assert_close(made(x), wanted, atol=1e-5, rtol=1e-5)
    assert not made.training
    assert not any("fc" in name for name, _ in made.named_parameters())


def test_it_is_built_again_from_its_spec(net):
    made = coded(net, ("layer2", "layer3"), 3, pool="both", unit=True)
    spec = zoo.spec_of(made)
    assert (spec.name, spec.classes, spec.input) == ("resnet20+codes", 3, (3, 16, 16))
    assert is_coded(spec.name)
    again = zoo.build(spec.name, classes=spec.classes, input=spec.input, options=spec.options)
    again.load_state_dict(made.state_dict())
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(again.eval()(x), made(x))
    assert zoo.spec_of(again) == spec


def test_a_network_from_elsewhere_needs_its_input(net):
    own = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
    made = coded(own, ["1"], 2, input=(3, 8, 8))
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(made(x), made.head(own[1](own[0](x)).mean((2, 3))))
    with pytest.raises(ArgumentError, match=r"input: this network was not built by zoo.build"):
        coded(own, ["1"], 2)


def test_outputs_of_several_layers_in_one_pass(net):
    x = torch.randn(2, 3, 16, 16)
    several = outputs_at(net, ["layer1", "layer3"])
    wanted = parts(net, x)
    for found, layer in zip(several(x), ("layer1", "layer3"), strict=True):
        torch.testing.assert_close(found, wanted[layer])
    assert {name for name, _ in several.named_parameters()} == {name for name, _ in net.named_parameters() if not name.startswith("fc")}


def test_bad_words(net):
    with pytest.raises(UnknownNameError, match=r"unknown layer 'layr3'. Did you mean layer3"):
        coded(net, ["layr3"], 2)
    with pytest.raises(UnknownNameError, match=r"unknown module 'layr3'. Did you mean layer3"):
        outputs_at(net, ["layr3"])
    with pytest.raises(UnknownNameError, match="unknown pool 'mean'"):
        coded(net, ["layer3"], 2, pool="mean")
    with pytest.raises(ArgumentError, match=r"at: got None, expected the layers"):
        zoo.build("resnet20+codes", classes=2, input=(3, 16, 16))
    with pytest.raises(UnknownNameError, match=r"unknown option of resnet20.codes 'layers'"):
        zoo.build("resnet20+codes", classes=2, input=(3, 16, 16), options={"layers": ["layer3"]})
