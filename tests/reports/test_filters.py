from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from striate import zoo
from striate.reports.filters import first_filters
from striate.reports.stored import stored


def test_the_zoo_says_which_convolution_is_first(tmp_path, make_run):
    folder = make_run(tmp_path / "run", model="resnet20", channels=3)
    network = zoo.build("resnet20", classes=10, input=(3, 32, 32))
    first = next(name for name, module in network.named_modules() if isinstance(module, torch.nn.Conv2d))
    with torch.no_grad():
        weight = dict(network.named_parameters())[f"{first}.weight"]
        weight[3] = 0
        weight[5] *= 1e-3 * weight[4].norm() / weight[5].norm()
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, folder / "weights.safetensors")
    facts = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(facts | {"model": zoo.spec_of(network).to_json()}))
    state = torch.get_rng_state()
    found = first_filters(stored(folder))
    assert torch.equal(torch.get_rng_state(), state)
    assert (found.layer, found.file) == (first, "weights.safetensors")
    assert np.array_equal(found.weights, weight.detach().numpy())
    assert found.near_zero == [3, 5]
    assert found.title == f"2 of {len(weight)} first-layer filters are near zero"


def test_a_foreign_network_is_told_by_its_channels(run_folder):
    found = first_filters(stored(run_folder))
    assert found.layer == "features.conv1"
    assert found.near_zero == [1]
    assert found.title == "1 of 6 first-layer filters is near zero"


def test_bf16_checkpoints_and_averages(run_folder):
    (run_folder / "weights.safetensors").unlink()
    plain, average = torch.full((4, 1, 3, 3), 1.0), torch.full((4, 1, 3, 3), 2.0, dtype=torch.bfloat16)
    save_file({"model.conv1.weight": plain, "average.conv1.weight": average, "model.fc.weight": torch.ones(4, 4)}, run_folder / "last.safetensors")
    found = first_filters(stored(run_folder))
    assert (found.layer, found.file) == ("conv1", "last.safetensors")
    assert (found.weights == 2).all()
    assert found.title == "All 4 first-layer filters are in use"


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"fc.weight": torch.ones(3, 4)}, "no two-dimensional convolution"),
        ({"a.weight": torch.ones(2, 1, 3, 3), "b.weight": torch.ones(2, 1, 3, 3)}, "cannot be told"),
        ({"a.weight": torch.full((2, 1, 3, 3), torch.nan)}, "NaN"),
        (None, "no weights"),
        (b"torn", "cannot be read"),
    ],
)
def test_what_cannot_be_shown_is_said(run_folder, tensors, words):
    path = run_folder / "weights.safetensors"
    path.unlink()
    if isinstance(tensors, bytes):
        path.write_bytes(tensors)
    elif tensors is not None:
        save_file(tensors, path)
    assert words in first_filters(stored(run_folder))
