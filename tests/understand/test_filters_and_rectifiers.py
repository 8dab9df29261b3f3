"""Filters of layers that compute or lay out their weights otherwise, and ReLUs that see no picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import striate.understand as u
from striate.core.errors import ArgumentError
from striate.probe import Snapshot, seeing

S = nn.Sequential


def pictures(count: int = 6) -> torch.Tensor:
    return torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def test_filters_leave_a_spectral_norm_alone() -> None:
    torch.manual_seed(0)
    model = S(nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 8, 3)), nn.ReLU()).train()
    before = Snapshot.of(model)
    made = u.filters(model)
    assert before.differences(model) == ()
    assert np.array_equal(made.arrays["weights"], model.eval()[0].weight.detach().numpy())


@pytest.mark.parametrize(("inputs", "outputs", "groups"), [(4, 6, 1), (4, 6, 2), (8, 8, 8), (6, 3, 3)])
def test_filters_of_transposed_convolutions_make_one_channel_each(inputs: int, outputs: int, groups: int) -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(inputs, outputs, 3, groups=groups, bias=False)
    found = u.filters(S(layer), layer="0").arrays["weights"]
    assert found.shape == (outputs, inputs // groups, 3, 3)
    for channel in range(inputs):  # one point in a channel draws that channel's weights into the channels of its group
        drawn = F.conv_transpose2d(torch.eye(inputs)[channel].view(1, inputs, 1, 1), layer.weight, groups=groups).detach().numpy()[0]
        for number in range(outputs):
            same = number // (outputs // groups) == channel // (inputs // groups)
            assert np.array_equal(drawn[number], found[number, channel % (inputs // groups)] if same else np.zeros((3, 3)))


class Biased(nn.Module):
    """Its bias is what a small network with a ReLU makes of fixed places; a second part runs without a graph, and all units of a third are dead."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.register_buffer("places", torch.linspace(-1, 1, 8)[:, None])
        self.places_of = S(nn.Linear(1, 6), nn.ReLU(), nn.Linear(6, 1))
        self.first, self.second, self.third, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1), nn.Linear(8, 5)
        self.relu1, self.relu2, self.relu3, self.cut = nn.ReLU(), nn.ReLU(), nn.ReLU(), cut
        with torch.no_grad():
            self.second.bias.fill_(-100)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.cut):
            y = self.relu1(self.first(x))
        y = y + 0 * x[:, :1, 1:-1, 1:-1]
        y = self.relu3(self.third(self.relu2(self.second(y))))
        return self.head(y.mean((2, 3)) + self.places_of(self.places)[:, 0])


@pytest.mark.parametrize("name", ["dead_filters", "sparsity", "top_patches"])
def test_relus_that_see_no_picture_are_left_out(name: str) -> None:
    model = Biased(cut=name != "top_patches").eval()
    sees = seeing(model, pictures(1))
    assert {"relu1", "relu2", "relu3"} <= {address for address, _ in sees}
    assert not [address for address, _ in sees if address.startswith("places_of")]
    made = getattr(u, name)(model, pictures(), preprocess="identity")
    found = list(dict.fromkeys(made.arrays["layer"].tolist()))
    assert found == (["relu1", "relu2", "relu3"] if name == "top_patches" else ["first", "second", "third"])
    if name == "dead_filters":
        assert made.arrays["dead"][made.arrays["layer"] == "second"].all()


def test_a_module_whose_name_has_a_turn_in_it() -> None:
    torch.manual_seed(0)
    model = S()
    for name, module in (("conv[0]", nn.Conv2d(3, 4, 3)), ("relu[0]", nn.ReLU()), ("a/b#1", nn.Conv2d(4, 4, 3)), ("act", nn.ReLU())):
        model.add_module(name, module)
    for name, module in (("pool", nn.AdaptiveAvgPool2d(1)), ("flat", nn.Flatten()), ("head", nn.Linear(4, 5))):
        model.add_module(name, module)
    assert u.grad_cam(model.eval(), pictures(1), target=1).layer == "act"
    early = u.layer_cam(model, pictures(1), target=1, layer="relu[0]")
    assert early.arrays["map"].shape == (1, 10, 10)
    assert u.layer_cam(model, pictures(1), target=1, layer="a/b#1").arrays["map"].shape == (1, 8, 8)
    sparse = u.sparsity(model, pictures(), preprocess="identity").arrays
    assert sparse["layer"].tolist() == ["conv[0]", "a/b#1"]
    assert np.isfinite(sparse["hoyer"]).all()


@pytest.mark.parametrize("layer", [3, "", [], nn.ReLU(), nn.Linear])
@pytest.mark.parametrize("name", ["grad_cam", "eigen_cam", "activations", "invert", "dream", "filters", "dead_filters"])
def test_a_layer_of_a_wrong_kind_is_refused(name: str, layer: object) -> None:
    model = S(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)).eval()
    given = () if name == "filters" else (pictures(2),)
    with pytest.raises(ArgumentError, match="layer: got"):
        getattr(u, name)(model, *given, layer=layer)
