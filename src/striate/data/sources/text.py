"""text: labelled lines, as one file of `label<TAB>text` or one file a class; words become numbers by a vocabulary from training only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from striate.core.errors import ArgumentError, DataError
from striate.data.dataset import Dataset, Table
from striate.data.registry import source
from striate.data.splits import fold_of, stratified
from striate.data.stores import Tokens, array_fingerprint
from striate.data.vocabulary import Vocabulary, words_of


@source("text", help="labelled lines: a .tsv of label<TAB>text, or a folder with one file a class")
def text(
    path: str | Path | Sequence[str | Path],
    *,
    test: float = 0.1,
    fold: int | None = None,
    folds: int = 10,
    seed: int = 0,
    words: int | None = None,
    least: int = 1,
    longest: int | None = None,
) -> Dataset:
    """Return labelled sentences as tokens N L int64 (0 pads, 1 is an unknown word); `extra["lengths"]` of each batch has their lengths.

    `path` is a file of `label<TAB>text` lines, a folder with one file a class (`reviews.pos`, `reviews.neg`), or a list of such files. The stratified
    share `test` is held out by `seed`, or for cross-validation `fold` (0 to `folds` - 1), each sample in one of them; the vocabulary (at most
    `words`, each seen `least` times, sentences cut at `longest`) comes from the rest. Raises `DataError` naming file and line.
    """
    name, spec = "text", None
    if isinstance(path, (str, Path)):
        paths, name, spec = [Path(path)], Path(path).stem, str(path)
        if paths[0].is_dir():
            name, paths = paths[0].name, sorted(file for file in paths[0].iterdir() if file.is_file() and not file.name.startswith("."))
    else:
        paths = [Path(one) for one in path]
    if not paths:
        raise DataError(f"{path}: holds no files")
    labels, lines, empty = _by_line(paths[0]) if len(paths) == 1 else _by_file(paths)
    classes = tuple(sorted(set(labels)))
    if len(classes) < 2:
        raise DataError(f"{path}: all lines have the label {classes[0]!r}; at least two classes are needed")
    targets = np.array([classes.index(label) for label in labels], dtype=np.int64)
    if not 0 < test < 1:
        raise ArgumentError(f"test: got {test!r}, expected a share between 0 and 1")
    rows_of = stratified(targets, len(targets), test, seed) if fold is None else fold_of(targets, fold, folds, seed)
    parts = dict(zip(("train", "test"), rows_of, strict=True))
    vocabulary = Vocabulary.learned([lines[row] for row in parts["train"]], most=words, least=least, longest=longest)
    tables = {}
    for part, rows in parts.items():
        texts = np.array([lines[row] for row in rows], dtype=object)
        tokens, lengths = vocabulary.encode(texts)
        tables[part] = Table(Tokens(tokens, lengths, array_fingerprint([tokens]), texts), targets[rows])
    cut = sum(len(words_of(line)) > vocabulary.length for line in lines)
    notes = [f"{empty} lines without words were left out"] if empty else []
    notes += [f"{cut} sentences are cut at {vocabulary.length} words"] if cut else []
    return Dataset(name=name, classes=classes, tables=tables, spec=spec, given=vocabulary, notes=tuple(notes))


def _lines(path: Path) -> list[str]:
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: is not UTF-8; convert it, such as with iconv -f latin1 -t utf-8") from None
    return content.split("\n")


def _by_line(path: Path) -> tuple[list[str], list[str], int]:
    labels, lines, empty = [], [], 0
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        label, tab, sentence = line.rstrip("\r").partition("\t")
        if not tab or not label.strip():
            raise DataError(f"{path}, line {number}: expected a label, a tab and the text, got {line[:60]!r}")
        if words_of(sentence):
            labels.append(label.strip())
            lines.append(sentence)
        else:
            empty += 1
    if not lines:
        raise DataError(f"{path}: holds no labelled lines")
    return labels, lines, empty


def _by_file(paths: Sequence[Path]) -> tuple[list[str], list[str], int]:
    """One class a file, named by what tells the names apart: the suffix (`.pos`, `.neg`), else the stem."""
    suffixes = [path.suffix[1:] for path in paths]
    names = suffixes if len(set(suffixes)) == len(paths) and all(suffixes) else [path.stem for path in paths]
    if len(set(names)) < len(names):
        raise DataError(f"{paths[0].parent}: files share a name; each class needs a file name of its own")
    labels, lines, empty = [], [], 0
    for name, path in zip(names, paths, strict=True):
        found = [line for line in _lines(path) if words_of(line)]
        empty += sum(bool(line.strip()) for line in _lines(path)) - len(found)
        if not found:
            raise DataError(f"{path}: holds no lines of text")
        labels += [name] * len(found)
        lines += found
    return labels, lines, empty
