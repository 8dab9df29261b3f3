"""`striate trace`: text, places, JSON and the page; what is refused, and that specs are checked before torch is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from striate.cli import main
from striate.pixels import Preprocess

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "trace"
VOLUME = str(EXAMPLES / "volume.json")


def test_an_example_file_prints_every_step(capsys):
    assert main(["trace", str(EXAMPLES / "exercise.json")]) == 0
    text = capsys.readouterr().out
    assert text.startswith("conv(1, 3x3, stride=2) -> relu -> maxpool(2)\nAn exercise")
    assert "4 of 4 boxes computed again by formula, forward and back: they agree with torch exactly" in text
    assert "   output\n       1 −2\n       3  1\n" in text
    assert "   output: 3\n" in text


def test_places_are_explained(capsys):
    asked = ["conv1:0,0,1", "conv1:0,2,1", "conv1:weight:0,0,1,1", "conv1:input:0,1,1", "loss:"]
    words = [word for place in asked for word in ("--explain", place)]
    assert main(["trace", VOLUME, *words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(t["quantity"], t["place"], t["value"]) for t in told] == [
        ("output", [0, 0, 0, 1], 4),
        ("output", [0, 0, 2, 1], 0),
        ("gradient of weight", [0, 0, 1, 1], 2 + 0 + 3 + 3 + 1 + 4 + 4 + 0 + 2),
        ("message to the input", [0, 0, 1, 1], 1 - 1 + 0 + 0),
        ("output", [], 12 + 4 + 7 + 11 + 8 + 14 + 10 + 0 + 16),
    ]
    assert [[factor["value"] for factor in term] for term in told[0]["terms"][:4]] == [[2, 0], [2, 0], [0, 0], [2, -1]]
    assert main(["trace", VOLUME, "--explain", "conv1:0,0,1"]) == 0
    out = capsys.readouterr()
    assert "= 2·0 + 2·0 + 0·0 + 2·(−1) + " in out.out
    assert "agree with torch exactly" in out.err


def test_a_spec_with_numbers_drawn(capsys, tmp_path):
    page = tmp_path / "t.html"
    words = ["trace", "conv(2, 3x3) -> batchnorm -> relu -> gap -> linear(3)", "--input", "2x6x6", "--target", "1", "--seed", "4", "--train"]
    assert main([*words, "--html", str(page), "--json"]) == 0
    out = capsys.readouterr()
    told = json.loads(out.out)
    assert told["agrees"]
    assert told["loss"]["name"] == "cross_entropy"
    assert "input: 2x6x6, drawn from 0 … 4 with seed 4" in told["notes"]
    assert any(note.startswith("conv1.weight, conv1.bias, linear1.weight, linear1.bias: drawn") for note in told["notes"])
    assert "t.html" in out.err
    assert "<title>conv(2, 3x3) -&gt; batchnorm" in page.read_text(encoding="utf-8")
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arrays"] == told["arrays"], "the same seed, the same numbers"


def test_a_picture_and_a_table(capsys, tmp_path):
    Image.fromarray(np.array([[56, 231], [24, 2]], dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.csv").write_text("56,231\n24,2\n")
    for name in ("a.png", "a.csv"):
        assert main(["trace", "flatten -> linear(1)", "--input", str(tmp_path / name), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["arrays"][0]["data"] == [56, 231, 24, 2]


def test_an_example_on_another_input(capsys, tmp_path):
    (tmp_path / "x.json").write_text(json.dumps(np.eye(5).tolist()))
    assert main(["trace", str(EXAMPLES / "single.json"), "--input", str(tmp_path / "x.json"), "--explain", "conv1:0,0,0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["value"] == 3


def test_an_architecture_and_a_picture(capsys, tmp_path):
    Image.fromarray(np.full((40, 30), 200, dtype=np.uint8)).save(tmp_path / "p.png")
    assert main(["trace", "lenet5", "--input", str(tmp_path / "p.png"), "--explain", "conv1:0,3,3", "--target", "3"]) == 0
    out = capsys.readouterr()
    assert out.out.startswith("conv1 output[0, 0, 3, 3] = ")
    assert main(["trace", "resnet18", "--input", "3x64x64"]) == 2
    assert "Choose a layer" in capsys.readouterr().err


def test_a_run_looks_at_a_picture_as_it_learned_to(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    eye = Preprocess(size=(8, 8), channels=1, mean=(0.5,), std=(0.25,), resize="none")

    class Opened:
        folder, facts, preprocess, model = tmp_path / "runs" / "mine", {"input": [1, 8, 8]}, eye, nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

    monkeypatch.setattr("striate.training.Run.load", classmethod(lambda cls, folder: Opened))
    Opened.folder.mkdir(parents=True)
    (Opened.folder / "run.json").write_text("{}")
    Image.fromarray(np.full((8, 8), 51, dtype=np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((20, 16), 51, dtype=np.uint8)).save(tmp_path / "b.png")
    for name, notes in (("a.png", 0), ("b.png", 1)):
        assert main(["trace", "mine", "--input", name, "--target", "2", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["title"] == "mine"
        assert told["arrays"][0]["data"] == pytest.approx([(51 / 255 - 0.5) / 0.25] * 64, rel=1e-6)
        assert len([note for note in told["notes"] if "brought to 8 x 8 pixels" in note]) == notes
    assert not Opened.model.training


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["conv(1) -> cnv(2)", "--input", "1x5x5"], 2, "column 12: unknown box 'cnv'. Did you mean conv"),
        (["conv(1)"], 2, "--input: the network needs numbers"),
        (["lenet5"], 2, "--input: the network needs something to look at"),
        (["resnet81", "--input", "1x5x5"], 2, "Did you mean resnet18"),
        (["relu", "--input", "nothing.json"], 3, "nothing.json: no such file"),
        (["relu", "--input", "0x3"], 2, "every size must be 1 or more"),
        ([VOLUME, "--explain", "conv1"], 2, "expected BOX:PLACE"),
        ([VOLUME, "--explain", "conv1:0,0,x"], 2, "expected BOX:PLACE"),
        ([VOLUME, "--explain", "conv9:0,0,0"], 2, "Did you mean conv1"),
        ([VOLUME, "--explain", "conv1:0,3,0"], 2, "its shape is (1, 1, 3, 3)"),
        ([VOLUME, "--html", "t.pdf"], 2, "ends in .html"),
        ([VOLUME, "--target", "1"], 2, "class numbers need an output of samples x classes"),
        ([VOLUME, "--loss", "hinge"], 2, "needs a target"),
        (["conv(2,3)", "--input", "1x6x6", "--seed", "-1"], 2, "--seed: got -1, expected a whole number, 0 or more"),
    ],
)
def test_what_is_refused(words, code, told, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["trace", *words]) == code
    out = capsys.readouterr()
    assert told in " ".join(out.err.split())
    assert out.out == ""


def test_files_without_a_spec(capsys, tmp_path):
    (tmp_path / "x.json").write_text("[[1, 2]]")
    assert main(["trace", str(tmp_path / "x.json")]) == 2
    assert "holds no spec" in capsys.readouterr().err
    (tmp_path / "y.json").write_text('{"spec": "relu"}')
    assert main(["trace", str(tmp_path / "y.json")]) == 2
    assert "holds no input" in capsys.readouterr().err
    assert main(["trace", str(tmp_path)]) == 2
    assert "neither a run's folder" in capsys.readouterr().err


def test_a_mistyped_spec_is_told_without_torch():
    program = (
        "import sys; from striate.cli import main; code = main(['trace', 'conv(1) -> rlu', '--input', '1x5x5']); print(code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "2 False", done.stderr
