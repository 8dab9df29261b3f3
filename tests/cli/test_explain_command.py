"""`striate explain` and its short forms: words checked without torch, one sheet and its pictures, JSON, a run's errors."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import striate.understand as u
from striate import zoo
from striate.cli import main
from striate.cli.looking import Subject
from striate.core.errors import ArgumentError, UnknownNameError
from striate.training import train
from striate.understand.explaining import chosen, explain, maps, named_only, parsed_options
from striate.understand.registry import methods


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run on the digits that still errs."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train("lenet5", "digits", folder=folder, epochs=1, batch=64, seed=0, device="cpu", precision="fp32")
    return folder


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "seven.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32), dtype=np.uint8)).save(path)
    return path


def test_one_sheet_and_a_picture_for_each_method(run, picture, tmp_path, capsys):
    words = [
        "explain",
        str(run),
        str(picture),
        "--method",
        "saliency,occlusion",
        "--set",
        "occlusion.window=5",
        "--target",
        "3",
        "--out",
        str(tmp_path / "o"),
    ]
    assert main([*words, "--arrays"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("What tiny sees in a picture\n")
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == [
        "explained.html",
        "occlusion.npz",
        "occlusion.png",
        "saliency.npz",
        "saliency.png",
    ]
    stored = u.load(tmp_path / "o" / "occlusion.npz")
    assert stored.options["window"] == 5
    assert stored.target == (3,)
    assert stored.names == ("seven.png",)
    page = (tmp_path / "o" / "explained.html").read_text(encoding="utf-8")
    assert page.index("Saliency") < page.index("Occlusion")
    assert str(tmp_path) not in page
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told["methods"]) == ["saliency", "occlusion"]
    assert told["methods"]["occlusion"]["receipts"]["raw_max"] == pytest.approx(float(stored.arrays["map"].max()))
    assert told["failures"] == {}


def test_the_runs_worst_errors_are_explained(run, capsys):
    assert main(["explain", str(run), "--errors", "--count", "3", "--method", "saliency", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    made = told["methods"]["saliency"]
    assert told["page"].endswith("errors-explained/explained.html")
    assert len(made["names"]) == len(made["target"]) == 3
    for name, said in zip(made["names"], made["target"], strict=True):
        assert int(name.partition(" ")[0]) != said, "each is an error: what it is differs from what is explained"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--method", "saliencey"], 2, "Did you mean saliency"),
        (["--method", "occlusion", "--set", "occlusion.windo=3"], 2, "Did you mean window"),
        (["--method", "occlusion", "--set", "saliency.x=3"], 2, "unknown method 'saliency'"),
        (["--method", "occlusion", "--set", "window"], 2, "expected METHOD.KEY=VALUE"),
        (["--method", "occlusion", "--set", "window=wide"], 2, "window"),
        (["--preprocess", "imagnet"], 2, "imagenet"),
        (["--weights", "x.pth"], 2, "is a run and has its own"),
        (["--errors"], 2, "not both"),
        (["--target", "10", "--method", "saliency"], 2, "from 0 to 9"),
        (["--target", "-1", "--method", "saliency"], 2, "got -1, expected a class from 0 to 9"),
        (["--target", "3.5", "--method", "saliency"], 2, "unknown class '3.5'"),
        (["--method", "grad_cam", "--set", "layer=conv22"], 2, "Did you mean conv2"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_done(run, picture, words, code, said, capsys):
    assert main(["explain", str(run), str(picture), *words]) == code
    assert said in capsys.readouterr().err
    assert main(["explain", str(run)]) == 2
    assert "--errors" in capsys.readouterr().err


def test_short_forms(run, picture, tmp_path, capsys):
    out = ["--out", str(tmp_path / "o")]
    assert main(["filters", str(run), "--set", "count=2", *out]) == 0
    assert "filters of" in capsys.readouterr().out
    assert main(["neighbours", str(run), "--samples", "100", "--json", *out]) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "neighbours"
    assert main(["map", str(run), "--samples", "60", "--by", "pca", "--json", *out]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["points"]) == len(told["labels"]) == len(told["index"]) == 60
    assert main(["fool", str(run), str(picture), "--method", "fgsm", *out]) == 0
    capsys.readouterr()
    for word in ("saliency", "dream", "invert", "nope"):
        assert main(["fool", str(run), str(picture), "--method", word, *out]) == 2
        assert "(allowed: ddn, deepfool, fgsm, fooling, pgd)" in capsys.readouterr().err
    assert main(["filters", str(run), "--data", "digits"]) == 2
    assert {path.name for path in (tmp_path / "o").iterdir()} >= {f"code_map.{ending}" for ending in ("png", "html", "npz")}


def test_a_network_without_weights_is_refused_and_foreign_ones_are_opened():
    with pytest.raises(ArgumentError, match="without weights"):
        Subject.read("resnet18")
    with pytest.raises(ArgumentError, match="Did you mean resnet18"):
        Subject.read("resnet81")
    assert Subject.read("resnet18", "x.pth").name == "resnet18"
    assert Subject.read("package.module:factory").name == "package.module-factory"


def test_methods_share_target_and_seed_and_failures_of_all_are_named():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(4 * 100, 3))
    images = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    watched = []
    made = explain(model, images, method=["saliency", "input-x-gradient"], target=1, seed=4, watch=lambda *what: watched.append(what))
    assert list(made.explanations) == ["saliency", "input_x_gradient"]
    assert watched == [("saliency", 0, 2), ("input_x_gradient", 1, 2)]
    assert made["saliency"].target == (1, 1)
    assert np.array_equal(made["saliency"].arrays["map"], u.saliency(model, images, target=1).arrays["map"])
    with pytest.raises(ArgumentError, match="no ReLU"):
        explain(model, images, method="guided")
    with pytest.raises(ArgumentError, match="got none"):
        explain(model, method="saliency")
    with pytest.raises(ArgumentError, match="looks at a data set"):
        explain(model, images, method="neighbours")


def test_all_is_every_map_and_says_what_it_leaves_out(run, picture, tmp_path, capsys):
    assert {"guided", "occlusion", "grad_cam"} <= set(maps())
    assert set(maps()) | set(named_only()) == set(methods.names())
    assert chosen("all") == maps()
    assert chosen("filters") == ("filters",)
    assert chosen("pgd,all,Grad-CAM") == ("pgd", *maps())
    assert main(["explain", "--help"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in named_only())
    assert main(["explain", str(run), str(picture), "--method", "all,fgsm", "--set", "occlusion.window=7", "--out", str(tmp_path / "o")]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "to be asked for by name: ddn, deepfool, dream, filters," in said, "fgsm was asked for"
    page = (tmp_path / "o" / "explained.html").read_text(encoding="utf-8")
    assert "to be asked for by name" in page
    assert "FGSM" in page
    with pytest.raises(UnknownNameError, match="Did you mean all"):
        chosen("al")


def test_a_failure_within_all_is_named_and_one_asked_for_raises():
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(4 * 100, 3))
    images = torch.rand(1, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    small = {"occlusion": {"stride": 3}, "smoothgrad": {"samples": 2}}
    made = explain(model, images, method="all", options=small)
    assert set(made.failures) == {"guided", "deconvnet"}
    assert set(made.left_out) == set(named_only())
    with pytest.raises(ArgumentError, match="no ReLU"):
        explain(model, images, method="all,guided", options=small)


def test_what_is_wrong_with_model_or_pictures_is_said_once(run, tmp_path, capsys):
    text, cut, grey = tmp_path / "text.png", tmp_path / "cut.png", tmp_path / "grey.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)).save(grey)
    text.write_text("no picture")
    cut.write_bytes(grey.read_bytes()[:900])
    for path, words in ((text, "is text, not a picture"), (cut, "cut off"), (tmp_path / "none.png", "does not exist")):
        assert main(["explain", str(run), str(path), "--method", "all"]) == 3
        said = capsys.readouterr().err
        assert said.count(words) == 1, said
        assert said.startswith(f"error: {path}")
    network = zoo.build("resnet20", classes=10, input=(3, 32, 32))
    zoo.save_weights(network, tmp_path / "sound.safetensors")
    made = [
        "--method",
        "all",
        "--set",
        "stride=8",
        "--set",
        "samples=2",
        "--set",
        "most=24",
        "--preprocess",
        "identity",
        "--out",
        str(tmp_path / "o"),
    ]
    words = ["explain", "resnet20", str(grey), "--weights", str(tmp_path / "sound.safetensors"), *made, "--json"]
    assert main(words) == 0
    notes = json.loads(capsys.readouterr().out)["methods"]["saliency"]["notes"]
    assert "grey pictures were given to all three channels" in notes, "also where no preprocess says how many the network wants"
    with torch.no_grad():
        network.conv1.weight[0, 0, 0, 0] = torch.nan
    zoo.save_weights(network, tmp_path / "broken.safetensors")
    assert main([*words[:4], str(tmp_path / "broken.safetensors"), *made]) == 2
    assert capsys.readouterr().err.count("conv1.weight holds NaN") == 1


def test_a_bare_file_of_imagenet_has_names(tmp_path, capsys):
    network = zoo.build("squeezenet1_1", classes=1000, input=(3, 224, 224))
    torch.save(network.state_dict(), tmp_path / "squeeze.pth")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (240, 300, 3), dtype=np.uint8)).save(tmp_path / "noise.png")
    words = ["explain", "squeezenet1_1", str(tmp_path / "noise.png"), "--weights", str(tmp_path / "squeeze.pth"), "--out", str(tmp_path / "o")]
    assert main([*words, "--method", "saliency", "--target", "goldfish", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["methods"]["saliency"]
    assert told["target"] == [1]
    assert told["classes"][1] == "goldfish"
    assert told["arrays"]["pixels"] == [1, 3, 224, 224], "prepared as for ImageNet"
    assert any("names neither classes nor a preprocess" in note for note in told["notes"])
    assert main([*words, "--method", "saliency", "--target", "goldfisch"]) == 2
    assert "goldfish" in capsys.readouterr().err
    zoo.save_weights(network, tmp_path / "own.safetensors", classes=[f"kind {number}" for number in range(1000)])
    mine = zoo.build("squeezenet1_1", classes=1000, input=(3, 224, 224), weights=tmp_path / "own.safetensors")
    with u.prepare(mine, torch.zeros(1, 3, 64, 64)) as p:
        assert p.classes[1] == "kind 1", "a file's own names stay"
        assert not any("ImageNet" in note for note in p.notes)


def test_options_find_their_method():
    assert parsed_options(["window=7"], ("saliency", "occlusion")) == {"occlusion": {"window": 7}}
    assert parsed_options(["occlusion.window=7", "layer=a.b"], ("occlusion", "grad_cam")) == {
        "occlusion": {"window": 7},
        "grad_cam": {"layer": "a.b"},
    }
    assert {entry.facts["needs"] for entry in methods} >= {"images", "data", "nothing"}
