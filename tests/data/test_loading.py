"""`load`: one word for all data, and what it says when there is none."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from striate import data as d
from striate.core.errors import ArgumentError, DataError
from striate.core.signature import Signature
from striate.data.registry import sources


def test_names_in_any_spelling(tmp_path, monkeypatch):
    from striate.data.sources import idx

    monkeypatch.setenv("STRIATE_DATA", str(tmp_path))
    idx.write_tiny(tmp_path / "fashion-mnist")
    assert d.load("digits").name == d.load(" Digits ").name == "digits"
    assert d.load("fashion_mnist").name == d.load("Fashion-MNIST").name == "fashion-mnist"


def test_data_is_returned_as_it_is():
    data = d.digits()
    assert d.load(data) is data


@pytest.mark.parametrize(
    ("spec", "error", "text"),
    [
        ("cifar-11", DataError, "Did you mean cifar10"),
        ("minst", DataError, "Did you mean .*mnist"),
        ("some/where", DataError, "neither a data set nor a path that exists"),
        (np.zeros(3), ArgumentError, "got ndarray"),
    ],
)
def test_what_cannot_be_found(spec, error, text):
    with pytest.raises(error, match=text):
        d.load(spec)


def test_files_of_an_unknown_kind(tmp_path):
    (tmp_path / "data.parquet").write_bytes(b"x")
    with pytest.raises(DataError, match="cannot tell what this is"):
        d.load(tmp_path / "data.parquet")


def test_every_source_is_public_and_read_right_from_source():
    for entry in sources:
        live = sources.get(entry.name)
        assert getattr(d, entry.attribute) is live
        assert Signature.of_callable(live).names == entry.signature.names


def test_the_registries_do_not_import_torch():
    code = "import sys, striate.data, striate.data.registry as r; r.sources.names(); r.parse_spec('crop(4)'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_dataset_says_what_it_is():
    assert repr(d.digits()) == "Dataset 'digits': train 1438, test 359; 10 classes; 1 x 16 x 16"
    picture = d.digits().pictures("test", [4])[0]
    assert picture.dtype == np.uint8
    assert np.array_equal(picture[:, :, 0], d.digits().tables["test"].store.pixels[4, 0])
