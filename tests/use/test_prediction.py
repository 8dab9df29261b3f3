"""Predictions equal what the network says when asked by hand; broken files are listed; order and views hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from striate.core.errors import ArgumentError, DataError
from striate.pixels import Preprocess
from striate.training import Run
from striate.use import predict

CLASSES = ("left", "right", "dark")


class Sides(nn.Module):
    """Logits by hand: brightness of the left half, of the right half, and darkness."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        half = x.shape[-1] // 2
        left, right = x[..., :half].mean((1, 2, 3)), x[..., half:].mean((1, 2, 3))
        return torch.stack([4 * left, 4 * right, 2 - left - right], dim=1)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    preprocess = Preprocess(size=(8, 8), channels=1, resize="squash")
    facts = {
        "state": "finished",
        "classes": list(CLASSES),
        "task": "classify",
        "preprocess": preprocess.to_json(),
        "model": {"name": "Sides", "foreign": True},
    }
    made = Run.create(tmp_path / "run", facts)
    made.__dict__["model"] = Sides().eval()
    return made


def picture(path: Path, left: int, right: int, side: int = 8) -> Path:
    pixels = np.zeros((side, side), np.uint8)
    pixels[:, : side // 2], pixels[:, side // 2 :] = left, right
    Image.fromarray(pixels).save(path)
    return path


def by_hand(left: int, right: int) -> list[float]:
    a, b = left / 255, right / 255
    powers = np.exp([4 * a, 4 * b, 2 - a - b])
    return list(powers / powers.sum())


def test_shares_are_the_softmax_by_hand_in_the_files_order(run: Run, tmp_path: Path) -> None:
    cases = {"c.png": (255, 0), "a.png": (0, 255), "b.png": (10, 20), "d.png": (200, 100)}
    files = [picture(tmp_path / name, *sides) for name, sides in cases.items()]
    answers = predict(run, files, top=3, batch=3, precision="fp32")
    assert [answer.path for answer in answers] == files
    for answer, sides in zip(answers, cases.values(), strict=True):
        expected = dict(zip(CLASSES, by_hand(*sides), strict=True))
        assert answer.shares == tuple(sorted(answer.shares, reverse=True))
        assert dict(zip(answer.classes, answer.shares, strict=True)) == pytest.approx(expected, rel=1e-5)
    assert str(answers[0]) == f"{files[0]}: left ({answers[0].shares[0]:.1%})"


def test_mirror_view_is_the_mean_of_both_logits(run: Run, tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png", 255, 0)
    (answer,) = predict(run, file, top=3, views="mirror", precision="fp32")
    expected = np.exp([2.0, 2.0, 1.0]) / np.exp([2.0, 2.0, 1.0]).sum()
    assert sorted(answer.shares) == pytest.approx(sorted(expected), rel=1e-5)


def test_broken_files_are_listed_in_place(run: Run, tmp_path: Path) -> None:
    good = picture(tmp_path / "a.png", 255, 0)
    (tmp_path / "b.png").write_bytes(b"no picture")
    gone = tmp_path / "gone.png"
    answers = predict(run, [tmp_path / "b.png", good, gone], top=99)
    assert [answer.problem is None for answer in answers] == [False, True, False]
    assert len(answers[1].classes) == 3, "no more classes than there are"
    assert "no such file" in str(answers[2])
    assert answers[0].classes == ()


def test_nothing_readable_is_an_error_that_lists_all(run: Run, tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"none of the 2 files can be read(.|\n)*b\.png(.|\n)*gone\.png: no such file"):
        predict(run, [tmp_path / "b.png", tmp_path / "gone.png"])
    with pytest.raises(ArgumentError, match="top: got 0"):
        predict(run, tmp_path / "b.png", top=0)


def test_a_network_that_never_resizes_says_so_when_it_must(run: Run, tmp_path: Path) -> None:
    fixed = Preprocess(size=(8, 8), channels=1, resize="none")
    run.__dict__["preprocess"] = fixed
    own, large = picture(tmp_path / "a.png", 255, 0), picture(tmp_path / "b.png", 255, 0, side=16)
    first, second = predict(run, [own, large], precision="fp32")
    assert (first.note, second.note) == ("", "brought to 8 x 8 pixels")
    assert second.shares == pytest.approx(first.shares, abs=0.02), "the filter softens the edge"


def test_the_users_network_keeps_its_weights_and_mode(run: Run, tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png", 255, 0)
    assert predict(run, file) == predict(run, file)
    assert not run.model.training
