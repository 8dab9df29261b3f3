"""The report's part on baselines: nothing without a table, the difference in words with one, a broken file said so."""

from __future__ import annotations

import json

from striate.classical.tabulating import Row, Table
from striate.reports import report
from striate.reports.baseline_part import NAME, baseline_section

TABLE = Table(
    data="pets",
    classes=("cat", "dog"),
    shape=(3, 12, 12),
    split="test",
    train=60,
    test=200,
    seed=0,
    commonest=0.5,
    rows=(
        Row(name="k-nn", help="k nearest neighbours (3), pixels", group="pixels", errors=60, n=200, values=432, fit_seconds=0.1, predict_seconds=0.2),
        Row(name="hog-svm", help="HOG, linear SVM", group="features", errors=20, n=200, values=36, fit_seconds=1.0, predict_seconds=0.1),
    ),
)


def test_without_a_table_there_is_no_section(tmp_path):
    assert baseline_section(tmp_path) is None


def test_the_title_says_how_far_the_net_is_ahead(tmp_path):
    (tmp_path / NAME).write_text(json.dumps(TABLE.to_json()))
    ahead, behind, same, alone = (baseline_section(tmp_path, errors=e, n=n) for e, n in ((10, 200), (40, 200), (20, 200), (None, None)))
    assert ahead.title.startswith("5.0 points better than the best baseline, HOG, linear SVM: 90")
    assert behind.title.startswith("10.0 points worse than the best baseline")
    assert same.title.startswith("No better than the best baseline")
    assert alone.title.startswith("The best baseline is HOG, linear SVM")
    assert "k nearest neighbours" in "".join(map(str, ahead.pieces))
    assert ahead.intro.endswith("the same pictures as the net. Between the best of them and the net, 200 pictures do not decide.")  # 5 ± 5.2 points
    assert behind.intro.endswith("the same pictures as the net.")  # 10 ± 7
    assert "judged on 200 pictures (test); the net was judged on 50" in baseline_section(tmp_path, errors=1, n=50).intro


def test_a_broken_file_is_said_and_not_fatal(tmp_path):
    for text in ("{", '{"format": 7}', '{"format": 1}', "[]"):
        (tmp_path / NAME).write_text(text)
        section = baseline_section(tmp_path)
        assert section.title == "The baselines cannot be shown"
        assert NAME in str(section.pieces[0])


def test_the_section_stands_on_the_runs_page(make_run, tmp_path):
    folder = tmp_path / "run"
    make_run(folder)
    assert "best baseline" not in report(folder).read_text(encoding="utf-8")
    (folder / NAME).write_text(json.dumps(TABLE.to_json()))
    assert "than the best baseline, HOG, linear SVM" in report(folder).read_text(encoding="utf-8")
