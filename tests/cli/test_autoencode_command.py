"""`striate autoencode`: what it prints, what it writes, what it refuses before torch is loaded."""

from __future__ import annotations

import json

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


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--widths", "20,x"], "--widths: got '20,x', expected whole numbers joined by commas"),
        (["--form", "convolutional"], "needs the channels of its convolutions"),
        (["--start", "boltzmann"], "goes with --activation sigmoid"),
        (["--noise", "gausian"], "gaussian"),
        (["--size", "9"], "pictures of one size already"),
        (["--code", "0"], "--code: got 0, expected how many numbers a code has: 1 or more"),
        (["--code", "-1", "--form", "convolutional", "--widths", "8"], "--code: got -1"),
    ],
)
def test_bad_words_are_refused_by_name(words, told, capsys):
    assert main(["autoencode", "digits", *words]) == 2
    assert told in capsys.readouterr().err
