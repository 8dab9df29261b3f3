"""`striate models`: the table, its order, JSON, one card with its stages, drawings; torch only where something is measured."""

import json
import subprocess
import sys

import pytest

from striate import zoo
from striate.cli import main
from striate.zoo.figures import figures, measured


def run(capsys, *words):
    status = main(["models", *words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_every_architecture_has_its_figures():
    assert set(figures()) == set(zoo.names()), "run python -m striate.zoo.figures"


CHEAP = (
    "alexnet_227",
    "fractalnet20",
    "lenet5",
    "lenet5_1998",
    "mlp",
    "nin_cifar",
    "pattern",
    "plain20",
    "resnet18",
    "resnet20",
    "resnext29_8x64d",
    "sprint28",
    "squeezenet1_1",
    "text_cnn",
    "vgg16",
    "wide_resnet16_8",
    "zfnet",
)
"""Quickly measured, one of each kind; all others in the slow suite."""


@pytest.mark.parametrize("name", [name if name in CHEAP else pytest.param(name, marks=pytest.mark.slow) for name in zoo.names()])
def test_the_figures_are_what_measuring_gives(name):
    assert figures()[name] == measured(name), f"run python -m striate.zoo.figures {name}"


def test_the_table_is_sorted_as_asked(capsys):
    _, out, _ = run(capsys, "resnet??", "--sort", "gmacs")
    names = [line.split()[0] for line in out.splitlines()[1:] if line.startswith("resnet")]
    assert names == sorted(names, key=lambda name: figures()[name]["multiply_adds"])
    assert "27.88 % ImageNet" in out
    assert "11,689,512" in out
    _, out, _ = run(capsys, "*", "--sort", "error", "--json")
    rows = json.loads(out)
    errors = [row["error"] for row in rows if row["error"] is not None]
    assert errors == sorted(errors)
    assert [row["error"] for row in rows][-1] is None, "unknown ones come last"
    row = next(row for row in rows if row["name"] == "vgg16")
    assert row["memory"] == 4 * 138_357_544 + figures()["vgg16"]["stored"]
    assert (row["field"], row["error"], row["error_of"]) == (212, 25.6, "ImageNet")


def test_listing_does_not_import_torch():
    code = "import sys; from striate.cli import main; main(['models']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_one_name_shows_its_card_and_stages(capsys):
    _, out, _ = run(capsys, "alexnet_227")
    lines = out.splitlines()
    assert "Krizhevsky, Sutskever, Hinton" in out
    assert any(line.split() == ["│", "pool1", "max", "pool", "3×3,", "stride", "2", "·", "lrn", "96×27×27"] for line in lines)
    last = next(line for line in lines if line.startswith("└"))
    assert last.split()[:3] == ["└", "fc8", "linear,"]
    assert "options     stem=auto (or imagenet, small); dropout=0.5" in lines
    counts = [int(line.split()[-2].replace(",", "")) for line in lines if line.startswith(("│ conv", "│ fc", "└ fc"))]
    assert sum(counts) == 62_378_344, "the stages' parameters are the network's"


def test_drawings(capsys, tmp_path):
    status, _, err = run(capsys, "squeezenet1_1", "--svg", str(tmp_path / "net.svg"))
    svg = (tmp_path / "net.svg").read_text()
    assert status == 0
    assert "net.svg" in err
    assert svg.count("<rect") == 2 * svg.count("<g>")
    assert "features.3.concat" in svg or "fire" in svg.lower() or "concat" in svg
    for words, told in (
        (("resnet*", "--svg", "x.svg"), "--svg: draws one architecture"),
        (("resnet18", "--depth", "1"), "--depth: belongs to --svg FILE"),
        (("lenet5", "--svg", "x.png"), "expected a name that ends in .svg"),
        (("resnet51",), "Did you mean"),
    ):
        status, _, err = run(capsys, *words)
        assert status == 2
        assert told in err
