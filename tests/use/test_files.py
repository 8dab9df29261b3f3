"""Which files paths mean: order kept, hidden and other files passed over and counted, each once."""

from __future__ import annotations

from pathlib import Path

import pytest

from striate.core.errors import DataError
from striate.use.files import find


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.JPG", "notes.txt", ".hidden.png", "deep/c.webp", ".ipynb_checkpoints/d.png", "deep/Thumbs.db"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def test_a_folder_is_walked_in_order(folder: Path) -> None:
    found = find(folder)
    assert [str(file.relative_to(folder)) for file in found.files] == ["a.JPG", "b.png", "deep/c.webp"]
    assert (found.hidden, found.others) == (2, 2)
    assert str(found) == "passed over in folders: 2 hidden, 2 not named like a picture"


def test_named_files_keep_their_order_and_stand_once(folder: Path) -> None:
    asked = [folder / "notes.txt", folder / "b.png", folder / "a.JPG", folder / "b.png", folder]
    assert [file.name for file in find(asked).files] == ["notes.txt", "b.png", "a.JPG", "c.webp"]


def test_patterns(folder: Path) -> None:
    assert [file.name for file in find(f"{folder}/**/*.[pw]*").files] == ["b.png", "c.webp"]
    assert str(find(f"{folder}/*.png")) == ""
    with pytest.raises(DataError, match="no file matches"):
        find(f"{folder}/*.gif")


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    odd = tmp_path / "photo[1].png"
    odd.write_bytes(b"")
    assert find(odd).files == (odd,)


def test_a_pattern_in_a_folder_whose_name_looks_like_one(tmp_path: Path) -> None:
    for name in ("c [1]", "c 1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"")
    assert find(tmp_path / "c [1]" / "*.png").files == (tmp_path / "c 1" / "a.png",), "a pattern that matches means what it matches"
    (tmp_path / "c 1" / "a.png").unlink()
    assert find(tmp_path / "c [1]" / "*.png").files == (tmp_path / "c [1]" / "a.png",)
    with pytest.raises(DataError, match="no file matches"):
        find(tmp_path / "c [1]" / "*.gif")


def test_nothing_to_look_at_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="1 not named like a picture"):
        find(tmp_path)
    with pytest.raises(DataError, match="nothing given"):
        find([])
