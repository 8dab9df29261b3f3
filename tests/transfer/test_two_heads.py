"""Class and box from one trunk: the trunk's own maps, heads of the right reach, a trunk that stays frozen."""

from __future__ import annotations

import pytest
import torch

import striate as st
from striate.core.contracts import Recipe
from striate.core.errors import ArgumentError, UnknownNameError
from striate.transfer import localiser


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    return st.zoo.build("resnet20", classes=5, input=(3, 16, 16)).eval()


def test_the_trunk_is_the_networks_own_and_the_heads_stand_side_by_side(trained):
    made = localiser(trained, 10, input=(3, 16, 16), at="layer3", points=2).eval()
    x = torch.randn(2, 3, 16, 16)
    seen = []
    handle = trained.get_submodule("layer3").register_forward_hook(lambda _m, _i, output: seen.append(output))
    trained(x)
    handle.remove()
    torch.testing.assert_close(made.trunk(x), seen[0])
    output = made(x)
    assert output.shape == (2, 10 + 4 + 4)
    torch.testing.assert_close(output[:, :10], made.classify(seen[0].mean((2, 3))))
    torch.testing.assert_close(output[:, 10:], made.place(seen[0]))
    assert not trained.training


def test_only_the_box_head_knows_places(trained):
    """The class head sees the mean of the maps, so exchanging places leaves it as it is; the box head's answer changes."""
    made = localiser(trained, 3, input=(3, 16, 16), at="layer3").eval()
    maps = torch.randn(1, 64, 4, 4)
    made.trunk = torch.nn.Identity()
    plain, turned = made(maps), made(maps.flip(-1))
    torch.testing.assert_close(plain[:, :3], turned[:, :3])
    assert (plain[:, 3:] - turned[:, 3:]).abs().max() > 1e-3


def test_without_a_layer_the_last_maps_with_places_are_taken(trained):
    made = localiser(trained, 3, input=(3, 16, 16))
    assert made.trunk(torch.zeros(1, 3, 16, 16)).shape == (1, 64, 4, 4)


def test_a_frozen_trunk_stays_and_the_heads_learn(trained, tmp_path):
    data = st.data.pasted(count=20, size=16)
    made = localiser(trained, data.classes, input=data.shape)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    recipe = Recipe(epochs=1, batch=10, freeze="trunk")
    st.train(made, data, task="localise", recipe=recipe, folder=tmp_path / "run", device="cpu", precision="fp32")
    same = {name: torch.equal(value, before[name]) for name, value in made.state_dict().items()}
    assert all(kept for name, kept in same.items() if name.startswith("trunk."))
    assert not any(kept for name, kept in same.items() if name.endswith("weight") and not name.startswith("trunk."))


def test_what_cannot_be_is_refused(trained):
    with pytest.raises(UnknownNameError, match=r"layer3"):
        localiser(trained, 3, input=(3, 16, 16), at="layer33")
    with pytest.raises(ArgumentError, match="fc gives no maps"):
        localiser(trained, 3, input=(3, 16, 16), at="fc")
    with pytest.raises(ArgumentError, match="boxes, or at least one point"):
        localiser(trained, 3, input=(3, 16, 16), boxes=False)
