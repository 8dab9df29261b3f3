"""MNIST's and CIFAR's formats: tiny archives in the real bytes, malformed files, where files are looked for."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile

import numpy as np
import pytest

from striate import data as d
from striate.core.errors import DataError, StorageError
from striate.core.storage import cache_folder
from striate.data.sources import cifar, cifar10, cifar100, fashion_mnist, idx, mnist, official


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path))
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def raw(folder, part):
    images, labels = idx.FILES[part]
    return np.frombuffer((folder / images).read_bytes()[16:], np.uint8), np.frombuffer((folder / labels).read_bytes()[8:], np.uint8)


@pytest.mark.parametrize(("name", "load"), [("mnist", d.mnist), ("fashion-mnist", d.fashion_mnist)])
def test_idx_files_are_read_byte_for_byte(home, name, load):
    idx.write_tiny(home / name)
    data = load()
    for part in ("train", "test"):
        pixels, labels = raw(home / name, part)
        assert np.array_equal(data.tables[part].store.pixels.reshape(-1), pixels)
        assert np.array_equal(data.tables[part].targets, labels)
    assert data.shape == (1, 28, 28)
    assert data.spec == data.name == name
    assert len(data.classes) == 10


def test_files_that_are_not_the_published_ones_are_named(home):
    idx.write_tiny(home / "mnist")
    notes = d.mnist().notes
    assert len(notes) == 4
    assert "train-images-idx3-ubyte is not the published" in notes[0]


def test_compressed_files_give_the_same_data_and_fingerprint(home):
    idx.write_tiny(home / "mnist")
    plain = d.mnist()
    for path in list((home / "mnist").iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = d.mnist()
    assert packed.fingerprint == plain.fingerprint
    assert np.array_equal(packed.tables["test"].store.pixels, plain.tables["test"].store.pixels)


def test_other_pixels_or_labels_are_another_fingerprint(home):
    marks = set()
    for change in ({}, {"seed": 1}, {"train": 41}):
        idx.write_tiny(home / "mnist", **change)
        marks.add(d.mnist().fingerprint)
    labels = idx.FILES["test"][1]
    content = bytearray((home / "mnist" / labels).read_bytes())
    content[-1] = 3
    (home / "mnist" / labels).write_bytes(content)
    marks.add(d.mnist().fingerprint)
    assert len(marks) == 4


@pytest.mark.parametrize(
    ("file", "change", "text"),
    [
        ("train-images-idx3-ubyte", lambda b: b[:-5], r"train-images-idx3-ubyte: has 31371 bytes, expected 31376 for 40 x 28 x 28"),
        ("train-images-idx3-ubyte", lambda b: b + b"x", "expected 31376"),
        ("t10k-labels-idx1-ubyte", lambda b: b"\0\0\x08\3" + b[4:], "starts with 00 00 08 03, expected 00 00 08 01"),
        ("t10k-labels-idx1-ubyte", lambda b: b"", "starts with nothing"),
        ("t10k-labels-idx1-ubyte", gzip.compress, "still compressed"),
        ("t10k-labels-idx1-ubyte", lambda b: b[:7] + bytes([19]) + b[8:-1], "19 labels for the 20 pictures"),
        ("t10k-labels-idx1-ubyte", lambda b: b[:-1] + b"\x0b", "holds label 11, expected 0 to 9"),
        ("t10k-images-idx3-ubyte", lambda b: b[:4] + bytes(4) + b[8:16], "holds nothing"),
    ],
)
def test_malformed_idx_files_are_named(home, file, change, text):
    idx.write_tiny(home / "mnist")
    path = home / "mnist" / file
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=text):
        d.mnist()


def test_a_broken_gz_is_named(home):
    idx.write_tiny(home / "mnist")
    path = home / "mnist" / "train-images-idx3-ubyte"
    path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes())[:-300])
    path.unlink()
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: cannot be unpacked"):
        d.mnist()


@pytest.mark.parametrize(("layout", "load"), [(cifar10.LAYOUT, d.cifar10), (cifar100.LAYOUT, d.cifar100)])
def test_cifar_records_are_read_byte_for_byte(home, layout, load):
    cifar.write_tiny(home / layout.folder, layout)
    data = load()
    for part, files in layout.splits:
        records = np.frombuffer(b"".join((home / layout.folder / file).read_bytes() for file in files), np.uint8).reshape(-1, layout.labels + 3072)
        assert np.array_equal(data.tables[part].store.pixels.reshape(len(records), -1), records[:, layout.labels :])
        assert np.array_equal(data.tables[part].targets, records[:, layout.labels - 1])
        if layout.labels == 2:
            assert np.array_equal(data.tables[part].extra["coarse"], records[:, 0])
    assert data.classes[:2] == ("class 0", "class 1")
    again = load()
    assert again.fingerprint == data.fingerprint
    assert again.tables["train"].store.tensor("cpu").permute(0, 2, 3, 1).is_contiguous()  # the pack is in the order of batches


def test_cifar_from_its_archive(home):
    layout = cifar10.LAYOUT
    cifar.write_tiny(home / layout.folder, layout)
    plain = d.cifar10()
    with tarfile.open(home / layout.archive.file, "w:gz") as archive:
        archive.add(home / layout.folder, arcname=layout.folder)
    for path in (home / layout.folder).iterdir():
        path.unlink()
    (home / layout.folder).rmdir()
    assert d.cifar10().fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda folder: (folder / "data_batch_2.bin").write_bytes(b"x" * 3072), r"data_batch_2\.bin: has 3072 bytes, expected a multiple of 3073"),
        (lambda folder: (folder / "test_batch.bin").unlink(), r"test_batch\.bin is missing"),
        (lambda folder: (folder / "batches.meta.txt").write_text("a\nb\n"), "names 2 classes, expected 10"),
        (lambda folder: (folder / "test_batch.bin").write_bytes(b"\x0a" * 3073), "record 0 of test has label 10, expected 0 to 9"),
    ],
)
def test_malformed_cifar_files_are_named(home, change, text):
    cifar.write_tiny(home / "cifar-10-batches-bin", cifar10.LAYOUT)
    change(home / "cifar-10-batches-bin")
    with pytest.raises(DataError, match=text):
        d.cifar10()


def test_an_archive_of_the_wrong_kind_is_named(home):
    (home / "notes.txt").write_text("python version")
    with tarfile.open(home / cifar10.LAYOUT.archive.file, "w:gz") as archive:
        archive.add(home / "notes.txt", arcname="cifar-10-batches-py/data_batch_1")
    with pytest.raises(DataError, match="is it the binary version"):
        d.cifar10()


def serve(monkeypatch, tmp_path, module):
    """Let `module` download from a folder instead of the network."""
    monkeypatch.delenv("STRIATE_DATA")
    monkeypatch.setattr(module, "BASE", (tmp_path / "server").as_uri() + "/")


def test_downloads_are_verified_reported_and_kept(home, monkeypatch):
    serve(monkeypatch, home, mnist)
    idx.write_tiny(home / "plain")
    (home / "server").mkdir()
    for path in (home / "plain").iterdir():
        (home / "server" / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    sums = {path.stem: hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() for path in (home / "server").iterdir()}
    monkeypatch.setattr(mnist, "PACKED", sums)
    seen = []

    class Reply:
        status = 200

        def __init__(self, request, timeout):
            self.stream = (home / "server" / request.full_url.rpartition("/")[2]).open("rb")
            self.headers = {"Content-Length": str(os.fstat(self.stream.fileno()).st_size)}

        def __enter__(self):
            return self

        def read(self, size):
            return self.stream.read(size)

        def __exit__(self, *_):
            self.stream.close()

    monkeypatch.setattr("urllib.request.urlopen", Reply)
    data = d.mnist(progress=lambda done, total: seen.append((done, total)))
    assert len(data.tables["train"]) == 40
    assert [done for done, total in seen if done == total] == [
        (home / "server" / f"{f}.gz").stat().st_size for pair in idx.FILES.values() for f in pair
    ]
    monkeypatch.setattr("urllib.request.urlopen", None)  # the second start needs no network
    assert d.mnist().fingerprint == data.fingerprint
    (cache_folder("downloads", "mnist") / "t10k-labels-idx1-ubyte.gz").unlink()
    monkeypatch.setattr("urllib.request.urlopen", Reply)
    monkeypatch.setattr(mnist, "PACKED", sums | {"t10k-labels-idx1-ubyte": "0" * 32})
    with pytest.raises(StorageError, match=r"t10k-labels-idx1-ubyte\.gz: md5 is .*, expected 0000"):
        d.mnist()


def test_published_checksums_are_the_right_shape():
    for sums in (mnist.PACKED, mnist.PLAIN, fashion_mnist.PACKED):
        assert set(sums) == {file for pair in idx.FILES.values() for file in pair}
        assert all(len(bytes.fromhex(value)) == 16 for value in sums.values())


def test_checksums_are_remembered_until_the_file_changes(home, monkeypatch):
    path = home / "file"
    path.write_bytes(b"one")
    first = official.checked(path)
    assert first == hashlib.md5(b"one", usedforsecurity=False).hexdigest()
    monkeypatch.setattr(official, "file_digest", None)  # a second look must not read the file
    assert official.checked(path) == first
    monkeypatch.undo()
    path.write_bytes(b"other")
    assert official.checked(path) == hashlib.md5(b"other", usedforsecurity=False).hexdigest()


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    data = d.digits(enlarge=1)
    found = {(table.store.pixels[i].tobytes(), int(table.targets[i])) for table in data.tables.values() for i in range(len(table))}
    assert found == {((image * 255 / 16).round().astype(np.uint8).tobytes(), int(y)) for image, y in zip(bunch.images, bunch.target, strict=True)}
    assert [len(data.tables[part]) for part in ("train", "test")] == [1438, 359]
    share = np.bincount(data.tables["test"].targets) / np.bincount(bunch.target)
    assert np.abs(share - 0.2).max() < 0.006
    assert d.digits().fingerprint == d.digits().fingerprint != data.fingerprint


@pytest.mark.data
def test_the_real_sets_are_the_published_ones():
    for name, mean, std in (
        ("mnist", [0.1306604762], [0.3081078039]),
        ("cifar10", [0.4913996786, 0.4821584083, 0.4465309153], [0.2470322326, 0.2434851336, 0.2615878417]),
        ("fashion-mnist", [0.2860405969], [0.3530242445]),
    ):
        data = d.load(name)
        assert data.notes == ()
        assert [len(data.tables[part]) for part in data.splits] == [60_000 if "mnist" in name else 50_000, 10_000]
        counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009] if name == "mnist" else [1000] * 10
        assert data.class_counts("test").tolist() == counts
        assert np.allclose(data.preprocess.mean, mean, atol=1e-8)
        assert np.allclose(data.preprocess.std, std, atol=1e-8)
