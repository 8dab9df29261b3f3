"""Packs hold exactly what decoding gives, are built once, survive moves, kills and two processes, and say what was broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from striate.core.errors import ArgumentError, DataError, StorageError
from striate.data import packing, sheet
from striate.data.packs import pack
from striate.data.sheet import Sheet
from striate.pixels import decode


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "packs"


def names(root):
    return sorted(path.name for path in root.iterdir())


def fill(root, count, *, ragged=True, seed=0):
    generator = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        height, width = generator.integers(5, 40, 2) if ragged else (9, 7)
        kind = ("jpg", "png", "webp")[i % 3] if ragged else "png"
        Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(root / f"{i:03}.{kind}")
    return names(root)


def same(found, root, files, **options):
    assert len(found.store) == len(found.kept)
    for row, position in enumerate(found.kept):
        np.testing.assert_array_equal(found.store.picture(row), decode(root / files[position], **options))


def test_holds_what_decoding_gives_in_order(tmp_path, cache):
    files = fill(tmp_path / "a", 200)
    found = pack(tmp_path / "a", files, channels=3, workers=3)
    same(found, tmp_path / "a", files, channels=3)
    assert found.built
    assert found.kept.tolist() == list(range(200))
    assert found.fixed() is None
    assert isinstance(found.store.data, np.memmap)
    grey = pack(tmp_path / "a", files, channels=1)
    same(grey, tmp_path / "a", files, channels=1)
    assert grey.store.fingerprint != found.store.fingerprint


def test_pictures_of_one_size_become_one_array(tmp_path, cache):
    files = fill(tmp_path / "a", 70, ragged=False)
    fixed = pack(tmp_path / "a", files).fixed()
    assert fixed.pixels.shape == (70, 3, 9, 7)
    for row, name in enumerate(files):
        np.testing.assert_array_equal(fixed.pixels[row].transpose(1, 2, 0), decode(tmp_path / "a" / name))
    assert np.shares_memory(fixed.pixels, pack(tmp_path / "a", files).store.data) is False  # two maps of one file
    np.testing.assert_array_equal(fixed.pixels, pack(tmp_path / "a", files).fixed().pixels)


def test_broken_files_leave_no_gap_in_the_array(tmp_path, cache):
    files = fill(tmp_path / "a", 40, ragged=False)
    for i in (0, 7, 8, 39):
        (tmp_path / "a" / files[i]).write_bytes(b"oops")
    found = pack(tmp_path / "a", files)
    assert found.fixed().pixels.shape == (36, 3, 9, 7)
    same(found, tmp_path / "a", files)
    assert [problem.path.name for problem in found.problems] == [files[i] for i in (0, 7, 8, 39)]
    assert "text" in found.problems[0].reason


def test_one_odd_size_among_equal_ones(tmp_path, cache):
    files = fill(tmp_path / "a", 60, ragged=False)
    Image.new("RGB", (5, 5), (1, 2, 3)).save(tmp_path / "a" / files[33])
    (tmp_path / "a" / files[5]).write_bytes(b"")
    found = pack(tmp_path / "a", files)
    assert found.fixed() is None
    same(found, tmp_path / "a", files)


def test_same_number_of_bytes_is_not_the_same_size(tmp_path, cache):
    (tmp_path / "a").mkdir()
    for i, size in enumerate([(4, 6), (6, 4), (4, 6)]):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / "a" / f"{i}.png")
    found = pack(tmp_path / "a", ["0.png", "1.png", "2.png"])
    assert found.fixed() is None
    same(found, tmp_path / "a", ["0.png", "1.png", "2.png"])


def test_second_start_decodes_nothing_and_a_change_is_seen(tmp_path, cache, monkeypatch):
    files = fill(tmp_path / "a", 30)
    first = pack(tmp_path / "a", files)
    with monkeypatch.context() as patch:
        patch.setattr(packing, "decode_bytes", lambda *_, **__: pytest.fail("decoded again"))
        again = pack(tmp_path / "a", files)
        assert not again.built
        assert again.store.fingerprint == first.store.fingerprint
        np.testing.assert_array_equal(again.contents, first.contents)
        # moved, with other names and times: known by content
        shutil.copytree(tmp_path / "a", tmp_path / "b" / "elsewhere")
        for name in files:
            os.utime(tmp_path / "b" / "elsewhere" / name, (1, 1))
            (tmp_path / "b" / "elsewhere" / name).rename(tmp_path / "b" / "elsewhere" / f"x{name}")
        moved = pack(tmp_path / "b" / "elsewhere", [f"x{name}" for name in files])
        assert not moved.built
        assert moved.store.fingerprint == first.store.fingerprint
    data = bytearray((tmp_path / "a" / files[3]).read_bytes())
    Image.new("RGB", (8, 8), (9, 8, 7)).save(tmp_path / "a" / files[3])
    changed = pack(tmp_path / "a", files)
    assert changed.built
    assert changed.store.fingerprint != first.store.fingerprint
    same(changed, tmp_path / "a", files)
    (tmp_path / "a" / files[3]).write_bytes(data)
    assert not pack(tmp_path / "a", files).built


def test_order_and_settings_belong_to_the_key(tmp_path, cache):
    files = fill(tmp_path / "a", 6)
    keys = {
        pack(tmp_path / "a", files).store.fingerprint,
        pack(tmp_path / "a", files[::-1]).store.fingerprint,
        pack(tmp_path / "a", files, background=(0, 0, 0)).store.fingerprint,
        pack(tmp_path / "a", files, short_side=4).store.fingerprint,
    }
    assert len(keys) == 4


def test_large_photographs_are_read_smaller(tmp_path, cache):
    (tmp_path / "a").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 160, 3), dtype=np.uint8)).save(tmp_path / "a" / "x.jpg")
    found = pack(tmp_path / "a", ["x.jpg"], short_side=25)
    assert found.store.shapes.tolist() == [[25, 40, 3]]
    same(found, tmp_path / "a", ["x.jpg"], short_side=25)


@pytest.mark.parametrize("way", ["direct", "refused", "unknown", "no pwrite"])
def test_every_way_of_writing_gives_the_same_pixels(tmp_path, cache, monkeypatch, way):
    files = fill(tmp_path / "a", 40)
    Image.fromarray(np.random.default_rng(9).integers(0, 256, (300, 400, 3), dtype=np.uint8)).save(tmp_path / "a" / files[20], "PNG")
    monkeypatch.setattr(sheet, "TRAY", 16384)  # many trays, and one picture larger than a tray
    if way == "unknown":
        monkeypatch.delattr(os, "O_DIRECT", raising=False)
    elif way == "no pwrite":
        monkeypatch.delattr(os, "pwrite", raising=False)
        monkeypatch.delattr(os, "O_DIRECT", raising=False)
    elif way == "refused" and hasattr(os, "O_DIRECT"):
        honest = os.pwrite
        monkeypatch.setattr(os, "pwrite", lambda handle, part, at: honest(handle, part[:1000], at))  # a part at a time, so never unbuffered
    found = pack(tmp_path / "a", files, workers=3)
    same(found, tmp_path / "a", files)


def test_a_pack_that_was_torn_is_built_again(tmp_path, cache):
    files = fill(tmp_path / "a", 10)
    pack(tmp_path / "a", files)
    for pattern, damage in (("*.u8", b"short"), ("*.npz", b"PK torn"), ("*.npz", b"")):
        next(cache.glob(pattern)).write_bytes(damage)
        found = pack(tmp_path / "a", files)
        assert found.built
        same(found, tmp_path / "a", files)


def test_too_many_broken_files(tmp_path, cache):
    files = fill(tmp_path / "a", 40)
    for name in files[:11]:
        (tmp_path / "a" / name).write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"11 of 40 files are broken \(at most 5% or ten") as caught:
        pack(tmp_path / "a", files)
    assert "web page" in str(caught.value)
    assert "and 6 more" in str(caught.value)
    found = pack(tmp_path / "a", files, broken=0.5)
    assert not found.built  # what was decoded before the error was kept
    assert len(found.problems) == 11


def test_nothing_left(tmp_path, cache):
    (tmp_path / "x.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="none is left"):
        pack(tmp_path, ["x.jpg"])
    with pytest.raises(ArgumentError, match="files: got none"):
        pack(tmp_path, [])


def test_a_file_that_went_away_is_named_and_not_remembered(tmp_path, cache):
    files = fill(tmp_path / "a", 5)
    found = pack(tmp_path / "a", [*files, "gone.png"])
    assert [problem.reason for problem in found.problems] == ["does not exist"]
    assert pack(tmp_path / "a", [*files, "gone.png"]).problems


def test_a_full_disk_is_told(tmp_path, cache, monkeypatch):
    files = fill(tmp_path / "a", 5)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Sheet, "put", full)
    with pytest.raises(StorageError, match="the disk is full"):
        pack(tmp_path / "a", files)
    assert not list(cache.glob(".*.tmp"))
    assert not list(cache.glob("*.u8"))


def test_progress_reaches_the_end(tmp_path, cache):
    files = fill(tmp_path / "a", 150)
    told = []
    pack(tmp_path / "a", files, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (150, 150)
    assert sorted(told) == told


BUILD = """
import os, sys
from striate.data.packs import pack
p = pack(sys.argv[1], sorted(os.listdir(sys.argv[1])))
print(p.built, p.store.fingerprint, len(p.store))
"""


def test_two_processes_build_once(tmp_path, cache):
    fill(tmp_path / "a", 120)
    running = [subprocess.Popen([sys.executable, "-c", BUILD, str(tmp_path / "a")], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    lines = sorted(process.communicate(timeout=60)[0].split() for process in running)
    assert [line[0] for line in lines] == ["False", "True"]
    assert lines[0][1:] == lines[1][1:]
    assert lines[0][2] == "120"


def test_a_killed_build_leaves_nothing_half_done(tmp_path, cache):
    files = fill(tmp_path / "a", 60)
    slow = f"import time, striate.data.packing as p; d = p.decode_bytes; p.decode_bytes = lambda *a, **k: (time.sleep(0.05), d(*a, **k))[1]\n{BUILD}"
    process = subprocess.Popen([sys.executable, "-c", slow, str(tmp_path / "a")], stdout=subprocess.PIPE)
    until = time.time() + 30
    while not list(cache.glob(".*.u8.tmp")) and time.time() < until:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert not list(cache.glob("*.npz"))
    found = pack(tmp_path / "a", files)
    assert found.built
    same(found, tmp_path / "a", files)
    assert not list(cache.glob(".*.tmp"))


def test_old_leftovers_and_unused_packs_are_tidied(tmp_path, cache):
    files = fill(tmp_path / "a", 4)
    pack(tmp_path / "a", files)
    old = time.time() - 70 * 86400
    (cache / ".dead.u8.tmp").write_bytes(b"x")
    for path in cache.iterdir():
        os.utime(path, (old, old))
    fill(tmp_path / "b", 4, seed=1)
    pack(tmp_path / "b", names(tmp_path / "b"))
    assert len(list(cache.glob("*.u8"))) == 1
    assert not (cache / ".dead.u8.tmp").exists()


def test_two_folders_alike_in_names_sizes_and_times_are_told_apart(tmp_path, cache):
    for folder, value in (("a", 10), ("b", 200)):
        (tmp_path / folder).mkdir()
        for number in range(3):
            Image.fromarray(np.full((6, 6, 3), value, np.uint8)).save(tmp_path / folder / f"{number}.bmp")
            os.utime(tmp_path / folder / f"{number}.bmp", ns=(10**18, 10**18))
    first, second = (pack(tmp_path / folder, names(tmp_path / folder), channels=3) for folder in ("a", "b"))
    assert (first.store.picture(0) == 10).all()
    assert (second.store.picture(0) == 200).all()
