from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.cli import main


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 3), ("test", 4)):
        for label in ("cat", "dog"):
            (tmp_path / "pets" / split / label).mkdir(parents=True)
            for number in range(count):
                Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / "pets" / split / label / f"{number}.png")
    leak = (tmp_path / "pets" / "train" / "cat" / "3.png").read_bytes()
    (tmp_path / "pets" / "test" / "cat" / "2.png").write_bytes(leak)
    (tmp_path / "pets" / "train" / "dog" / "broken.png").write_bytes(b"not a picture")
    return tmp_path / "pets"


def test_data_tells_of_a_leak_and_a_broken_file_and_draws_the_sheet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = folder.parent / "sheet.png"
    assert main(["data", str(folder), "--weights", "--sheet", str(sheet)]) == 0
    text = capsys.readouterr().out
    assert "1 picture of test is also in train, with the same pixels" in text
    assert "1 file could not be read and is left out" in text
    assert "broken.png" in text
    assert text.index("weight") < text.index("sheet.png")
    with Image.open(sheet) as image:
        assert image.width > 400


def test_data_prints_json_and_nothing_else(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", str(folder), "--json", "--no-near"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["leaks"], found["near"], found["ok"]) == (1, None, False)
    assert found["splits"]["train"]["counts"] == [12, 12]
