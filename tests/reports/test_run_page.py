from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

from striate.core.errors import StorageError
from striate.data import arrays
from striate.reports import report


class Page(HTMLParser):
    """A page as a reader gets it: its words, its pictures; and every element that is opened is closed, in order."""

    void = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.images, self.ids, self.source = [], [], [], [], text
        self.feed(text)
        assert not self.open
        assert len(self.ids) == len(set(self.ids))
        assert not re.findall(r'(?:src|href)="(?!data:|#)', text)  # nothing is fetched
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        if tag == "img":
            self.images.append(values)
        elif tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)


def read(run):
    return Page(report(run).read_text())


def test_a_whole_run(run_folder, pictures):
    path = report(run_folder)
    assert path == run_folder / "report.html"
    page = Page(path.read_text())
    assert page.text.count("LeNet-5 reads 95.6 % of 360 held-out digits right") == 2  # title and heading
    for words in (
        "test error: 16 of 360; 95 % interval 2.8–7.1 %",
        "top-5 error",
        "61,706",
        "All 16 errors, the most confident first",
        "Validation error falls from",
        "expected calibration error",
        "1 of 6 first-layer filters is near zero",
        "1,293 training, 144 validation, 360 test",
        "striate train digits --model lenet5 --epochs 12 --seed 0",
        "AVX512",
        "predictions/test.npz",
        "The data: digits, with 1 warning",
        "1 picture of test is also in train, with the same pixels",
        "one-cycle",
    ):
        assert words in page.text, words
    ((split, shown),) = pictures.asked
    with np.load(run_folder / "predictions" / "test.npz") as arrays:
        shares, targets, index = arrays["shares"], arrays["targets"], arrays["index"]
    wrong = np.flatnonzero(shares.argmax(1) != targets)
    ranked = wrong[np.argsort(-shares[wrong].max(1), kind="stable")]
    assert (split, shown) == ("test", index[ranked].tolist())
    assert len(page.images) == 16
    first = ranked[0]
    assert page.images[0]["alt"].startswith(f"{targets[first]} -> {shares[first].argmax()}, ")
    assert not [path for path in run_folder.iterdir() if path.suffix == ".tmp"]


blank = pytest.mark.usefixtures("no_drawing")


@blank
def test_another_path_and_a_live_data_set(run_folder, tmp_path, pictures):
    live = SimpleNamespace(fingerprint="f00d", pictures=lambda split, indices: [np.full((9, 9, 3), 7, np.uint8)] * len(indices))
    path = report(SimpleNamespace(folder=run_folder, data=live), tmp_path / "elsewhere" / "page.html")
    assert path == tmp_path / "elsewhere" / "page.html"
    assert len(Page(path.read_text()).images) == 16
    assert not pictures.asked


@blank
@pytest.mark.parametrize(
    ("state", "reason", "head", "words"),
    [
        ("stopped", "Ctrl-C in epoch 4", "LeNet-5 was stopped after 3 of 12 epochs", "The run was stopped before its end: Ctrl-C in epoch 4."),
        ("failed", "the loss became NaN at step 70", "LeNet-5 failed after 3 of 12 epochs", "The run failed: the loss became NaN at step 70."),
        ("running", None, "LeNet-5 was killed after 3 of 12 epochs", "no process is at work on it"),
    ],
)
def test_unfinished_runs_say_so_on_top(tmp_path, make_run, state, reason, head, words):
    page = read(make_run(tmp_path / "run", state=state, reason=reason, epochs=3))
    assert head in page.text
    assert words in page.text
    assert "There is no checkpoint to go on from" in page.text
    (tmp_path / "run" / "last.safetensors").write_bytes(b"")
    assert f"<code>striate resume {tmp_path / 'run'}</code>" in read(tmp_path / "run").source


@blank
def test_a_run_killed_before_anything_was_written(tmp_path):
    (tmp_path / "run.json").write_text('{"format": 1, "state": "running"}')
    page = read(tmp_path)
    assert "custom model was killed before its first epoch ended" in page.text
    assert "Nothing learned yet" in page.text
    assert "There are no weights in the folder yet" in page.text


@blank
def test_one_part_of_one_epoch_is_told_in_figures(tmp_path, make_run):
    folder = make_run(tmp_path / "run", epochs=1)
    facts = json.loads((folder / "run.json").read_text())
    facts["recipe"]["epochs"] = 0.1
    (folder / "run.json").write_text(json.dumps(facts))
    page = read(folder)
    assert "Trained for 0.1 epochs" in page.text
    assert "One epoch of training, so there is no curve yet" in page.text
    assert "validation error" in page.text


