"""Weights from files: exact round trips, a new head said aloud, misfits listed and nothing half-loaded."""

import pickle
import warnings

import pytest
import torch
from safetensors.torch import save_file

from striate import zoo
from striate.core.errors import StorageError


@pytest.fixture
def model():
    torch.manual_seed(0)
    return zoo.build("resnet20", classes=10, input=(3, 32, 32))


def fresh(classes=10):
    torch.manual_seed(1)
    return zoo.build("resnet20", classes=classes, input=(3, 32, 32))


def same(a, b, but=()):
    return all(torch.equal(v, b[k]) for k, v in a.items() if not k.startswith(tuple(but) or ("-",)))


@pytest.mark.parametrize("form", ["safetensors", "pth", "half", "wrapped", "parallel"])
def test_every_form_loads_unchanged(model, tmp_path, form):
    state = model.state_dict()
    path = tmp_path / ("w.safetensors" if form in ("safetensors", "half") else "w.pth")
    if form == "half":
        save_file({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, path)
        state = {k: v.half().float() if v.is_floating_point() else v for k, v in state.items()}
    elif form == "safetensors":
        save_file(dict(state), path)
    elif form == "pth":
        torch.save(state, path)
    elif form == "wrapped":
        torch.save({"state_dict": state, "epoch": 3}, path)
    else:
        torch.save({f"module.{k}": v for k, v in state.items()}, path)
    other = fresh()
    loaded = zoo.load_weights(other, path)
    assert same(state, other.state_dict())
    assert (loaded.tensors, loaded.fresh) == (len(state), ())
    assert same(state, zoo.build("resnet20", classes=10, input=(3, 32, 32), weights=path).state_dict())


def test_another_number_of_classes_keeps_a_fresh_head_and_says_so(model, tmp_path):
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    other = fresh(classes=3)
    head = other.fc.weight.clone()
    loaded = zoo.load_weights(other, tmp_path / "w.safetensors")
    assert loaded.fresh == ("fc",)
    with pytest.warns(UserWarning, match=r"w.safetensors: fc is for 10 classes in the file and 3 here"):
        zoo.build("resnet20", classes=3, input=(3, 32, 32), weights=tmp_path / "w.safetensors")
    assert "fc is for 10 classes in the file and 3 here" in loaded.notes[1]
    assert torch.equal(other.fc.weight, head)
    assert same({k: v for k, v in model.state_dict().items() if not k.startswith("fc.")}, other.state_dict())


def test_old_files_without_batch_counters_load(model, tmp_path):
    save_file({k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}, tmp_path / "w.safetensors")
    other = fresh()
    zoo.load_weights(other, tmp_path / "w.safetensors")
    assert same(model.state_dict(), other.state_dict())


def test_misfits_are_all_listed_and_nothing_is_loaded(model, tmp_path):
    state = model.state_dict()
    state["layer1.0.conv_1.weight"] = state.pop("layer1.0.conv1.weight")
    state["conv1.weight"] = torch.zeros(16, 1, 3, 3)
    del state["bn1.bias"]
    save_file(state, tmp_path / "w.safetensors")
    other = fresh()
    before = {k: v.clone() for k, v in other.state_dict().items()}
    with pytest.raises(StorageError) as caught:
        zoo.load_weights(other, tmp_path / "w.safetensors")
    text = str(caught.value)
    assert "nothing was loaded" in text
    assert "layer1.0.conv1.weight (nearest: layer1.0.conv_1.weight)" in text
    assert "2 missing in the file" in text
    assert "bn1.bias" in text
    assert "1 unknown to the model: layer1.0.conv_1.weight (nearest: layer1.0.conv1.weight)" in text
    assert "conv1.weight (16x1x3x3 in the file, 16x3x3x3 here)" in text
    assert same(before, other.state_dict())


def test_another_networks_file_is_counted_not_poured_out(tmp_path):
    save_file(zoo.build("resnet18", classes=10, input=(3, 32, 32)).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(StorageError, match=r"and \d+ more"):
        zoo.load_weights(fresh(), tmp_path / "w.safetensors")


class Evil:
    def __reduce__(self):
        return (print, ("run",))


def test_what_is_not_plain_tensors_is_refused(tmp_path, capsys):
    with (tmp_path / "evil.pth").open("wb") as file:
        pickle.dump({"a": Evil()}, file)
    torch.save({"fc.weight": "text"}, tmp_path / "text.pth")
    (tmp_path / "torn.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    (tmp_path / "w.onnx").write_bytes(b"")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, words in (
            ("evil.pth", "not a file of plain tensors"),
            ("text.pth", "expected a state dict"),
            ("torn.safetensors", "not a whole safetensors file"),
            ("w.onnx", "expected .safetensors, .pth or .pt"),
            ("torm.safetensors", "Did you mean torn.safetensors"),
        ):
            with pytest.raises(StorageError, match=words):
                zoo.load_weights(fresh(), tmp_path / name)
    assert capsys.readouterr().out == ""
