"""Files of weights that are something else, or broken: one sentence says what each is and what to do, and nothing raw comes through."""

import argparse
import json
import pickle
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from striate import zoo
from striate.core.errors import ArgumentError, StorageError


def refusal(path, model=None):
    """The error's text: one sentence or two, without torch's escape codes and its advice to trust the file."""
    with pytest.raises(StorageError) as caught:
        zoo.load_weights(model or nn.Linear(3, 2), path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert not re.search(r"\x1b|weights_only|\n", text), text
    return text


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # tracing, to make an archive
def test_what_torch_cannot_load_is_said_in_words(tmp_path):
    state = nn.Linear(3, 2).state_dict()
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.pth").write_text("epoch 3, loss 0.2\n")
    torch.save(nn.Linear(3, 2), tmp_path / "whole.pth")
    torch.save({"weight": np.zeros((2, 3))}, tmp_path / "numpy.pth")
    torch.save({"state_dict": state, "settings": argparse.Namespace(lr=0.1)}, tmp_path / "settings.pth")
    save_file(state, tmp_path / "other_name.pth")
    torch.jit.save(torch.jit.trace(nn.Linear(3, 2), torch.zeros(1, 3)), tmp_path / "script.pt")
    torch.save(state, tmp_path / "good.pth")
    (tmp_path / "torn.pth").write_bytes((tmp_path / "good.pth").read_bytes()[:600])
    np.savez(tmp_path / "arrays.npz", weight=np.zeros(3))
    (tmp_path / "arrays.npz").rename(tmp_path / "arrays.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"weight": [1, 2]}))
    for name, words in {
        "empty.pth": "is not a file of plain tensors: it is empty. Fetch or copy it again",
        "text.pth": "it is text that begins 'epoch 3, loss 0.2",
        "whole.pth": r"it holds Python objects \(torch.nn.modules.linear.Linear; .*Save model.state_dict\(\) alone",
        "numpy.pth": r"it holds NumPy values \(numpy.*Save tensors",
        "settings.pth": r"it holds Python objects \(argparse.Namespace",
        "other_name.pth": "it is a safetensors file under another name. Rename it to other_name.safetensors",
        "script.pt": r"it is a TorchScript archive.*torch.jit.load\(path\).state_dict\(\)",
        "torn.pth": "it is cut off or damaged. Fetch or copy it again",
        "arrays.pth": "it is a zip archive that torch.save did not write",
        "plain.pth": "it is damaged, or torch.save did not write it",
    }.items():
        assert re.search(words, refusal(tmp_path / name)), refusal(tmp_path / name)


def test_a_folder_is_said_with_what_lies_in_it(tmp_path):
    (tmp_path / "run.pth").mkdir()
    assert "is a folder; give a file, it holds no .safetensors or .pth" in refusal(tmp_path / "run.pth")
    (tmp_path / "run.pth" / "weights.safetensors").write_bytes(b"")
    assert refusal(tmp_path / "run.pth").endswith("is a folder; give a file in it, such as weights.safetensors")


def test_a_mapping_that_is_no_state_dict_names_the_key_at_fault(tmp_path):
    state = nn.Linear(3, 2).state_dict()
    for content, words in (
        ({**state, "epoch": 3}, "holds more than names and tensors, expected a state dict: 'epoch' (an int). Save model.state_dict() alone"),
        ({"weights": dict(state), "epoch": 3}, "'weights' (a dict), 'epoch' (an int)"),
        ({"model_state_dict": {**state, "scale": None}}, "holds more under 'model_state_dict' than names and tensors"),
        ({0: torch.zeros(2)}, "0 (the key is an int)"),
        ({}, "holds an empty mapping"),
        ([torch.zeros(2)], "holds a list, expected a state dict"),
        (torch.zeros(2), "holds a Tensor, expected a state dict"),
    ):
        torch.save(content, tmp_path / "w.pth")
        assert words in refusal(tmp_path / "w.pth")


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model"])
def test_a_training_scripts_checkpoint_is_unwrapped(tmp_path, wrapper):
    source, model = nn.Linear(3, 2), nn.Linear(3, 2)
    torch.save({wrapper: source.state_dict(), "epoch": 3, "optimizer": {"lr": 0.1}}, tmp_path / "w.pth")
    zoo.load_weights(model, tmp_path / "w.pth")
    assert torch.equal(model.weight, source.weight)


@pytest.mark.parametrize(
    ("note", "words"),
    [
        ("no json", "the note striate keeps beside the tensors is no JSON"),
        ([1, 2], "is not the mapping that striate writes"),
        ({"facts": 3}, "is not the mapping that striate writes"),
        ({"ties": {"weight": "missing"}}, "weight is noted as a copy of 'missing', which is not in the file"),
        ({"ties": {"weight": ["bias"]}}, "which is not in the file"),
        ({"format": 99}, "its format is 99, this striate reads 1"),
        ({"facts": {"classes": 5}}, "what it says of its classes and licence"),
        ({"facts": {"licence": None}}, "what it says of its classes and licence"),
        ({"facts": {"preprocess": [1]}}, "the preprocessing it keeps cannot be read"),
        ({"facts": {"preprocess": {"size": 3}}}, "the preprocessing it keeps cannot be read"),
        ({"facts": {"model": "resnet18"}}, "what it says of its network"),
        ({"facts": {"model": {"name": "resnet18", "options": 3}}}, "what it says of its network"),
    ],
)
def test_a_broken_note_beside_whole_tensors_is_said(tmp_path, note, words):
    text = note if isinstance(note, str) else json.dumps(note)
    save_file(nn.Linear(3, 2).state_dict(), tmp_path / "w.safetensors", metadata={"striate": text})
    model = nn.Linear(3, 2)
    before = model.weight.clone()
    assert words in refusal(tmp_path / "w.safetensors", model)
    assert torch.equal(model.weight, before)


def test_arguments_of_another_kind_are_refused():
    with pytest.raises(ArgumentError, match=r"model: got str, expected an nn\.Module"):
        zoo.load_weights("resnet18", "w.pth")
    with pytest.raises(ArgumentError, match="weights: got int, expected the path"):
        zoo.load_weights(nn.Linear(3, 2), 3)
