"""`striate train --task localise`: from a table of boxes and from the generator to a run with pictures in its report; what cannot be is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.cli import main


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """Sixteen pictures of 40 x 32 (width x height) with a dark or a light block on grey, and the table that says where."""
    generator = np.random.default_rng(0)
    lines = ["file,class,x,y,w,h"]
    for number in range(16):
        x, y, w, h = (int(generator.integers(low, high)) for low, high in ((0, 20), (0, 16), (8, 20), (8, 16)))
        pixels = np.full((32, 40, 3), 128, np.uint8)
        pixels[y : y + h, x : x + w] = 255 * (number % 2)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{('dark', 'light')[number % 2]},{x},{y},{w},{h}")
    table = tmp_path / "boxes.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_a_table_of_boxes_becomes_a_run_with_boxes_in_its_report(boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", str(boxes), "--task", "localise", "--size", "32", "--epochs", "1", "--folder", str(tmp_path / "run"), "--json"]
    assert main(words) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["splits"]["val"]) >= {"error", "box_error", "missed", "localisation_error"}
    page = Path(answer["report"]).read_text(encoding="utf-8")
    assert "IoU" in page
    assert "As they come" in page
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (facts["task"], facts["model"]["name"], facts["recipe"]["name"]) == ("localise", "resnet20", "boxes")
    assert facts["data"]["options"] == {"resize": "pad", "size": 32}
    again = facts["command"].replace(str(tmp_path / "run"), str(tmp_path / "again")).split()[1:]
    assert main([*again, "--json", "--no-report"]) == 0
    assert json.loads(capsys.readouterr().out)["splits"] == answer["splits"], "the command in the run's folder does the same"


def test_the_generator_needs_no_files_and_the_table_reads_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data-option", "count=20", "--data-option", "size=16"]
    assert main(["train", "pasted", "--task", "localise", *options, "--epochs", "1", "--no-report", "--folder", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr().out
    assert "box error" in printed
    assert "localisation error" in printed
    assert "task='localise'" in printed


def test_a_box_outside_its_picture_names_the_line_or_the_picture(boxes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = boxes.read_text().splitlines()
    boxes.write_text("\n".join([*text[:3], "2.png,dark,30,4,20,8", *text[4:]]))
    assert main(["train", str(boxes), "--task", "localise"]) != 0
    assert "2.png: the box x 30, y 4, w 20, h 8 ends at 50, 12, outside the picture of 40 x 32 pixels (width x height)" in said(capsys)
    boxes.write_text("\n".join([*text[:3], "2.png,dark,-3,4,20,8", *text[4:]]))
    assert main(["train", str(boxes), "--task", "localise"]) != 0
    assert f"{boxes}, line 4: the box x -3, y 4, w 20, h 8 begins outside the picture" in said(capsys)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("file,class,x,y,w,deep", "of their four columns 'x', 'y', 'w' are there, but none called h or height"),
        ("file,class,left,top,right,bottom", "of their four columns 'left', 'top' are there, but none called w or width and h or height"),
        ("file,class,a,b,c,d", "has no boxes and no points, and task 'localise' needs them; a table (.csv) with columns x, y, w, h (pixels)"),
    ],
)
def test_missing_columns_are_named(boxes: Path, head: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    boxes.write_text("\n".join([head, *boxes.read_text().splitlines()[1:]]))
    assert main(["train", str(boxes), "--task", "localise"]) != 0
    assert told in said(capsys)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["digits", "--task", "localise"], "--task localise: digits has no boxes; they come from a table (.csv or .jsonl) with columns file, class"),
        (["pasted", "--task", "localise", "--model", "resnet18", "--weights", "x.pth"], "--weights: with --task localise a pretrained trunk is for"),
        (["pasted", "--task", "localize"], "Did you mean localise"),
        (["pasted", "--task", "localise", "--set", "views=mirror"], "looks at one view"),
    ],
)
def test_words_that_do_not_go_together(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *words]) != 0
    assert told in said(capsys)
