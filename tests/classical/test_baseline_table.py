"""The table in one go: figures that agree with counting, JSON there and back, words, pages, the command, bad data."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

import striate as st
from striate.classical import Row, Table, table
from striate.classical.opening import opened
from striate.classical.telling import headline, remarks
from striate.cli import main
from striate.core.errors import ArgumentError, DataError, UnknownNameError
from striate.training.figures import wilson


def pictures(n=60, shape=(3, 12, 12), classes=2, seed=0):
    state = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = state.integers(0, 120, (n, *shape)).astype(np.uint8)
    for number in range(classes):
        x[y == number, number % shape[0], number :: classes + 1] += 120
    return x, y


def data(**options):
    x, y = pictures()
    test = pictures(n=20, seed=1)
    return st.data.arrays(x, y, classes=("cat", "dog"), test=test, name="pets", **options)


@pytest.fixture(scope="module")
def found():
    return table(data(), which=["k-nn", "hog-svm", "corners"], seed=3)


def test_each_row_is_its_pipeline_fitted_on_train_and_judged_on_test(found):
    from striate.classical.baselines.on_pixels import k_nn

    (x, y), (tx, ty) = pictures(), pictures(n=20, seed=1)
    wrong = (k_nn((3, 12, 12), seed=3).fit(x.reshape(60, -1), y).predict(tx.reshape(20, -1)) != ty).sum()
    row = found["k-nn"]
    assert (row.errors, row.n, row.values) == (wrong, 20, 432)
    assert row.interval == wilson(int(wrong), 20)
    assert row.fit_seconds >= 0
    assert [row.name for row in found.rows] == ["k-nn", "hog-svm", "corners"]
    assert (found.train, found.test, found.split, found.shape, found.seed) == (60, 20, "test", (3, 12, 12), 3)
    assert found.commonest == 0.5
    assert found.best.errors == min(row.errors for row in found.rows)


def test_the_same_seed_gives_the_same_table(found):
    again = table(data(), which="k-nn,hog-svm,corners", seed=3)
    assert [row.errors for row in again.rows] == [row.errors for row in found.rows]


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True])
def test_a_seed_that_scikit_learn_does_not_take_is_refused_before_any_work(seed, monkeypatch):
    monkeypatch.setattr("striate.classical.opening.opened", lambda *_, **__: pytest.fail("the data were opened"))
    with pytest.raises(ArgumentError, match=r"seed: got .*, expected a whole number from 0 to 4294967295"):
        table(data(), which="k-nn", seed=seed)


def test_the_command_refuses_such_a_seed_before_the_data_are_opened(capsys):
    assert main(["baseline", "nowhere/at/all", "--seed", "-1"]) == 2
    assert capsys.readouterr().err == "error: seed: got -1, expected a whole number from 0 to 4294967295\n"


def test_a_file_that_cannot_be_written_costs_no_table(capsys, tmp_path):
    (tmp_path / "file").touch()
    assert main(["baseline", "digits", "--which", "k-nn", "--limit", "50", "--save", str(tmp_path / "file" / "t.json")]) == 4
    told = capsys.readouterr()
    assert "k-nn" in told.out
    assert f"{tmp_path / 'file' / 't.json'}: cannot be written" in told.err


def test_json_there_and_back(found):
    values = json.loads(json.dumps(found.to_json()))
    assert Table.from_json(values) == found
    assert values["rows"][0]["error"] == found.rows[0].error
    with pytest.raises(ArgumentError, match="format 9"):
        Table.from_json(values | {"format": 9})


def test_words_say_what_is_seen(found):
    text = str(found)
    assert text.startswith("To beat on pets: ")
    assert "Fitted on 60 pictures of 3x12x12, judged once on 20 (test); seed 3. Always naming the commonest class reads 50.0 % right." in text
    assert "".join(found.html()).count("<tr>") == 4
    row = Row(name="a", help="a", group="pixels", skipped="it is too small")
    made = Table(data="d", classes=("a",), shape=(1, 2, 2), split="val", train=3, test=2, seed=0, commonest=0.0, rows=(row,), notes=("some",))
    assert headline(made) == "No baseline could be measured on d"
    assert remarks(made)[1:] == ["Some.", "a is left out: it is too small."]
    assert made.best is None
    with pytest.raises(UnknownNameError, match="hog-svm"):
        found["hog-swm"]


def test_rows_that_cannot_be_had_keep_their_reason():
    x, y = pictures(shape=(1, 4, 4))
    made = table(st.data.arrays(x, y, test=(x, y)), which=["sift-svm", "k-nn"])
    assert "no descriptor" in made["sift-svm"].skipped
    assert made["k-nn"].errors is not None
    assert "sift-svm is left out" in str(made)


def test_parts_limits_and_sizes_are_told():
    x, y = pictures(n=100)
    made = opened(st.data.arrays(x, y), seed=0)
    assert (len(made.y), len(made.test_y), made.split) == (80, 20, "val")
    assert "a stratified fifth" in made.notes[0]
    few = opened(data(), seed=0, limit=10)
    assert (len(few.y), len(few.test_y)) == (10, 10)
    assert np.bincount(few.y).tolist() == [5, 5]
    assert [note.split(":")[0] for note in few.notes] == ["train", "test"]
    small = opened(data(), seed=0, size=6)
    assert small.shape == (3, 6, 6)
    assert small.x.shape == (60, 108)
    assert "6 x 6 pixels, colour" in small.notes[0]
    assert table(data(), which=["k-nn"], size=6, limit=20)["k-nn"].values == 108


def test_a_class_that_the_judged_part_lacks_is_told():
    x, y = pictures(n=40)
    made = opened(st.data.arrays(x, y, test=(x[y == 0], y[y == 0])), seed=0)
    assert made.notes == (f"test has no picture of {made.classes[1]}, so no figure says how well that is read",)


def test_float_pictures_stay_what_they_are():
    x, y = pictures()
    made = opened(st.data.arrays(x / np.float32(255), y, test=(x / np.float32(255), y)), seed=0)
    np.testing.assert_allclose(made.x, x.reshape(60, -1) / 255, atol=1e-6)
    with pytest.raises(DataError, match="resize them before"):
        opened(st.data.arrays(x / np.float32(255), y), seed=0, size=6)


def test_bad_data_has_one_clear_error():
    x, y = pictures(n=12)
    for bad, words in (
        (st.data.arrays(x, np.zeros(12, int), classes=("cat", "dog")), "train has one class only, cat"),
        (st.data.arrays(x, np.array([0] * 11 + [1]), classes=("cat", "dog")), "one picture only of dog"),
        (st.data.arrays(x), "no class labels"),
    ):
        with pytest.raises(DataError, match=words):
            table(bad, which="k-nn")
    with pytest.raises(ArgumentError, match="NaN"):
        st.data.arrays(np.full((4, 1, 4, 4), np.nan), [0, 1, 0, 1])
    with pytest.raises(ArgumentError, match="at least 4"):
        table(st.data.arrays(x, y), which="k-nn", limit=3)
    with pytest.raises(UnknownNameError, match="hog-svm"):
        table("no matter, names come first", which="hog-swm")
    with pytest.raises(ArgumentError, match="quick, all"):
        table(data(), which="")


def test_text_is_refused(tmp_path):
    (tmp_path / "said.tsv").write_text("".join(f"{'good' if n % 2 else 'bad'}\tword{n} a b\n" for n in range(12)))
    with pytest.raises(DataError, match="is text"):
        table(tmp_path / "said.tsv", which="k-nn")


def test_the_command_prints_saves_and_lists(capsys, tmp_path):
    target = tmp_path / "baselines.json"
    assert main(["baseline", "digits", "--which", "k-nn", "--limit", "100", "--data-option", "enlarge=1", "--save", str(target)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("To beat on digits: k nearest neighbours (3), pixels reads")
    assert "1/1  k-nn" in err
    saved = Table.from_json(json.loads(target.read_text()))
    assert saved.rows[0].values == 64
    assert main(["baseline", "digits", "--which", "k-nn", "--limit", "100", "--data-option", "enlarge=1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["errors"] == saved.rows[0].errors
    assert main(["baseline", "--list"]) == 0
    assert "hog-colour-words" in capsys.readouterr().out
    assert main(["baseline", "digits", "--which", "knn"]) == 2
    assert "Did you mean k-nn" in capsys.readouterr().err


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(("name", "row", "least"), [("mnist", "linear-softmax", 0.89), ("mnist", "k-nn", 0.93), ("cifar10", "hog-colour", 0.45)])
def test_real_sets_a_tenth_of_them(name, row, least):
    found = table(st.data.load(os.path.join(name)), which=[row], limit=6000)
    assert 1 - found[row].error > least
