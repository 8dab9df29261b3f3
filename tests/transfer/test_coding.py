"""Codes: what a plain forward pass gives at each depth, in one pass a view; kept on disk until something that decides them changes."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import torch
from torch import nn

from striate.core.errors import ArgumentError, DataError, UnknownNameError
from striate.core.storage import cache_folder
from striate.transfer import codes, coding
from striate.transfer.depths import depths
from striate.transfer.shelf import model_fingerprint

DEEP = ["layer1", "layer2", "layer3"]


def by_hand(model, x):
    """Return the block outputs of the small ResNet, computed by calling its parts one after the other."""
    found = {}
    with torch.no_grad():
        for name, part in model.named_children():
            x = part(x)
            found[name] = x
            if name == "layer3":
                return found
    raise AssertionError


def test_codes_are_the_means_and_maxima_of_what_each_depth_gives(small, blobs, weights):
    data = blobs.with_preprocess(PREPROCESS_OF(weights))
    found = codes(small, data, DEEP, precision="fp32", batch=17, mirror=True)
    x = data.preprocess(torch.from_numpy(np.asarray(data.tables["train"].store.pixels)))
    for place, view in enumerate((x, x.flip(-1))):
        for layer in DEEP:
            maps = by_hand(small, view)[layer].numpy()
            np.testing.assert_allclose(found.of(layer)[place], maps.mean((2, 3)), atol=2e-5 * abs(maps).max())
            np.testing.assert_allclose(found.of(layer, "max")[place], maps.max((2, 3)), atol=2e-5 * abs(maps).max())
    both = found.of("layer2", "both")
    assert both.shape == (2, 60, 64)
    assert found.views == ("plain", "mirror")


def PREPROCESS_OF(path):  # noqa: N802
    from striate.zoo import build, loaded_into

    model = build("resnet20", classes=3, input=(3, 16, 16), weights=path)
    return loaded_into(model).preprocess


def test_one_pass_a_view_however_many_depths(small, blobs, monkeypatch):
    calls = []
    forward = coding.forward
    monkeypatch.setattr(coding, "forward", lambda model, x, use: calls.append(len(x)) or forward(model, x, use))
    codes(small, blobs, DEEP, precision="fp32", batch=20)
    assert calls == [20, 20, 20]


def test_the_model_is_left_as_it_was(small, blobs):
    before = {name: value.clone() for name, value in small.state_dict().items()}
    small.train()
    codes(small, blobs, DEEP, precision="fp32")
    assert small.training
    small.eval()
    assert all(torch.equal(value, before[name]) for name, value in small.state_dict().items())


def test_the_second_call_reads_the_disk_and_gives_the_same(small, blobs, monkeypatch):
    first = codes(small, blobs, DEEP[1:])
    assert not first.cached
    monkeypatch.setattr(coding, "_pass", None)  # it would be called in vain
    second = codes(small, blobs, DEEP[2:])
    assert second.cached
    np.testing.assert_array_equal(first.of("layer3"), second.of("layer3"))


@pytest.mark.parametrize("change", ["weights", "pixels", "preprocess", "view", "precision"])
def test_what_decides_the_codes_decides_the_key(small, blobs, weights, change):
    import copy

    data, model, more = blobs.with_preprocess(PREPROCESS_OF(weights)), copy.deepcopy(small), {}
    codes(model, data, DEEP, precision="fp32")
    if change == "weights":
        with torch.no_grad():
            model.layer3[0].conv1.weight[0, 0, 0, 0] += 1e-3
    if change == "pixels":
        from striate.data import arrays

        data = arrays(255 - np.asarray(data.tables["train"].store.pixels), data.tables["train"].targets).with_preprocess(data.preprocess)
    if change == "preprocess":
        from dataclasses import replace

        data = data.with_preprocess(replace(data.preprocess, mean=(0.1, 0.1, 0.1)))
    if change == "view":
        more = {"mirror": True}
    found = codes(model, data, DEEP, precision="bf16" if change == "precision" else "fp32", **more)
    assert not found.cached


def test_a_torn_file_is_computed_again(small, blobs):
    first = codes(small, blobs, ["layer3"], precision="fp32")
    for path in cache_folder("codes").rglob("*-avg.npy"):
        path.write_bytes(path.read_bytes()[:100])
    second = codes(small, blobs, ["layer3"], precision="fp32")
    assert not second.cached
    np.testing.assert_array_equal(first.of("layer3"), second.of("layer3"))


def test_augmented_views_stand_in_the_order_of_the_split_and_follow_the_seed(small, blobs):
    still = codes(small, blobs, ["layer3"], augmented=1, augment=("mirror(0.0)",), precision="fp32", cache=False)
    np.testing.assert_allclose(still.of("layer3")[1], still.of("layer3")[0], atol=1e-5)
    one, same, other = (codes(small, blobs, ["layer3"], augmented=2, seed=seed, precision="fp32", cache=False).of("layer3") for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert abs(one[1] - other[1]).max() > 1e-3
    assert abs(one[1] - one[2]).max() > 1e-3


def test_codes_that_are_no_numbers_are_refused(small, blobs):
    import copy

    broken = copy.deepcopy(small)
    with torch.no_grad():
        broken.layer2[0].bn1.weight[0] = float("nan")
    with pytest.raises(DataError, match=r"codes at layer2: 60 of 60 pictures .* NaN or infinite .* picture 0"):
        codes(broken, blobs, DEEP)


def test_a_layer_that_does_not_exist_is_told_the_nearest(small, blobs):
    with pytest.raises(UnknownNameError, match=r"unknown layer 'layr3'\. Did you mean layer3"):
        codes(small, blobs, ["layr3"])
    with pytest.raises(ArgumentError, match="at: got 'layer3', expected a list"):
        codes(small, blobs, "layer3")
    with pytest.raises(UnknownNameError, match="unknown split 'tset'"):
        codes(small, blobs, ["layer3"], split="tset")
    with pytest.raises(UnknownNameError, match="unknown layer 'layer1'"):
        codes(small, blobs, ["layer3"]).of("layer1")


def test_depths_are_the_cards_cut_points_before_the_head(small):
    assert depths(small) == ("relu", "layer1", "layer2", "layer3")
    plain = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU()), nn.Flatten(), nn.Linear(4, 2))
    assert depths(plain) == ("0", "1")
    with pytest.raises(ArgumentError, match="neither a linear layer nor a convolution"):
        depths(nn.ReLU())


def test_what_a_network_of_ones_own_computes_is_part_of_the_key(tmp_path):
    def module(body, name):
        (tmp_path / f"{name}.py").write_text(
            "from torch import nn\nclass Mine(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.gain = 1.0\n"
            f"        self.conv = nn.Conv2d(3, 2, 1)\n    def forward(self, x):\n        return {body}\n"
        )
        spec = importlib.util.spec_from_file_location(name, tmp_path / f"{name}.py")
        made = importlib.util.module_from_spec(spec)
        sys.modules[name] = made
        spec.loader.exec_module(made)
        torch.manual_seed(0)
        return made.Mine()

    one, again, other = module("self.conv(x)", "mine_a"), module("self.conv(x)", "mine_b"), module("self.conv(x) * self.gain", "mine_c")
    assert model_fingerprint(one) == model_fingerprint(again)
    assert model_fingerprint(one) != model_fingerprint(other)
    again.gain = 2.0
    assert model_fingerprint(one) != model_fingerprint(again)
