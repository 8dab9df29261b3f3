"""Help, completion and errors in arguments are answered without torch, matplotlib or pandas."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "matplotlib", "pandas", "sklearn", "scipy", "PIL")
CASES = (
    (["--help"], 0),
    ([], 0),
    (["--version"], 0),
    (["train", "--help"], 0),
    (["runs", "--help"], 0),
    (["trian"], 2),
    (["train", "--epoch", "3"], 2),
    (["train", "--epochs", "many"], 2),
    (["train", "--model", "resnet81"], 2),
    (["train", "--set", "smothing=0.1"], 2),
    (["train", "--strategy", "linear"], 2),
    (["train", "digit"], 3),
    (["resume"], 2),
    (["resume", "nothing-here"], 4),
    (["predict", "nothing-here", "x.png"], 4),
    (["models"], 0),
    (["recipes"], 0),
    (["recipes", "digits", "--json"], 0),
    (["runs", "--folder", "nothing-here"], 0),
)
SCRIPT = f"""
import json, sys
from striate.cli import main
found = []
for words in {[words for words, _ in CASES]!r}:
    code = main(words)
    found.append([code, [name for name in {HEAVY!r} if name in sys.modules]])
print("FOUND" + json.dumps(found))
"""


def test_words_alone_import_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=False, capture_output=True, text=True, timeout=60)
    assert "FOUND" in done.stdout, done.stderr
    found = json.loads(done.stdout.partition("FOUND")[2])
    assert [[code, []] for _, code in CASES] == found
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("striate tr", "train"),
        ("striate train --model lenet", "lenet5"),
        ("striate train --precision b", "bf16"),
        ("striate train mni", "mnist"),
        ("striate runs c", "compare"),
        ("striate train --sm --str", "--strategy"),
        ("striate recipes cifar-s", "cifar-sprint"),
    ],
)
def test_tab_completes(words: str, offered: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from striate.cli import main

    monkeypatch.setenv("_STRIATE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    assert main([]) == 0
    assert offered in [line.partition(",")[2] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(("shell", "expected"), [("bash", "complete -o nosort"), ("zsh", "#compdef striate"), ("fish", "complete --no-files")])
def test_completion_prints_the_shells_script(shell: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    from striate.cli import main

    if shell == "bash" and os.name == "nt":
        pytest.skip("no bash")
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert expected in text
    assert "_STRIATE_COMPLETE" in text


def test_python_m_striate_is_the_command_line():
    done = subprocess.run([sys.executable, "-m", "striate", "trian"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown command 'trian'. Did you mean train" in done.stderr
