"""`striate train --weights`: words that do not fit are refused before torch is imported; a folder of pictures becomes a run with its report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate.cli import main
from striate.cli.plan import make_plan
from striate.core.errors import ArgumentError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two classes, twelve pictures each in train and six in val."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 6)):
        for label, name in enumerate(("dark", "light")):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(90 * label, 90 * label + 120, (40, 48, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A small network's file with the preprocessing it was trained with."""
    import torch

    from striate import zoo
    from striate.core.runtime import random_state_kept
    from striate.pixels import Preprocess

    with random_state_kept():
        torch.manual_seed(0)
        model = zoo.build("resnet20", classes=4, input=(3, 16, 16))
        with torch.no_grad():
            for _ in range(10):
                model(torch.randn(32, 3, 16, 16))
    path = tmp_path / "weights" / "small.safetensors"
    path.parent.mkdir()
    zoo.save_weights(model, path, preprocess=Preprocess(size=(16, 16), mean=(0.5,), std=(0.25,)))
    return path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--strategy", "linear"], "--strategy linear: it starts from pretrained weights, and none are named. Give --model NAME with --weights FILE"),
        (["--weights", "x.pth"], "--weights: say which network they are for: --model NAME"),
        (["--model", "resnet18", "--weights", "x.pth"], "--weights: x.pth: no such file"),
        (["--model", "resnet18", "--weights", "published:V9"], "unknown published weights of resnet18 'V9'"),
        (["--model", "lenet5", "--weights", "published"], "nothing is published for 'lenet5'"),
        (["--model", "resnet18", "--weights", "published", "--recipe", "pictures"], "--recipe: with --weights the strategy chooses the recipe"),
        (["--at", "layer3"], "--at layer3: it says where a pretrained network's codes are read"),
        (["--strategy", "liner"], "Did you mean linear"),
    ],
)
def test_words_that_do_not_go_together(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "digits", *words]) != 0
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_misspelled_file_is_told_the_nearest(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "digits", "--model", "resnet20", "--weights", str(weights.with_name("smal.safetensors"))]) != 0
    assert "Did you mean" in capsys.readouterr().err


def test_layers_are_named_on_the_command_line(photos: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", str(photos), "--model", "resnet20", "--weights", str(weights), "--folder", str(tmp_path / "run"), "--no-report"]
    assert main([*words, "--at", "layer33"]) != 0
    assert "Did you mean layer3" in capsys.readouterr().err
    assert main([*words, "--at", "layer3", "--at", "layer2", "--strategy", "linear", "--json"]) == 0
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert set(facts["transfer"]["choice"]["at"]) <= {"layer2", "layer3"}
    assert [row["at"] for row in facts["transfer"]["advice"]["depths"]] == ["layer2", "layer3"], "shallow to deep, as they lie in the network"
    assert facts["command"].endswith("--at layer3 --at layer2")


def test_the_plan_spells_the_python_that_does_the_same(weights: Path) -> None:
    plan = make_plan("digits", model="resnet20", weights=str(weights), strategy="finetune", epochs=2.0, seed=3, edits=("smoothing=0.1",), size=64)
    wanted = f"weights='{weights}', strategy='finetune', size=64, seed=3, settings_of_recipe="
    told = plan.python("resnet20")
    assert told.startswith(f"st.fine_tune('resnet20', 'digits', {wanted}")
    assert dict(plan.transfer or {})["settings_of_recipe"] == {"epochs": 2, "smoothing": 0.1}
    with pytest.raises(
        ArgumentError, match="--strategy svm: it fits a head in closed form and has no recipe, so epochs, smoothing would say nothing"
    ):
        make_plan("digits", model="resnet20", weights=str(weights), strategy="svm", epochs=2.0, edits=("smoothing=0.1",))


def test_torch_stays_out_until_the_words_are_right() -> None:
    script = (
        "import sys; from striate.cli import main; main(['train', 'digits', '--strategy', 'svm']); "
        "print([name for name in ('torch', 'sklearn', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_becomes_a_run_with_its_report(photos: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", str(photos), "--model", "resnet20", "--weights", str(weights), "--folder", str(tmp_path / "run")]
    assert main([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["splits"]["val"]["error"] == 0.0
    assert "pretrained weights" in Path(answer["report"]).read_text()
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["command"] == f"striate train {photos} --model resnet20 --weights {weights} --strategy auto --folder {tmp_path / 'run'} --seed 0"
    again = ["predict", str(tmp_path / "run"), str(photos / "val" / "light" / "0.png")]
    assert main(again) == 0
    assert "light" in capsys.readouterr().out
