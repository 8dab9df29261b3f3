"""Labelled lines: words, numbers, vocabulary from training only."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from striate import data as d
from striate.core.errors import ArgumentError, DataError
from striate.data.vocabulary import Vocabulary, words_of

LINES = [("good", "A fine film , it's great!"), ("bad", "dull"), ("good", "great great cast"), ("bad", "a dull, dull film")]


def tsv(tmp_path, lines=LINES * 5, name="reviews.tsv"):
    path = tmp_path / name
    path.write_text("".join(f"{label}\t{text}\n" for label, text in lines), encoding="utf-8")
    return path


def test_words():
    assert words_of("A fine film , it's GREAT!") == ["a", "fine", "film", ",", "it's", "great", "!"]
    assert words_of("naïve 2nd_try…") == ["naïve", "2nd", "try", "…"]


def test_vocabulary_orders_by_count_then_alphabet():
    vocabulary = Vocabulary.learned(["b a b", "c a d d"], longest=3)
    assert vocabulary.words == ("a", "b", "d", "c")
    tokens, lengths = vocabulary.encode(["d zebra", "a b c d"])
    assert tokens.tolist() == [[4, 1, 0], [2, 3, 5]]
    assert lengths.tolist() == [2, 3]
    assert vocabulary.decode(tokens[0]) == "d ?"
    assert Vocabulary.learned(["b a b", "c a d d"], least=2, most=2).words == ("a", "b")
    again = Vocabulary.from_json(vocabulary.to_json())
    assert (again.words, again.length, len(again)) == (vocabulary.words, 3, 6)


def test_lines_become_batches_of_tokens(tmp_path):
    data = d.load(tsv(tmp_path))
    assert data.classes == ("bad", "good")
    assert [len(data.tables[part]) for part in data.splits] == [18, 2]
    assert data.shape == (7,)
    batch = next(data.split("train").batches(18, epoch=0, seed=0))
    assert batch.x.dtype == torch.int64
    texts = {text: label for label, text in LINES}
    known = {" ".join(words_of(text)): label for text, label in texts.items()}
    for x, y, length in zip(batch.x, batch.y, batch.extra["lengths"], strict=True):
        assert known[data.preprocess.decode(x)] == data.classes[y]
        assert (x[:length] > 0).all()
        assert (x[length:] == 0).all()


def test_one_file_a_class(tmp_path):
    (tmp_path / "polarity.neg").write_text("dull\n\n   \nvery dull\nso dull\n")
    (tmp_path / "polarity.pos").write_text("fine\nvery fine\n!?\nso fine\n")
    data = d.load(tmp_path)
    assert data.classes == ("neg", "pos")
    assert data.name == tmp_path.name
    assert sum(len(table) for table in data.tables.values()) == 7
    pair = d.text([tmp_path / "polarity.neg", tmp_path / "polarity.pos"])
    assert pair.classes == data.classes
    assert pair.fingerprint == data.fingerprint


def test_words_of_held_out_lines_are_unknown(tmp_path):
    lines = [("a" if i % 2 else "b", f"common own{i}") for i in range(40)]
    data = d.text(tsv(tmp_path, lines), test=0.25, seed=3)
    train, test = (data.tables[part].store.tokens for part in ("train", "test"))
    assert len(data.preprocess.words) == 31  # common, and one for each line of training
    assert (train > 1).sum() == 60
    assert test[:, 0].tolist() == [data.preprocess.numbers["common"]] * 10
    assert (test[:, 1] == 1).all()
    part = data.held_out(0.5, seed=0)
    assert (part.tables["val"].store.tokens[:, 1] == 1).all()
    assert (part.tables["train"].store.tokens[:, 1] > 1).all()


def test_the_seed_decides_what_is_held_out(tmp_path):
    path = tsv(tmp_path, [("ab"[i % 2], f"word{i}") for i in range(60)])
    first, again, other = (d.text(path, seed=seed).fingerprint for seed in (0, 0, 1))
    assert first == again != other


def test_long_lines_are_cut_and_counted(tmp_path):
    data = d.text(tsv(tmp_path), longest=3)
    assert data.shape == (3,)
    assert data.notes == ("10 sentences are cut at 3 words",)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"good\tfine\nno tab here\n", "line 2: expected a label, a tab and the text, got 'no tab here'"),
        (b"good\tfine\nbad\t\xff\n", "line 2: is not UTF-8"),
        (b"", "holds no labelled lines"),
        (b"good\tfine\ngood\tfiner\n", "all lines have the label 'good'"),
    ],
)
def test_files_that_cannot_be_meant_are_named(tmp_path, content, text):
    path = tmp_path / "lines.tsv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=text):
        d.load(path)


def test_pictures_only(tmp_path):
    data = d.text(tsv(tmp_path))
    with pytest.raises(ArgumentError, match="is for pictures"):
        data.prepared(augment=("mirror",)).split("train", training=True)
    with pytest.raises(ArgumentError, match="has no pictures"):
        data.pictures("train", [0])
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        d.text(tsv(tmp_path), test=0)
    with pytest.raises(DataError, match="no such file"):
        d.text(tmp_path / "nothing.tsv")


def test_lengths_are_at_least_one():
    tokens, lengths = Vocabulary(("a",), 2).encode([""])
    assert np.array_equal(tokens, [[0, 0]])
    assert lengths.tolist() == [1]


def test_a_fold_is_opened_again_by_its_options(tmp_path):
    lines = [("ab"[i % 2], f"word{i}") for i in range(40)]
    path = tsv(tmp_path, lines)
    seen = []
    for fold in range(4):
        data = d.text(path, fold=fold, folds=4)
        assert (data.options, len(data.tables["train"])) == ({"fold": fold, "folds": 4}, 30)
        assert len(data.preprocess) == 32, "the vocabulary comes from training only"
        assert d.load(str(path), options=data.options).fingerprint == data.fingerprint
        seen.append(data.tables["test"].targets)
    assert [part.sum() for part in seen] == [5] * 4


def test_another_networks_vocabulary_numbers_the_words_anew(tmp_path):
    data = d.load(tsv(tmp_path), options={"test": 0.25})
    other = Vocabulary(("film", "great", "zebra"), 4)
    read = data.with_preprocess(other)
    assert read.shape == (4,)
    for split in data.splits:
        old, new = data.tables[split], read.tables[split]
        assert [other.decode(row) for row in new.store.tokens] == [other.decode(other.encode([text])[0][0]) for text in old.store.texts]
        assert new.targets.tolist() == old.targets.tolist()
    assert data.with_preprocess(data.preprocess).fingerprint == data.fingerprint
    held = data.held_out(0.2, 1).merged("val").with_preprocess(other)
    assert sorted(held.tables["train"].store.texts) == sorted(data.tables["train"].store.texts)
    bare = dataclasses.replace(data.tables["test"].store, texts=None)
    with pytest.raises(DataError, match="test holds the numbers of words"):
        dataclasses.replace(data, tables={**data.tables, "test": dataclasses.replace(data.tables["test"], store=bare)}).with_preprocess(other)
