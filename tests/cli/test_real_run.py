"""The commands on a real run: LeNet-5, one epoch of the digits, trained once for all tests here."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from striate.cli import main


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The run's folder and what `striate train` printed."""
    import contextlib

    folder = tmp_path_factory.mktemp("runs") / "first"
    out, err = io.StringIO(), io.StringIO()
    words = [
        "train",
        "digits",
        "--model",
        "lenet5",
        "--epochs",
        "2",
        "--batch",
        "128",
        "--no-report",
        "--set",
        "smoothing=0.1",
        "--folder",
        str(folder),
    ]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    assert code == 0, err.getvalue()
    return {"folder": folder, "out": out.getvalue(), "err": err.getvalue()}


def told_json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_train_tells_what_it_does_and_how_it_went(trained: dict[str, Any]) -> None:
    assert trained["err"].splitlines()[0] == "note: the 8x8 pictures are enlarged to 16x16 by repeating pixels"
    first, second, third, fourth, *rest = trained["out"].splitlines()
    assert first.startswith("train    lenet5 on digits: 1,438 train, 359 test; 10 classes, 1 x ")
    assert second.startswith("recipe   digits: 2 epochs of batch 128, adamw lr 0.008")
    assert re.fullmatch(r"runs on  cpu (bf16|fp32), \d+ threads?, seed 0", third)
    assert fourth.startswith("Python   import striate as st; run = st.train('lenet5', 'digits'")
    assert rest[-1] == f"run      {trained['folder']}"
    table = [line.split() for line in rest if line.startswith(("split", "test"))]
    assert table[0][:4] == ["split", "samples", "wrong", "error"]
    wrong, error = int(table[1][2]), float(table[1][3])
    assert error == pytest.approx(100 * wrong / 359, abs=0.005)
    assert [line.split()[1] for line in trained["err"].splitlines()[1:]] == ["1/2", "2/2"]


def test_the_printed_python_does_the_same(trained: dict[str, Any], tmp_path: Path) -> None:
    line = next(line for line in trained["out"].splitlines() if line.startswith("Python "))
    call = ast.parse(line.removeprefix("Python").strip()).body[1]
    assert isinstance(call, ast.Assign)
    assert isinstance(call.value, ast.Call)
    keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.value.keywords}
    assert keywords == {"epochs": 2, "batch": 128, "seed": 0, "folder": str(trained["folder"]), "settings": {"smoothing": 0.1}}
    import striate as st

    again = st.train(*[ast.literal_eval(argument) for argument in call.value.args], **(keywords | {"folder": tmp_path / "again"}))
    for name, weight in st.Run.load(trained["folder"]).model.state_dict().items():
        assert weight.equal(again.model.state_dict()[name]), "same seed, same machine, same bits"


