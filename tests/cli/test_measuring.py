"""`striate summary` and `striate arithmetic` as they are typed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from striate.cli import main

NAIVE = ["conv(128, 1x1)", "conv(192, 3x3)", "conv(96, 5x5)", "maxpool(3)"]
BOTTLENECKED = ["conv(128, 1x1)", "conv(64, 1x1) -> conv(192, 3x3)", "conv(64, 1x1) -> conv(96, 5x5)", "maxpool(3) -> conv(64, 1x1)"]


def run(*words):
    """What a command prints, read as JSON."""

    def call(capsys):
        assert main([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return call


@pytest.mark.parametrize(
    ("words", "output", "parameters", "multiply_adds"),
    [
        ("linear --input 32x32 --outputs 32x32", [1024], 32**2 * (32**2 + 1), 32**4),
        ("local --input 32x32x1 --size 3", [30, 30, 1], 9_000, 30**2 * 9),
        ("local --input 32x32x3 --size 3", [30, 30, 1], 25_200, 30**2 * 27),
        ("linear --input 7 --outputs 3 --no-bias", [3], 21, 21),
        ("local --input 7x1 --size 3 --stride 2 --no-bias", [3, 1], 9, 9),
        ("conv --input 7x1 --size 3 --stride 2 --no-bias", [3, 1], 3, 9),
        ("conv --input 32x32x3 --filters 10 --size 5 --pad 2", [32, 32, 10], 760, 32**2 * 10 * 75),
        ("conv --input 32x32x3 --filters 4 --size 3 --pad same", [32, 32, 4], 112, 32**2 * 4 * 27),
        ("conv --input 9x12x4 --filters 6 --size 3x5 --stride 2x1 --pad 0x2 --groups 2", [4, 12, 6], 6 * (15 * 2 + 1), 48 * 6 * 30),
        ("pool --input 6x6x1", [3, 3, 1], 0, 0),
        ("pool --input 6x6x2 --size 3 --stride 2 --ceil", [3, 3, 2], 0, 0),
    ],
)
def test_one_layer(words, output, parameters, multiply_adds, capsys):
    found = run("arithmetic", *words.split())(capsys)
    assert (found["output"], found["parameters"], found["multiply_adds"]) == (output, parameters, multiply_adds)


def test_inception_and_stacks(capsys):
    naive, thrifty = (run("arithmetic", "inception", *branches, "--input", "28x28x256")(capsys) for branches in (NAIVE, BOTTLENECKED))
    assert [round(found["multiply_adds"] / 1e6) for found in (naive, thrifty)] == [854, 271]
    assert [found["output"] for found in (naive, thrifty)] == [[28, 28, 672], [28, 28, 480]]
    for chain, size in (("3 * conv(1, 3x3)", 7), ("5 * conv(1, 3x3)", 11), ("conv(1, 5x5) -> conv(1, 3x3)", 7)):
        assert {axis["size"] for axis in run("arithmetic", "stack", chain, "--input", "32x32x1")(capsys)["receptive_field"]} == {size}
    five = run("arithmetic", "stack", "5 * conv(96, 3x3, bias=false)", "--input", "227x227x3")(capsys)
    one = run("arithmetic", "conv", "--input", "227x227x3", "--filters", "96", "--size", "11", "--no-bias")(capsys)
    assert (five["parameters"], one["parameters"]) == (9 * 96 * (3 + 4 * 96), 121 * 3 * 96)


def test_what_does_not_fit_is_told_and_strict_refuses_it(capsys):
    words = ["arithmetic", "conv", "--input", "7x7x1", "--size", "3", "--stride", "3"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "⌊(7 − 3)/3⌋ + 1 = 2" in text
    assert "! 7x7 does not fit kernel 3, stride 3" in text
    assert "What fits: strides 1, 2 or 4; padding 1; sizes 6 or 9" in text
    assert main([*words, "--strict"]) == 2
    assert "What fits" in capsys.readouterr().err
    assert main([*words[:-1], "2", "--strict"]) == 0


def test_the_text_shows_how_it_is_worked_out(capsys):
    assert main(["arithmetic", "conv", "--input", "32x32x3", "--filters", "10", "--size", "5", "--pad", "2"]) == 0
    assert capsys.readouterr().out == (
        "input          32x32x3\n"
        "output         32x32x10   32 + 2·2 − 5 + 1 = 32\n"
        "parameters     10 filters of (5·5·3 + 1 bias) = 760\n"
        "multiply-adds  32·32·10 outputs of 5·5·3 each = 768,000\n"
        "activations    10,240, 41 kB in float32\n"
        "sees           5x5 of the input\n"
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("arithmetic conv --input 3x32x32", "the channels come last here, as the course writes them, height x width x channels: 32x32x3"),
        ("arithmetic conv --input 32by32", "--input 32by32: expected height x width x channels, such as 32x32x3"),
        ("arithmetic conv", "striate arithmetic conv needs --input HxWxC. See: striate arithmetic conv --help"),
        ("arithmetic stack --input 8x8x3", "striate arithmetic stack needs CHAIN. See:"),
        ("arithmetic conv --input 4x4x1 --size 7", "it needs 7 and there are 4"),
        ("arithmetic conv --input 8x8x3 --pad wide", "--pad wide: expected"),
        ("arithmetic cnv", "Did you mean conv"),
        ("arithmetic stack conv(8) --input 8x8x3", "size is missing"),
        ("summary resnet81", "Did you mean resnet"),
        ("summary resnet18 --input 224x224x3", "the channels come first here, channels x height x width: 3x224x224"),
        ("summary resnet18 --input 224x224", "the channels are missing; write 3x224x224 for colour"),
        ("summary resnet18 --input 3x4x4", "input: 4x4 is too small for resnet18"),
        ("summary lenet5 --set pol=max", "--set: unknown setting 'pol'. Did you mean pool"),
        ("summary lenet5 --set pool", "--set"),
        ("summary lenet5 --depth 0", "--depth: got 0"),
        ("summary lenet5 --html x.txt", "--html x.txt: expected a file that ends in .html"),
        ("arithmetic pool --input 6x6x1 --size 2 --pad 2", "padding: got 2 for a window of 2, expected at most half of it"),
        ("summary nets/mine", "no such run"),
        ("summary no.such.module:net", "needs no, which is not here"),
    ],
)
def test_errors_say_what_to_write(words, text, capsys):
    assert main(words.split()) in (2, 4)
    assert text in capsys.readouterr().err


def test_help_says_what_is_required_and_what_each_layer_is(capsys):
    assert main(["arithmetic", "conv", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--input HxWxC What it reads: height x width x channels, or length x channels. (required)" in text
    assert text.count("(required)") == 1
    assert main(["arithmetic"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Work out a layer by hand: a convolution, or pool, linear, stack." in lines
    assert [line.split(None, 1)[1] for line in lines if line.split()[:1] == ["conv"]] == ["A convolution: output, parameters, work, and what fits."]
    assert main(["--help"]) == 0
    assert "Work out a layer by hand" in capsys.readouterr().out


def test_summary_of_a_zoo_name(tmp_path, capsys):
    page = tmp_path / "lenet.html"
    found = run("summary", "lenet5", "--classes", "7", "--input", "3x32x32", "--set", "pool=average", "--batch", "2", "--html", str(page))(capsys)
    pixels = 28 * 28 * 6 * 75 + 10 * 10 * 16 * 150
    assert found["totals"]["multiply_adds"] == 2 * (pixels + 400 * 120 + 120 * 84 + 84 * 7)
    assert found["boxes"][0]["output_shape"] == [2, 3, 32, 32]
    assert found["page"] == str(page)
    assert "AvgPool2d" in page.read_text()
    assert main(["summary", "lenet5"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("lenet5 on 1x28x28\n")
    assert "61,706" in text
    assert main(["summary", "resnet18", "--depth", "1", "--strict"]) == 2
    assert "conv1: 224x224 does not fit kernel 7, stride 2 and padding 3" in capsys.readouterr().err


def test_summary_of_a_run_and_of_ones_own_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "digits-lenet5-1"
    folder.mkdir(parents=True)
    spec = {"name": "lenet5", "classes": 10, "input": [1, 28, 28], "options": {"pool": "max"}}
    (folder / "run.json").write_text(json.dumps({"model": spec}))
    assert run("summary", "digits-lenet5-1")(capsys)["totals"]["parameters"] == 61_706
    assert main(["summary", "runs/digits-lenet5-1", "--set", "pool=average"]) == 2
    assert "name the architecture instead: lenet5" in capsys.readouterr().err
    (folder / "run.json").write_text(json.dumps({"model": {"name": "Mine", "foreign": True}}))
    assert main(["summary", "digits-lenet5-1"]) == 2
    assert "name its factory: package.module:factory" in capsys.readouterr().err
    (tmp_path / "ownnets.py").write_text("from torch import nn\ndef tiny(classes, channels, width=4):\n    return nn.Conv2d(channels, width, 3)\n")
    found = run("summary", "ownnets:tiny", "--input", "2x9x9", "--set", "width=8")(capsys)
    assert found["totals"]["parameters"] == 8 * (18 + 1)
    sys.modules.pop("ownnets", None)


OWN = """
from torch import nn

