"""docs/rows.md is the project's public list of features: every id once, and whatever a row names exists."""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "rows.md"

NUMBERED = {"O": 12, "T": 1, "L": 6, "R": 5, "E": 8, "U": 9, "X": 9}
NAMED = {
    "C": "k-nn linear mlp perceptron adaline neocognitron colour-histogram hog sift corners filter-banks fourier wavelets visual-words "
    "textons pca concatenated",
    "A": "lenet5 alexnet zfnet nin vgg googlenet inception-v3 resnet-18-34 resnet-50-152 resnet-cifar resnet-cifar-1202 plain-cifar preact "
    "wide-resnet resnext stochastic-depth densenet fractalnet squeezenet dpn mlp text-cnn pattern",
    "J": "init-statistics dead-relu saturation relu-vs-tanh optimisers capacity feature-transform linear-templates mlp-templates knn-regions "
    "hinge-vs-softmax two-layer-net parameter-sharing conv-kernels gabor pooling-invariance lenet-errors lenet-invariances "
    "plain-vs-residual identity-by-construction batch-norm dropout depth-compositional universal-approximation receptive-field "
    "inception-arithmetic vgg-table dual-path all-convolutional pca-vs-autoencoder denoising stacked-pretraining transfer-grid "
    "fc-to-conv perceptron adaline neocognitron texture covariate-shift convnetjs-cifar10 style understanding",
}
IDS = [f"{letter}{number}" for letter, count in NUMBERED.items() for number in range(1, count + 1)]
IDS += [f"{letter} {name}" for letter, names in NAMED.items() for name in names.split()]
COLUMNS = ["id", "what", "status", "API", "command", "test", "lab"]
EVIDENCE = COLUMNS[3:]


def read_rows():
    """Return the rows of every table of the page as dictionaries."""
    rows = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|") or line.startswith(("| id |", "|---")):
            continue
        cells = [cell.strip() for cell in line.strip("|").split(" |")]
        assert len(cells) == len(COLUMNS), f"{len(cells)} cells instead of {len(COLUMNS)}: {line}"
        rows.append(dict(zip(COLUMNS, cells, strict=True)))
    return rows


ROWS = read_rows()
WORKS = [row for row in ROWS if row["status"] == "works"]


def names_in(cell):
    """Return what a cell names in backticks; a cell that says anything else is wrong."""
    names = re.findall(r"`([^`]+)`", cell)
    assert ", ".join(f"`{name}`" for name in names) == cell, f"name things in backticks, separated by commas: {cell}"
    return names


def resolve(path):
    """Import the longest module of a dotted path and return what stands at its end."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as missing:
            if not ".".join(parts[:length]).startswith(missing.name or "?"):
                raise
            continue
        for part in parts[length:]:
            thing = getattr(thing, part)
        return thing
    raise AssertionError(f"{path}: nothing of it can be imported")


def test_every_id_stands_on_the_page_exactly_once():
    counts = Counter(row["id"] for row in ROWS)
    assert {name: count for name, count in counts.items() if count > 1} == {}
    assert sorted(counts) == sorted(IDS)


def test_every_row_says_what_and_whether():
    assert {row["status"] for row in ROWS} <= {"works", "planned"}
    assert [row["id"] for row in ROWS if not row["what"]] == []


def test_planned_rows_name_nothing():
    assert [row["id"] for row in ROWS if row["status"] == "planned" and any(row[column] for column in EVIDENCE)] == []


@pytest.mark.parametrize("row", WORKS, ids=lambda row: row["id"])
def test_what_a_working_row_names_exists(row):
    apis, tests = names_in(row["API"]), names_in(row["test"])
    assert apis, "a row that works names its API"
    assert tests, "a row that works names its test"
    for api in apis:
        if row["id"].startswith("A "):
            from striate.zoo.registry import architectures

            assert api in architectures
        else:
            resolve(api)
    for command in names_in(row["command"]):
        from striate.cli.registry import commands

        assert command.removeprefix("striate ") in commands.names()
    for test in tests:
        path, _, function = test.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert not function or function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{path} has no {function}"
        assert any(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in ast.walk(tree)), f"{path} has no test"
    for lab in names_in(row["lab"]):
        assert (ROOT / "src/striate/labs" / f"{lab.replace('-', '_')}.py").is_file()


def test_a_row_that_works_is_really_checked():
    """The reader itself must notice a wrong name."""
    with pytest.raises(AssertionError):
        names_in("striate.train")
    with pytest.raises(AttributeError):
        resolve("striate.core.errors.NoSuchError")
    assert resolve("striate.core.contracts.Recipe").__name__ == "Recipe"