def test_evaluate_agrees_with_the_end_of_training(trained: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    folder = trained["folder"]
    assert main(["evaluate", str(folder), "--json"]) == 0
    figures = told_json(capsys)["figures"]
    assert figures == pytest.approx(json.loads((folder / "result.json").read_text())["splits"]["test"], rel=1e-3)
    assert main(["evaluate", str(folder), "digits", "--split", "train"]) == 0
    assert "1,438" in capsys.readouterr().out
    assert main(["evaluate", str(folder), "--split", "tset"]) == 2
    assert "test" in capsys.readouterr().err


def test_runs_lists_and_compares(trained: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    folder = trained["folder"]
    assert main(["runs", "--folder", str(folder.parent), "--json"]) == 0
    (listed,) = told_json(capsys)
    assert (listed["name"], listed["state"], listed["model"], listed["data"]) == ("first", "finished", "lenet5", "digits")
    assert main(["runs", "list", "--folder", str(folder.parent)]) == 0
    assert "first" in capsys.readouterr().out
    assert main(["runs", "compare", str(folder), str(folder), "--json"]) == 0
    (pair,) = told_json(capsys)["pairs"]
    assert (pair["only_first"], pair["only_second"]) == (0, 0)


def test_resume_of_a_finished_run_changes_nothing(trained: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    folder, page = trained["folder"], trained["folder"] / "report.html"
    before = (folder / "weights.safetensors").read_bytes()
    assert main(["resume", str(folder), "--no-report", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["state"] == "finished"
    assert "finished already" in told.err
    assert (folder / "weights.safetensors").read_bytes() == before
    page.write_text("as it was")
    assert main(["resume", str(folder)]) == 0
    assert page.read_text() == "as it was"
    assert capsys.readouterr().out.splitlines()[-1] == f"report   {page}"
    page.unlink()


def test_resume_of_a_finished_run_needs_no_folder_that_can_be_written(
    trained: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "anything")

    page = trained["folder"] / "report.html"
    page.write_text("as it was")
    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    assert main(["resume", str(trained["folder"])]) == 0
    page.unlink()
    assert main(["resume", str(trained["folder"])]) == 4
    assert f"{page}: cannot be written (permission denied); choose another place" in capsys.readouterr().err


def test_what_cannot_be_written_is_told_by_its_own_name_with_what_to_do(
    trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trained["folder"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").touch()
    assert main(["train", "--epochs", "0.2", "--no-report"]) == 4
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("error: folder: runs/digits-lenet5-1 cannot be made (not a directory); name a place where folders can be made with ")
    assert told.endswith("folder= (--folder)")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", ".report.html.u62jww6g.tmp")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    assert main(["report", str(folder)]) == 4
    assert capsys.readouterr().err == f"error: {folder / 'report.html'}: cannot be written (permission denied); choose another place: --out FILE\n"
    assert main(["report", str(folder), "--out", "page.html"]) == 4
    assert capsys.readouterr().err == "error: page.html: cannot be written (permission denied); choose another place\n"
    assert main(["runs", "compare", str(folder), str(folder), "--html", "two.html"]) == 4
    assert capsys.readouterr().err == "error: two.html: cannot be written (permission denied); choose another place\n"


def test_evaluate_says_which_views_it_took_and_which_the_run_was_measured_with(
    trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(trained["folder"])]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[0] == f"{trained['folder']} on digits, test, views one"
    assert told.err.splitlines()[-1:] != ["The run's own figures were measured with views one, as its recipe says (--views one)"]
    assert main(["train", "--epochs", "0.2", "--no-report", "--quiet", "--set", "views=mirror", "--folder", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[0] == f"{tmp_path / 'run'} on digits, test, views one"
    assert told.err.splitlines()[-1] == "The run's own figures were measured with views mirror, as its recipe says (--views mirror)"
    assert main(["evaluate", str(tmp_path / "run"), "--views", "mirror", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["figures"] == pytest.approx(json.loads((tmp_path / "run" / "result.json").read_text())["splits"]["test"], rel=1e-3)


def test_hints_can_be_copied_where_a_path_has_blanks(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    place = Path("odd set")
    for number in range(16):
        (place / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (15 * number, 0, 0)).save(place / "ab"[number % 2] / f"{number}.png")
    (place / "a" / "broken.png").write_bytes(b"no picture")
    (place / "Empty").mkdir()
    assert main(["train", str(place), "--epochs", "0.2", "--no-report", "--folder", "my run"]) == 0
    told = capsys.readouterr().err
    assert "1 broken file left out; striate data 'odd set' lists them" in told
    assert "note: 1 class folder holds no picture and became no class: Empty" in told
    assert main(["train", str(place), "--folder", "my run"]) == 4
    assert "`striate resume 'my run'`" in capsys.readouterr().err
    assert main([str(place)]) == 2
    assert capsys.readouterr().err.endswith("write: striate train 'odd set'\n")


def test_train_says_what_the_shape_of_text_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{'good' if n % 2 else 'bad'}\ta film of {n} words" for n in range(40)]
    (tmp_path / "t.tsv").write_text("\n".join(lines))
    assert main(["train", str(tmp_path / "t.tsv"), "--epochs", "0.2", "--no-report", "--folder", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "train    text_cnn on t: 36 train, 4 test; 2 classes, 5 words"


def test_a_folder_with_a_run_is_not_written_over(trained: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs", "1", "--folder", str(trained["folder"])]) == 4
    assert "striate resume" in capsys.readouterr().err


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine digits as PNG files, named by their class, and one broken file."""
    from PIL import Image
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("pictures")
    digits = load_digits()
    for number in range(9):
        place = int((digits.target == number).nonzero()[0][-1])
        Image.fromarray((digits.images[place] * (255 / 16)).astype("uint8")).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def test_predict_names_classes_and_loses_nothing_to_a_broken_file(
    trained: dict[str, Any], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(trained["folder"])
    assert main(["predict", run, str(pictures), "--json", "--top", "2"]) == 3
    told = capsys.readouterr()
    answers = json.loads(told.out)
    assert [Path(answer["path"]).name for answer in answers] == [*[f"{n}.png" for n in range(9)], "broken.png"]
    assert "problem" in answers[-1]
    assert "1 of 10 files cannot be read" in told.err
    assert "9 of 10 pictures were brought to 16 x 16 pixels" in told.err
    assert "broken.png" in told.err
    right = sum(Path(answer["path"]).stem == answer["classes"][0]["name"] for answer in answers[:-1])
    assert right >= 6, "two epochs read most digits"
    assert main(["predict", run, str(pictures / "3.png"), "--csv", "--top", "2"]) == 0
    head, row = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert head == ["path", "problem", "class1", "share1", "class2", "share2"]
    assert float(row[3]) >= float(row[5])
    assert main(["predict", run, f"{pictures}/[0-3].png"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert main(["predict", run, str(pictures / "broken.png")]) == 3
    assert main(["predict", run, "x.png", "--json", "--csv"]) == 2


def test_doctor_tells_of_this_machine(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "gone"))
    assert main(["doctor", "--json"]) == 0
    found = told_json(capsys)
    assert found["versions"]["torch"] == torch.__version__
    assert found["will use"]["threads"] == torch.get_num_threads()
    assert found["folders"]["cache"] == str(tmp_path / "cache")
    assert any("STRIATE_DATA" in warning for warning in found["warnings"])
    assert main(["doctor"]) == 0
    assert re.search(r"^  device +\w+$", capsys.readouterr().out, re.MULTILINE)


def test_train_json_is_the_one_thing_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs", "0.2", "--no-report", "--json", "--folder", str(tmp_path / "run")]) == 0
    told = told_json(capsys)
    assert told["run"] == str(tmp_path / "run")
    assert told["splits"]["test"]["n"] == 359
    assert told["report"] is None


def test_train_quiet_prints_one_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs", "0.2", "--no-report", "--quiet", "--folder", str(tmp_path / "run")]) == 0
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'run'}\n"
    assert told.err == ""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    code = "import sys; from striate.cli import main; sys.exit(main(sys.argv[1:]))"
    child = subprocess.Popen(
        [sys.executable, "-c", code, "train", "--epochs", "500", "--no-report", "--folder", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (folder / "history.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert f"striate resume {folder}" in err
    assert "Traceback" not in err
    assert json.loads((folder / "run.json").read_text())["state"] == "stopped"
