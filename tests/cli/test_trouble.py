"""Every error is one message on stderr, with the exit code its kind has; tracebacks only when asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from striate.cli import main
from striate.cli.app import guarded
from striate.core.errors import (
    ArgumentError,
    DataError,
    DivergenceError,
    Interrupted,
    PictureError,
    RunInUseError,
    StorageError,
    StriateError,
    TrainingError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StriateError("text"), 1),
        (ArgumentError("text"), 2),
        (DataError("text"), 3),
        (PictureError("a.png", "text", "Fix it."), 3),
        (StorageError("text"), 4),
        (RunInUseError("text"), 4),
        (TrainingError("text"), 5),
        (DivergenceError("text"), 5),
        (Interrupted("text"), 130),
    ],
)
def test_each_kind_of_error_has_its_code_and_one_message(error: StriateError, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def action() -> int:
        raise error

    assert guarded(action) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (f"{error}\n" if code == 130 else f"error: {error}\n")
    assert guarded(action, debug=True) == code
    assert "Traceback" in capsys.readouterr().err


def test_what_nobody_foresaw_is_one_line_with_the_way_to_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    def action() -> int:
        raise KeyError("two\nlines")

    assert guarded(action) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("error: KeyError: ")
    assert "--debug" in err


def test_a_file_the_system_refuses_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(lambda: len((tmp_path / "gone").read_text())) == 4
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'gone'}: no such file or directory. ")


def test_a_folder_that_is_a_file_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["train", "--folder", str(tmp_path / "file")]) == 2
    assert "is a file" in capsys.readouterr().err


def test_ctrl_c_outside_training(capsys: pytest.CaptureFixture[str]) -> None:
    def action() -> int:
        raise KeyboardInterrupt

    assert guarded(action) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("words", "code", "texts"),
    [
        (["trian"], 2, ["unknown command 'trian'", "Did you mean train or trace?"]),
        (["runs", "compar"], 2, ["Did you mean compare?"]),
        (["train", "--epoch", "3"], 2, ["striate train has no option --epoch. Did you mean --epochs?"]),
        (["train", "--lr"], 2, ["striate train: --lr needs a value"]),
        (["train", "--seed", "1.5"], 2, ["--seed: got 1.5, expected a whole number"]),
        (["train", "--epochs", "-1"], 2, ["--epochs: got -1.0, expected more than 0"]),
        (["train", "--precision", "fp16"], 2, ["--precision", "Did you mean bf16?"]),
        (["train", "--device", "gpu"], 2, ["--device: got 'gpu', expected auto, cpu, cuda"]),
        (["train", "--strategy", "finetune"], 2, ["pretrained weights", "--weights published", "--strategy scratch"]),
        (["train", "--model", "lenet55"], 2, ["--model", "Did you mean lenet5"]),
        (["train", "--recipe", "digts"], 2, ["--recipe", "Did you mean digits?"]),
        (["train", "--set", "smoothing"], 2, ["--set smoothing: expected KEY=VALUE"]),
        (["train", "--set", "smothing=1"], 2, ["--set", "Did you mean smoothing?"]),
        (["train", "--set", "smoothing=2"], 2, ["--set smoothing: got 2", "a share from 0 up to 1"]),
        (["train", "--set", "lr=1", "--lr", "2"], 2, ["both set lr"]),
        (["train", "--data-option", "foo=1"], 2, ["digits has no option 'foo'"]),
        (["train", "--size", "32"], 2, ["--size is for"]),
        (["train", "digit"], 3, ["digit: no such file or folder", "Did you mean digits?"]),
        (["train", "a", "b"], 2, ["unexpected extra argument (b)"]),
        (["resume"], 2, ["striate resume needs RUN"]),
        (["evaluate", "nothing"], 4, ["nothing: no such run"]),
        (["runs", "compare", "a"], 2, ["two or more runs, got 1"]),
    ],
)
def test_messages_say_what_came_and_what_to_do(words: list[str], code: int, texts: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    for text in texts:
        assert text in told.err


def test_a_path_in_place_of_a_command_is_understood(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert f"striate train {tmp_path}" in capsys.readouterr().err


def test_debug_may_stand_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--debug", "nothing"]) == 4
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a Unix pipe")
def test_a_closed_pipe_is_quiet() -> None:
    code = "import sys, time; from striate.cli import main; time.sleep(0.3); sys.exit(main(['recipes']))"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    err = child.stderr.read()
    child.stderr.close()
    assert child.wait(30) == 141
    assert err == b""


def test_output_into_a_pipe_is_utf8_whatever_the_systems_code_page() -> None:
    code = "from striate.cli.app import speak_utf8; speak_utf8(); print('kočka')"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONIOENCODING": "cp1252"}, capture_output=True, check=True)
    assert done.stdout.decode("utf-8").strip() == "kočka"