@blank
def test_values_of_the_wrong_kind_do_not_stop_it(tmp_path, make_run, pictures):
    folder = make_run(tmp_path / "run")
    facts = json.loads((folder / "run.json").read_text())
    odd = {"model": None, "recipe": "fast", "data": [], "machine": 3, "versions": None, "created": 5, "seed": None, "preprocess": {"size": 3}}
    (folder / "run.json").write_text(json.dumps(facts | odd))
    (folder / "history.jsonl").write_text('{"epoch": "one"}\n[]\n{"epoch": 1, "train/loss": null, "lr": 0.1}\n')
    assert "custom model reads 95.6 %" in read(folder).text


@blank
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spec": None}, "came from memory"),
        ({"spec": "no-such-folder/of-photos"}, "cannot be opened again"),
    ],
)
def test_pictures_that_cannot_be_shown_are_explained(run_folder, change, words):
    facts = json.loads((run_folder / "run.json").read_text())
    facts["data"] |= change
    (run_folder / "run.json").write_text(json.dumps(facts))
    page = read(run_folder)
    assert words in page.text
    assert not page.images
    assert "read as" in page.text


@blank
def test_changed_data_shows_no_wrong_pictures(run_folder, pictures):
    pictures.fingerprint = "beef"
    page = read(run_folder)
    assert "digits has changed since the run" in page.text
    assert not page.images


@blank
def test_the_data_check_is_made_when_the_folder_has_none(tmp_path, make_run):
    pixels = np.random.default_rng(0).integers(0, 255, (30, 1, 9, 9), dtype=np.uint8)
    pixels[20] = pixels[4]
    data = arrays(pixels[:20], np.arange(20) % 10, test=(pixels[20:], np.arange(10)))
    folder = make_run(tmp_path / "run", check=False)
    facts = json.loads((folder / "run.json").read_text())
    facts["data"] |= {"fingerprint": data.fingerprint, "splits": {"train": 20, "test": 10}}
    (folder / "run.json").write_text(json.dumps(facts))
    page = Page(report(SimpleNamespace(folder=folder, data=data)).read_text())
    assert "1 picture of test is also in train, with the same pixels" in page.text
    facts["data"]["spec"] = None
    (folder / "run.json").write_text(json.dumps(facts))
    assert "with the same pixels" in read(folder).text, "the check is kept beside the run"
    (folder / "data.json").unlink()
    assert "There is no data check to show. The data came from memory" in read(folder).text
    (folder / "data.json").write_text('{"format": 1}')
    assert "data.json cannot be read" in read(folder).text


@pytest.mark.parametrize(("classes", "n"), [(2, 60), (100, 900), (300, 900)])
def test_few_and_many_classes(request, tmp_path, make_run, made_up, classes, n):
    shares, targets = made_up(classes, n)
    names = [f"<class> & {number}" for number in range(classes)]
    folder = make_run(tmp_path / "run", classes=names, shares=shares, targets=targets, data_name="pets", model="my-net", filters=200)
    if classes == 300:
        request.getfixturevalue("no_drawing")
    page = read(folder)
    assert "<class>" not in page.source
    assert ("top-5 error" in page.text) == (classes > 5)
    assert ("The 20 hardest classes" in page.text) == (classes > 20)
    assert ("too large to be read" in page.text) == (classes == 300)
    assert "The first 128 of 200 are shown" in page.text
    if classes == 2:
        assert "<class> & 0 is read as <class> & 1 " in page.text


@blank
def test_no_error_at_all(tmp_path, make_run):
    shares = np.eye(10, dtype=np.float32)[np.arange(50) % 10]
    page = read(make_run(tmp_path / "run", shares=shares, targets=np.arange(50) % 10))
    for words in ("reads 100 % of 50 held-out digits right", "It makes no error", "Nothing is confused", "Every class is read right", "0.0–7.1 %"):
        assert words in page.text


@blank
def test_unlabelled_predictions(tmp_path, make_run, made_up):
    shares, _ = made_up(10, 40)
    page = read(make_run(tmp_path / "run", shares=shares, targets=None))
    assert "The test part has no labels: 40 predictions are in predictions/test.npz" in page.text
    assert "LeNet-5 was trained on digits" in page.text


@blank
def test_no_test_part_speaks_of_validation(run_folder, pictures):
    (run_folder / "predictions" / "test.npz").rename(run_folder / "predictions" / "val.npz")
    result = json.loads((run_folder / "result.json").read_text())
    result["splits"] = {"val": result["splits"]["test"]}
    (run_folder / "result.json").write_text(json.dumps(result))
    assert "95.6 % of 360 validation digits right" in read(run_folder).text
    assert pictures.asked[0][0] == "val"


@blank
def test_figures_that_disagree_are_said(run_folder, pictures):
    result = json.loads((run_folder / "result.json").read_text())
    result["splits"]["test"]["error"] = 0.01
    (run_folder / "result.json").write_text(json.dumps(result))
    assert "result.json says an error of 1.0 %, the predictions say 4.4 %" in read(run_folder).text


def test_not_a_run(tmp_path):
    with pytest.raises(StorageError, match=r"run\.json: no such file"):
        report(tmp_path)
