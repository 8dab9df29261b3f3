"""`striate autoencode`: what it prints, what it writes, what it refuses before torch is loaded."""

from __future__ import annotations

import json
import shlex

import pytest

from striate.cli import main


def test_it_learns_reports_and_tells_how_to_do_it_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["autoencode", "digits", "--code", "6", "--widths", "20", "--activation", "sigmoid", "--start", "stacked", "--epochs", "1", "--json"]
    assert main([*words, "--folder", "run"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["code"] == told["components"] == 6
    assert [layer["name"] for layer in told["layers"]] == ["fc1", "code"]
    assert told["gain"]["PCA"] == pytest.approx(told["psnr"]["model"] - told["psnr"]["PCA"])
    page = (tmp_path / "run" / "report.html").read_text()
    assert "striate autoencode digits --code 6 --widths 20 --activation sigmoid --start stacked --epochs 1 --seed 0" in page
    assert "st.autoencode.stack(None, &#39;digits&#39;" in page
    assert main([*words, "--folder", "run"]) == 4
    assert "already holds a run" in capsys.readouterr().err


@pytest.mark.parametrize("start", ["stacked", "boltzmann"])
def test_a_stopped_one_says_the_command_that_goes_on_with_it(tmp_path, monkeypatch, capsys, start):
    from striate.autoencode import turns
    from striate.training import Run

    monkeypatch.chdir(tmp_path)
    taken = turns.Turns.take
    words = ["autoencode", "digits", "--code", "3", "--widths", "8", "--activation", "sigmoid", "--start", start, "--epochs", "1", "--seed", "0"]

    def stopped(self, name, *given, **how):
        if name.endswith("-2"):
            monkeypatch.setattr(turns.Turns, "take", taken)
            raise KeyboardInterrupt
        return taken(self, name, *given, **how)

    monkeypatch.setattr(turns.Turns, "take", stopped)
    assert main([*words, "--no-report", "--quiet"]) == 130
    told = capsys.readouterr().err
    folder = next((tmp_path / "runs").iterdir()).relative_to(tmp_path)
    assert f"everything is saved in {folder}. Go on: striate autoencode digits --code 3 --widths 8 " in " ".join(told.split())
    again = shlex.split(" ".join(told.split()).partition("Go on: striate ")[2])
    assert again[-2:] == ["--folder", str(folder)]
    for place in (folder, next(path.parent for path in folder.glob("*/run.json")), folder.name):
        assert main(["resume", str(place)]) == 2
        assert f"were stopped in {folder}; give the command that began them again" in " ".join(capsys.readouterr().err.split())
    assert main([*again, "--no-report", "--json"]) == 0
    assert "1 of 2 is finished already and kept" in capsys.readouterr().err
    assert Run.load(folder).state == "finished"
    assert main([*again, "--no-report"]) == 4
    assert "already holds a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--widths", "20,x"], "--widths: got '20,x', expected whole numbers joined by commas"),
        (["--form", "convolutional"], "needs the channels of its convolutions"),
        (["--start", "boltzmann"], "goes with --activation sigmoid"),
        (["--noise", "gausian"], "gaussian"),
        (["--size", "9"], "pictures of one size already"),
        (["--code", "0"], "--code: got 0, expected how many numbers a code has: 1 or more"),
        (["--amount", "2", "--noise", "salt"], "--amount: got 2, expected more than 0 and at most 1"),
        (["--amount", "2"], "--amount: got 2, expected more than 0 and at most 1"),
        (["--amount", "0.3"], "--amount: got 0.3, but no pixel is spoiled without --noise; add --noise masking, gaussian or salt"),
        (["--code", "-1", "--form", "convolutional", "--widths", "8"], "--code: got -1"),
    ],
)
def test_bad_words_are_refused_by_name(words, told, capsys):
    assert main(["autoencode", "digits", *words]) == 2
    assert told in capsys.readouterr().err
