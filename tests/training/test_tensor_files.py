"""Tensor files bring back values, memory formats and ties; broken ones are named."""

from __future__ import annotations

import pytest
import torch

from striate.core.errors import StorageError
from striate.core.tensors import load_tensors, save_tensors


def test_formats_ties_and_facts_come_back(tmp_path):
    filters = torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last)
    shared = torch.arange(6.0).reshape(2, 3)
    save_tensors(tmp_path / "a.safetensors", {"filters": filters, "one": shared, "two": shared, "n": torch.tensor(3)}, {"x": [1, None]})
    tensors, facts = load_tensors(tmp_path / "a.safetensors")
    assert facts == {"x": [1, None]}
    assert torch.equal(tensors["filters"], filters)
    assert tensors["filters"].is_contiguous(memory_format=torch.channels_last)
    assert not tensors["filters"].is_contiguous()
    assert tensors["one"] is tensors["two"]
    assert int(tensors["n"]) == 3


def test_a_transposed_view_of_the_same_memory_is_not_a_tie(tmp_path):
    square = torch.arange(9.0).reshape(3, 3)
    save_tensors(tmp_path / "a.safetensors", {"a": square, "b": square.T})
    tensors, _ = load_tensors(tmp_path / "a.safetensors")
    assert torch.equal(tensors["b"], square.T)


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(StorageError, match="no such file"):
        load_tensors(tmp_path / "none.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(StorageError, match=r"torn\.safetensors"):
        load_tensors(tmp_path / "torn.safetensors")
