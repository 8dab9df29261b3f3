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


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A ResNet-20 for four classes of 16 x 16 pixels, with the preprocessing it was trained with."""
    import torch

    from striate import zoo
    from striate.core.runtime import random_state_kept
    from striate.pixels import Preprocess

    with random_state_kept():
        torch.manual_seed(0)
        model = zoo.build("resnet20", classes=4, input=(3, 16, 16))
    path = tmp_path / "small.safetensors"
    zoo.save_weights(model, path, preprocess=Preprocess(size=(16, 16), mean=(0.5,), std=(0.25,)))
    return path


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
        (["pasted", "--task", "localise", "--weights", "x.pth"], "--weights: say which network they are for: --model NAME"),
        (["pasted", "--task", "localise", "--model", "resnet18", "--weights", "x.pth"], "--weights: x.pth: no such file"),
        (["digits", "--task", "localise", "--model", "resnet18", "--weights", "published"], "--task localise: digits has no boxes; they come from"),
        (
            ["pasted", "--task", "localise", "--model", "resnet18", "--weights", "published", "--strategy", "svm"],
            "--strategy svm: with --task localise two fresh heads are trained on the trunk, and the trunk with them; --set freeze=trunk",
        ),
        (
            ["pasted", "--task", "localise", "--model", "resnet18", "--weights", "published", "--strategy", "scratch"],
            "and the trunk with them; leave out --weights",
        ),
        (
            ["pasted", "--task", "localise", "--model", "resnet18", "--weights", "published", "--at", "layer3", "--at", "layer4"],
            "--at: got layer3, layer4; with --task localise it is the one layer after which the trunk ends",
        ),
        (["pasted", "--task", "localize"], "Did you mean localise"),
        (["pasted", "--task", "localise", "--set", "views=mirror"], "looks at one view"),
    ],
)
def test_words_that_do_not_go_together(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *words]) != 0
    assert told in said(capsys)


def test_a_pretrained_trunk_learns_boxes_from_the_command_line(
    boxes: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trunk is the file's, the pictures come whole at its size, and the run is told, measured again and repeated by its own command."""
    import torch

    from striate import training, zoo

    folder = tmp_path / "run"
    words = ["train", str(boxes), "--task", "localise", "--model", "resnet20", "--weights", str(weights), "--epochs", "1", "--folder", str(folder)]
    assert main([*words, "--set", "freeze=trunk", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["splits"]["val"]) >= {"error", "box_error", "missed", "localisation_error"}
    page = Path(answer["report"]).read_text(encoding="utf-8")
    for words_of_it in ("Class and box were learned on a pretrained trunk", str(weights), "IoU", "ResNet-20 with a head for boxes"):
        assert words_of_it in page
    run = training.Run.load(folder)
    kept = zoo.build("resnet20", classes=4, input=(3, 16, 16), weights=weights).state_dict()
    own = {name.removeprefix("trunk."): value for name, value in run.model.state_dict().items() if name.startswith("trunk.")}
    assert {"conv1.weight", "layer3.2.bn2.running_mean"} <= own.keys()
    assert all(torch.equal(value, kept[name]) for name, value in own.items())
    assert (run.preprocess.resize, run.preprocess.size, run.preprocess.mean) == ("pad", (16, 16), (0.5, 0.5, 0.5))
    assert main(["evaluate", str(folder), "--split", "val", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figures"]["box_error"] == pytest.approx(answer["splits"]["val"]["box_error"], abs=1e-5)
    command = run.facts["command"]
    assert f"--weights {weights} --task localise --strategy auto" in command
    assert "--data-option resize=pad" in command
    assert main([*command.replace(str(folder), str(tmp_path / "again")).split()[1:], "--json", "--no-report"]) == 0
    assert json.loads(capsys.readouterr().out)["splits"] == answer["splits"], "the command in the run's folder does the same"


def test_a_trunk_trains_on_unless_it_is_frozen_and_ends_where_it_is_told(
    boxes: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from striate import training, zoo

    folder = tmp_path / "run"
    words = ["train", str(boxes), "--task", "localise", "--model", "resnet20", "--weights", str(weights), "--epochs", "4", "--folder", str(folder)]
    assert main([*words, "--at", "layer2", "--size", "24", "--no-report"]) == 0
    printed = capsys.readouterr()
    assert "task='localise'" in printed.out
    assert "pictures are shown whole" in " ".join(printed.err.split())
    run = training.Run.load(folder)
    kept = zoo.build("resnet20", classes=4, input=(3, 16, 16), weights=weights).state_dict()
    own = {name.removeprefix("trunk."): value for name, value in run.model.state_dict().items() if name.startswith("trunk.")}
    assert not any(name.startswith("layer3") for name in own)
    moved = {name: float((value - kept[name]).abs().max()) for name, value in own.items() if name.endswith("weight")}
    assert 0 < moved["conv1.weight"] < moved["layer2.2.conv2.weight"], "early layers move less"
    assert run.facts["data"]["shape"] == [3, 24, 24]


def test_weights_of_another_network_and_tables_without_boxes_are_one_error(
    boxes: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--task", "localise", "--weights", str(weights), "--folder", str(tmp_path / "run")]
    assert main(["train", str(boxes), "--model", "resnet18", *words]) != 0
    assert f"{weights}: does not fit this network; nothing was loaded" in said(capsys)
    assert main(["train", str(boxes), "--model", "resnet20", "--at", "layer33", *words]) != 0
    assert "Did you mean layer3" in said(capsys)
    text = boxes.read_text().splitlines()
    boxes.write_text("\n".join([*text[:3], "2.png,dark,30,4,20,8", *text[4:]]))
    assert main(["train", str(boxes), "--model", "resnet20", *words]) != 0
    assert "2.png: the box x 30, y 4, w 20, h 8 ends at 50, 12, outside the picture of 40 x 32 pixels" in said(capsys)
    boxes.write_text("\n".join(["file,class,a,b,c,d", *text[1:]]))
    assert main(["train", str(boxes), "--model", "resnet20", *words]) != 0
    assert "has no boxes and no points, and task 'localise' needs them" in said(capsys)
    assert not (tmp_path / "run").exists()


def test_predict_tells_the_box_in_the_pictures_own_pixels(boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two plain pictures alike but for their size: the larger one's box is the other's, four times as far and as large, in table, JSON and CSV."""
    folder = str(tmp_path / "run")
    assert main(["train", str(boxes), "--task", "localise", "--size", "40", "--epochs", "1", "--no-report", "--folder", folder]) == 0
    files = [str(tmp_path / "small.png"), str(tmp_path / "large.png")]
    for file, times in zip(files, (1, 4), strict=True):
        Image.new("RGB", (40 * times, 32 * times), (200, 60, 60)).save(file)
    capsys.readouterr()
    assert main(["predict", folder, *files, "--json"]) == 0
    own, large = (answer["box"] for answer in json.loads(capsys.readouterr().out))
    assert list(own) == ["x", "y", "w", "h"]
    assert [large[side] for side in large] == pytest.approx([4 * own[side] for side in own], abs=0.02)
    assert main(["predict", folder, *files, "--csv"]) == 0
    head, first, _ = capsys.readouterr().out.splitlines()
    row = dict(zip(head.split(","), first.split(","), strict=True))
    assert [float(row[side]) for side in own] == pytest.approx(list(own.values()), abs=1e-3)
    assert main(["predict", folder, *files]) == 0
    head, first, _ = capsys.readouterr().out.splitlines()
    assert head.split() == ["file", "class", "share", "x", "y", "w", "h", "then"]
    assert first.split()[3:7] == [f"{value:.1f}" for value in own.values()]
