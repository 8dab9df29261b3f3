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


class Places(nn.Module):
    """A network N (3 + 4 + 2) of linear layers on small maps, as the task `localise` with a box and a point reads it."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.head = nn.Linear(3 * 4 * 4, 9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(nn.functional.adaptive_avg_pool2d(x, 4).flatten(1))


def placing_run(folder: Path, resize: str, size: tuple[int, int] = (16, 24)) -> Run:
    facts = {
        "state": "finished",
        "classes": sorted(CLASSES),
        "task": "localise",
        "task_options": {"boxes": True, "points": 1},
        "preprocess": Preprocess(size=size, resize=resize, mean=(0.5,), std=(0.25,)).to_json(),
        "model": {"name": "Places", "foreign": True},
    }
    made = Run.create(folder, facts)
    made.__dict__["model"] = Places().eval()
    return made


def blocks(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_a_box_is_what_evaluation_keeps_for_a_picture_of_the_networks_size(tmp_path: Path) -> None:
    import striate as st

    pixels = np.stack([blocks(16, 24), blocks(16, 24)[::-1]])
    Image.fromarray(pixels[0]).save(tmp_path / "a.png")
    Image.fromarray(pixels[1]).save(tmp_path / "b.png")
    table = tmp_path / "boxes.csv"
    table.write_text("file,class,x,y,w,h,eye_x,eye_y\na.png,left,1,2,3,4,5,6\nb.png,right,1,2,3,4,5,6\na.png,dark,1,2,3,4,5,6\n")
    run = placing_run(tmp_path / "run", "pad")
    kept = st.evaluate(run, st.data.csv(table, val=0).with_preprocess(run.preprocess), split="train", device="cpu", precision="fp32").beside
    answers = predict(run, [tmp_path / "a.png", tmp_path / "b.png"], device="cpu", precision="fp32")
    for number, answer in enumerate(answers):
        assert answer.box == pytest.approx(kept["boxes"][number].tolist(), abs=1e-4)
        assert answer.points[0] == pytest.approx(kept["points"][number][0].tolist(), abs=1e-4)
        assert len(answer.classes) == 3, "the box's numbers are no classes"
    x, y, w, h = answers[0].box or ()
    assert str(answers[0]).endswith(f", x {x:.1f}, y {y:.1f}, w {w:.1f}, h {h:.1f}")


def outputs_box(run: Run, picture: torch.Tensor) -> list[float]:
    """The box in pixels of the input, by hand: centre and size are sigmoids of the four outputs behind the classes'."""
    with torch.no_grad():
        cx, cy, w, h = run.model(run.preprocess(picture[None]))[0, 3:7].sigmoid().tolist()
    wide, high = picture.shape[-1], picture.shape[-2]
    return [(cx - w / 2) * wide, (cy - h / 2) * high, w * wide, h * high]


def test_the_box_of_a_resized_picture_is_in_the_pictures_own_pixels(tmp_path: Path) -> None:
    """By hand, for an input of 16 x 24 (height x width): squashed from 48 x 48, cut from 32 x 96, padded from 64 x 48; and a turned photograph."""
    cases = {
        "squash": ((48, 48), lambda x, y, w, h: (2 * x, 3 * y, 2 * w, 3 * h)),
        "crop": ((32, 96), lambda x, y, w, h: (2 * x + 24, 2 * y, 2 * w, 2 * h)),
        "pad": ((64, 48), lambda x, y, w, h: (4 * (x - 6), 4 * y, 4 * w, 4 * h)),
    }
    for resize, ((height, width), by_hand_) in cases.items():
        file = tmp_path / f"{resize}.png"
        Image.fromarray(blocks(height, width)).save(file)
        run = placing_run(tmp_path / resize, resize)
        (answer,) = predict(run, file, device="cpu", precision="fp32")
        assert answer.box == pytest.approx(by_hand_(*outputs_box(run, run.preprocess.open(file))), abs=1e-3), resize
    turned = Image.fromarray(blocks(48, 64))
    exif = turned.getexif()
    exif[0x0112] = 6  # shown turned by a quarter: 64 high, 48 wide
    turned.save(tmp_path / "turned.png", exif=exif)
    (answer,) = predict(run, tmp_path / "turned.png", device="cpu", precision="fp32")
    assert answer.box == pytest.approx(cases["pad"][1](*outputs_box(run, run.preprocess.open(tmp_path / "turned.png"))), abs=1e-3)


def test_a_large_photograph_is_decoded_whole_as_data_with_boxes_are(tmp_path: Path) -> None:
    """Plain data are read at 1/2 or less where they are large: 1301 becomes 651, not 650.5, and the box would lie elsewhere."""
    run = placing_run(tmp_path / "run", "pad", size=(8, 8))
    file = tmp_path / "large.png"
    Image.fromarray(blocks(1301, 1301)).save(file)
    (answer,) = predict(run, file, device="cpu", precision="fp32")
    seen = outputs_box(run, run.preprocess.fit(blocks(1301, 1301)))
    assert answer.box == pytest.approx([side * 1301 / 8 for side in seen], rel=1e-5)


def test_a_run_that_says_where_looks_at_one_view_and_a_classifier_has_no_box(run: Run, tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png", 255, 0)
    with pytest.raises(ArgumentError, match="views: got 'mirror'; task 'localise' looks at one view"):
        predict(placing_run(tmp_path / "placing", "pad"), file, views="mirror")
    assert (predict(run, file)[0].box, predict(run, file)[0].points) == (None, ())
