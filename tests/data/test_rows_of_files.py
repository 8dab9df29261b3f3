"""csv and jsonl: columns guessed or named, splits, boxes, and errors that name columns and lines."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from striate.core.errors import DataError
from striate.data import load
from striate.data.sources.csv import csv
from striate.data.sources.jsonl import jsonl


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def photos(tmp_path):
    """Twelve pictures 0.png to 11.png; picture i is filled with 10 i."""
    for i in range(12):
        (tmp_path / "p").mkdir(exist_ok=True)
        Image.new("RGB", (33, 34), (10 * i, 0, i)).save(tmp_path / "p" / f"{i}.png")
    return tmp_path


def table(photos, text, name="labels.csv", encoding="utf-8"):
    (photos / name).write_text(text, encoding=encoding, newline="")
    return photos / name


def seen(data, split):
    """Return {picture number: class name}, the number read from the pixels."""
    targets = data.tables[split].targets
    return {int(p[0, 0, 0]) // 10: data.classes[t] for p, t in zip(data.pictures(split, range(len(targets))), targets, strict=True)}


ROWS = [f"p/{i}.png,{'bee' if i % 3 else 'ant'}" for i in range(12)]


@pytest.mark.parametrize("head", ["file,label", "filename,class", "path,target", "image,Label", "Image Path,Category", "file_name,label"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_columns_and_separators_are_found_out(photos, head, separator):
    data = csv(table(photos, "\r\n".join([head, *ROWS]).replace(",", separator)), val=0)
    assert data.classes == ("ant", "bee")
    assert seen(data, "train") == {i: "bee" if i % 3 else "ant" for i in range(12)}


def test_byte_order_mark_quotes_blank_lines_and_spaces(photos):
    (photos / "p, q").mkdir()
    Image.new("RGB", (33, 34), (120, 0, 0)).save(photos / "p, q" / "x.png")
    text = "\n".join(['"file","label"', *ROWS, "", '"p, q/x.png", "bee"', ""])
    data = csv(table(photos, text, encoding="utf-8-sig"), val=0)
    assert seen(data, "train")[12] == "bee"
    assert data.tables["train"].names[-1] == "p, q/x.png"


def test_split_column(photos):
    where = ["train", "Validation", "TEST"]
    rows = [f"{row},{where[i // 4]}" for i, row in enumerate(ROWS)]
    data = csv(table(photos, "\n".join(["file,label,split", *rows])))
    assert data.splits == ("train", "val", "test")
    for part, first in (("train", 0), ("val", 4), ("test", 8)):
        assert seen(data, part) == {i: "bee" if i % 3 else "ant" for i in range(first, first + 4)}


def test_named_columns_and_root(photos):
    rows = [f"{i}.png,{i},{'x' if i < 6 else 'y'}" for i in range(12)]
    path = table(photos, "\n".join(["id,label,kind", *rows]))
    data = csv(path, file="id", label="kind", root=photos / "p", val=0)
    assert data.classes == ("x", "y")
    assert seen(data, "train") == {i: "x" if i < 6 else "y" for i in range(12)}
    again = load(data.spec, options=data.options)
    assert json.loads(json.dumps(data.options)) == data.options, "a run can keep them"
    assert again.fingerprint == data.fingerprint


def test_whole_numbers_are_ordered_as_numbers(photos):
    rows = [f"p/{i}.png,{i}" for i in range(12)]
    data = csv(table(photos, "\n".join(["file,label", *rows])), val=0)
    assert data.classes == tuple(map(str, range(12)))
    assert seen(data, "train") == {i: str(i) for i in range(12)}


def test_boxes(photos):
    rows = [f"{row},{i},{i + 1},{i + 2},{i + 3.5}" for i, row in enumerate(ROWS)]
    data = csv(table(photos, "\n".join(["file,label,x,y,w,h", *rows])), val=0)
    np.testing.assert_array_equal(data.tables["train"].extra["boxes"], [[i, i + 1, i + 2, i + 3.5] for i in range(12)])
    with pytest.raises(DataError, match=r"line 2: w is 'wide', expected a number"):
        csv(table(photos, "file,label,x,y,w,h\np/1.png,a,1,2,wide,4\np/2.png,b,1,2,3,4"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "one column only, ''"),
        ("file\nx", "one column only, 'file'"),
        ("file,label\n", "has no rows"),
        ("name,label\np/1.png,a", r"which column holds the picture's file name\? It has 'name', 'label'; say file="),
        ("file,kind\np/1.png,a", r"which column holds the class\? It has 'file', 'kind'; say label="),
        ("file,file\np/1.png,a", "two columns have the same name"),
        ("file,label\np/1.png,a\np/2.png", "line 3: has 1 values, the first line names 2 columns"),
        ("file,label\np/1.png,a\np/2.png,", r"line 3: the label \(column 'label'\) is empty"),
        ("file,label\n,a\np/2.png,b", r"line 2: the file name \(column 'file'\) is empty"),
        ("file,label\np/1.png,a\np/77.png,b\nzz.png,b", r"2 of 3 files are not in .*:\n  line 3: p/77\.png\n  line 4: zz\.png"),
        ("file,label\np/1,a\np/2,b", r"p/1\.png is there: write names with their endings"),
        ("file,label,split\np/1.png,a,train\np/2.png,b,holdout", "line 3: the split is 'holdout', expected train, val or test"),
        ("file,label,split\np/1.png,a,test\np/2.png,b,test", "no row belongs to train"),
        ("file,label,split\np/1.png,a,train\np/2.png,b,train\np/3.png,c,val", "val has c, unknown to training, which has a, b"),
        ("file,label\np/1.png,a\np/2.png,a", "every training row has the label 'a'"),
        ('file,label\n"p/1.png,a', "line 2"),
    ],
)
def test_tables_that_cannot_be_read(photos, text, words):
    with pytest.raises(DataError, match=words):
        csv(table(photos, text))


def test_wrong_column_names_are_met_with_the_nearest(photos):
    with pytest.raises(DataError, match=r"no column 'lable'. Did you mean label\? It has 'file', 'label'"):
        csv(table(photos, "\n".join(["file,label", *ROWS])), label="lable")
    with pytest.raises(DataError, match="cannot be read"):
        csv(photos / "nowhere.csv")
    (photos / "latin.csv").write_bytes("file,label\np/1.png,café".encode("latin-1"))
    with pytest.raises(DataError, match=r"line 2: is not UTF-8"):
        csv(photos / "latin.csv")


def lines(photos, rows, name="metadata.jsonl"):
    (photos / name).write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return photos / name


def test_metadata_jsonl(photos):
    data = jsonl(lines(photos, [{"file_name": f"p/{i}.png", "label": i % 2, "note": "x"} for i in range(12)]), val=0)
    assert data.classes == ("0", "1")
    assert seen(data, "train") == {i: str(i % 2) for i in range(12)}
    assert data.name == "metadata"


def test_metadata_jsonl_with_split_folders(photos):
    for i in range(12):
        place = photos / ("train" if i < 8 else "val") / f"{i}.png"
        place.parent.mkdir(exist_ok=True)
        (photos / "p" / f"{i}.png").rename(place)
    rows = [{"file_name": f"{'train' if i < 8 else 'val'}/{i}.png", "label": "ab"[i % 2]} for i in range(12)]
    data = jsonl(lines(photos, rows))
    assert data.splits == ("train", "val")
    assert seen(data, "val") == {i: "ab"[i % 2] for i in range(8, 12)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no rows"),
        ('{"file_name": "p/1.png", "label": "a"}\n{oops', "line 2: not valid JSON"),
        ("[1, 2]", "line 1: got .* expected an object"),
        ('{"file_name": "p/1.png", "text": "a"}', "which column holds the class"),
        ('{"file_name": "p/1.png", "label": "a"}\n\n{"file_name": "p/2.png"}', "line 3: the label"),
        ('{"file_name": 5, "label": "a"}', "line 1: the file name"),
    ],
)
def test_jsonl_that_cannot_be_read(photos, text, words):
    with pytest.raises(DataError, match=words):
        jsonl(table(photos, text, "m.jsonl"))