class Small(nn.Sequential):
    def __init__(self, classes=3, channels=1):
        super().__init__(nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))

def broken(classes):
    raise KeyError("width")

model = Small()
"""


def test_ones_own_network_says_what_it_is_made_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "madefor.py").write_text(OWN)
    try:
        found = run("summary", "madefor:Small")(capsys)
        assert (found["boxes"][0]["output_shape"], found["boxes"][-1]["output_shape"]) == ([1, 1, 224, 224], [1, 3])
        found = run("summary", "madefor:Small", "--classes", "5", "--input", "2x9x9")(capsys)
        assert (found["boxes"][0]["output_shape"], found["boxes"][-1]["output_shape"]) == ([1, 2, 9, 9], [1, 5])
        assert run("summary", "madefor:model", "--input", "1x9x9")(capsys)["totals"]["parameters"] == 4 * 10 + 4 * 3 + 3
        assert main(["summary", "madefor:broken"]) == 2
        assert "madefor:broken could not be built, for its own code raised KeyError: 'width'" in capsys.readouterr().err
    finally:
        sys.modules.pop("madefor", None)


def test_a_stride_that_fits_by_the_floor_is_named_once(capsys):
    assert main(["summary", "resnet18", "--input", "1x64x48", "--classes", "7"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    square = run("summary", "resnet18", "--input", "1x48x48", "--classes", "7")(capsys)
    boxes = list(dict.fromkeys(floor.partition(":")[0] for floor in square["floors"]))
    assert len(boxes) == len(square["floors"])
    told = f"{len(boxes)} strides fit only by the floor, and no pixel is lost by it ({', '.join(boxes[:4])} and {len(boxes) - 4} more)"
    assert told in text


def test_words_alone_import_no_torch():
    cases = [["summary", "--help"], ["summary", "resnet81"], ["arithmetic"], ["arithmetic", "conv", "--input", "32x32x3"]]
    cases += [["arithmetic", "stack", "conv(8, 3x3)", "--input", "8x8x3"]]
    script = f"import sys\nfrom striate.cli import main\nfor words in {cases!r}:\n    main(words)\n    assert 'torch' not in sys.modules, words\n"
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
