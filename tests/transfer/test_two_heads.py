"""Class and box from one trunk: the trunk's own maps, heads of the right reach, a trunk that stays frozen."""

from __future__ import annotations

import pytest
import torch

import striate as st
from striate.core.contracts import Recipe
from striate.core.errors import ArgumentError, DataError, UnknownNameError
from striate.training.groups import layer_groups
from striate.training.session import Quiet
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


def test_a_head_that_works_on_maps_is_no_trunk():
    """SqueezeNet's last convolution has the old classes' maps; the trunk ends before it, in the last maps that know none."""
    model = st.zoo.build("squeezenet1_1", classes=7, input=(3, 64, 64))
    made = localiser(model, 3, input=(3, 64, 64))
    assert made.trunk(torch.zeros(1, 3, 64, 64)).shape[1] == 512
    assert made.at.startswith("features"), "not after the dropout that stands before the head"
    trunk = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 5, 3))
    assert localiser(trunk, 3, input=(3, 9, 9)).trunk(torch.zeros(1, 3, 9, 9)).shape[1] == 5, "a trunk without a head is taken whole"


def test_the_zoo_builds_it_again_and_its_groups_end_with_both_heads(trained):
    made = localiser(trained, 10, input=(3, 16, 16), at="layer2", points=1, hidden=8).eval()
    spec = st.zoo.spec_of(made)
    assert (spec.name, spec.classes, spec.options["at"]) == ("resnet20+boxes", 10 + 4 + 2, "layer2")
    again = st.zoo.build(spec.name, classes=spec.classes, input=spec.input, options=spec.options).eval()
    again.load_state_dict(made.state_dict())
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(again(x), made(x))
    groups = layer_groups(made)
    assert {name.partition(".")[0] for name in groups[-1].parameters} == {"classify", "place"}
    assert all(name.startswith("trunk.") for group in groups[:-1] for name in group.parameters)
    with pytest.raises(ArgumentError, match="expected more than 6"):
        st.zoo.build(spec.name, classes=6, input=spec.input, options=spec.options)
    with pytest.raises(UnknownNameError, match="narrow"):
        st.zoo.build(spec.name, classes=16, input=spec.input, options={"narow": 3})


def test_a_run_on_a_pretrained_trunk_is_opened_and_resumed_by_its_folder(trained, tmp_path):
    class Stop(Quiet):
        def epoch_ended(self, row):
            if row["epoch"] == 1:
                raise KeyboardInterrupt

    data = st.data.load("pasted", options={"count": 20, "size": 16})
    how = {"task": "localise", "settings_of_recipe": {"epochs": 2, "batch": 10}, "device": "cpu", "precision": "fp32"}
    whole = st.fine_tune(trained, data, folder=tmp_path / "whole", **how)
    with pytest.raises(KeyboardInterrupt):
        st.fine_tune(trained, data, folder=tmp_path / "part", progress=Stop(), **how)
    again = st.training.resume(tmp_path / "part")
    wanted = st.training.Run.load(whole.folder).model.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in again.model.state_dict().items())


def test_what_cannot_be_is_refused(trained):
    with pytest.raises(UnknownNameError, match=r"layer3"):
        localiser(trained, 3, input=(3, 16, 16), at="layer33")
    with pytest.raises(ArgumentError, match="fc gives no maps"):
        localiser(trained, 3, input=(3, 16, 16), at="fc")
    with pytest.raises(ArgumentError, match="boxes, or at least one point"):
        localiser(trained, 3, input=(3, 16, 16), boxes=False)
    with pytest.raises(ArgumentError, match=r"strategy: got 'linear'; with task localise .* freeze=trunk"):
        st.fine_tune(trained, "pasted", task="localise", strategy="linear")
    with pytest.raises(UnknownNameError, match="Did you mean localise"):
        st.fine_tune(trained, "pasted", task="localize")
    with pytest.raises(DataError, match="digits: has no boxes and no points"):
        st.fine_tune(trained, "digits", task="localise")
