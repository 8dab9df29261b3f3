"""The JSON document and the page: every number on the shelf, every term that the page's script works out equal to the formulas'."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from striate.core.errors import ArgumentError
from striate.layers import Add, Concat, ScaledTanh, Subsampling
from striate.tracing import from_spec, trace
from striate.tracing import page as page_module

TERMS = Path(page_module.__file__).with_name("page_terms.js")
NODE = shutil.which("node")

NETS = {
    "pictures": (
        (
            "conv(4, 3x2, stride=2x1, padding=1, dilation=1x2) -> leaky(0.1) -> conv(4, 3, padding=same, groups=2) -> maxpool(3, 2, 1, ceil=yes)"
            " -> tanh -> avgpool(2, padding=1) -> sigmoid -> flatten -> relu -> linear(3)"
        ),
        (2, 2, 9, 8),
    ),
    "sequence": ("conv1d(3, 3, stride=2) -> maxpool(2) -> conv(2, 2, padding=1) -> avgpool(2) -> flatten -> linear(2) -> softmax", (2, 13)),
    "norms": ("batchnorm -> lrn(3) -> l2pool(2) -> local(2, 2) -> elu -> maxout(2) -> gap -> dropout -> linear(2)", (3, 5, 5)),
}


class Joined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.squash, self.pool, self.add, self.cat, self.flatten = ScaledTanh(), Subsampling(2), Add(), Concat(), nn.Flatten()

    def forward(self, x):
        y = self.pool(self.squash(x))
        return self.flatten(self.cat(self.add(y, self.squash(y)), y))


@pytest.fixture(scope="module", params=[*NETS, "joined"])
def found(request):
    if request.param == "joined":
        torch.manual_seed(0)
        return trace(Joined(), torch.randn(2, 2, 4, 4), 1)
    spec, shape = NETS[request.param]
    x = np.random.default_rng(0).normal(size=shape)
    return from_spec(spec, x, target=1)


def array_of(document, number):
    shelf = document["arrays"][number]
    return np.array(shelf["data"], dtype=float).reshape(shelf["shape"])


def test_the_document_holds_every_number(found):
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (document["kind"], document["format"], document["agrees"]) == ("striate-trace", 1, True)
    assert [box["name"] for box in document["boxes"]] == list(found.names)
    for box in document["boxes"]:
        live = found[box["name"]]
        assert (array_of(document, box["output"]) == live.output).all()
        for i, told in enumerate(box["inputs"]):
            assert (array_of(document, told["array"]) == live.inputs[i]).all()
            assert (array_of(document, told["message"]) == live.input_messages[i]).all()
        for name, told in box["parameters"].items():
            assert (array_of(document, told["array"]) == live.parameters[name]).all()
            assert (array_of(document, told["gradient"]) == live.gradients[name]).all()
    assert document["boxes"][1]["inputs"][0]["array"] == document["boxes"][0]["output"], "one array, once on the shelf"


CHECK = """
const Terms = require(process.argv[1]);
const doc = JSON.parse(require("fs").readFileSync(0, "utf8"));
const answer = {};
for (const box of doc.boxes) {
  const wanted = { y: box.output };
  for (const [name, operand] of Object.entries(box.operands)) {
    if (operand.kind === "input") wanted[name] = box.inputs[operand.value].message;
    if (operand.kind === "parameter") wanted[name] = (box.parameters[operand.value] ?? {}).gradient;
  }
  answer[box.name] = {};
  for (const [name, shelf] of Object.entries(wanted)) {
    if (shelf === null || shelf === undefined) continue;
    const array = doc.arrays[shelf];
    const places = array.shape.reduce((all, size) => all.flatMap((p) => Array.from({ length: size }, (_, i) => [...p, i])), [[]]);
    answer[box.name][name] = places.map((place) => {
      const told = Terms.of(doc, box, name, place);
      return told === null ? null : [Terms.value(told), told.terms];
    });
  }
}
process.stdout.write(JSON.stringify(answer));
"""


@pytest.mark.skipif(NODE is None, reason="the page's script is run by node, which is not installed")
def test_the_page_works_out_the_formulas_own_terms(found):
    run = subprocess.run([NODE, "-e", CHECK, str(TERMS)], input=json.dumps(found.to_json()), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    random = np.random.default_rng(1)
    for box in found:
        named = dict(zip(box.narration.names, box.narration.operands, strict=True))
        for name, told in answer[box.name].items():
            kind, key = named.get(name, ("y", None))
            live = box.output if kind == "y" else box.input_messages[key] if kind == "input" else box.gradients[key]
            assert None not in told, f"{box.name} {name}: the page cannot tell it"
            assert np.allclose([value for value, _ in told], live.ravel(), rtol=1e-9, atol=1e-12), f"{box.name} {name}"
            flat = int(random.integers(live.size))
            terms = box.narration.formula.terms(name, np.unravel_index(flat, live.shape), *box.arrays(), delta=box.message).terms
            assert len(terms) == len(told[flat][1])
            for ours, theirs in zip(terms, told[flat][1], strict=True):
                assert [(f.name, None if f.index is None else list(f.index)) for f in ours.factors] == [(f[0], f[1]) for f in theirs]
                assert [f.value for f in ours.factors] == pytest.approx([f[2] for f in theirs], rel=1e-9, abs=1e-12)


def test_the_page_is_one_file_that_fetches_nothing(found, tmp_path):
    text = found.save(tmp_path / "trace.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:)|@import|url\(|fetch\(|XMLHttpRequest|https?://""", text)
    assert "{{" not in re.sub(r"<script.*?</script>|<style.*?</style>", "", text, flags=re.DOTALL)
    document = json.loads(re.search(r'<script type="application/json" id="document">(.*?)</script>', text, flags=re.DOTALL)[1])
    assert [box["name"] for box in document["boxes"]] == list(found.names)
    whole = found.to_json()
    assert np.allclose(array_of(document, document["boxes"][0]["output"]), array_of(whole, whole["boxes"][0]["output"]), rtol=1e-8)


def test_names_that_look_like_html_stay_words(tmp_path):
    found = from_spec("relu", [[1.0, -1.0]], about="</script><b>bold</b> {{VIEW}}")
    text = found.save(tmp_path / "t.html").read_text(encoding="utf-8")
    assert "<b>bold" not in text
    assert json.loads(re.search(r'id="document">(.*?)</script>', text, flags=re.DOTALL)[1])["about"] == "</script><b>bold</b> {{VIEW}}"


def test_numbers_that_json_has_no_word_for():
    with np.errstate(all="ignore"):
        document = from_spec("relu", [[1.0, 2.0]], parameters={}).to_json()
    assert document["arrays"][0]["data"] == [1, 2], "whole numbers are written as such"
    from striate.tracing.document import _Shelf

    shelf = _Shelf(4)
    shelf.put(np.array([np.nan, np.inf, -np.inf, 1 / 3, 2.0**60]))
    assert shelf.arrays[0]["data"] == ["NaN", "Infinity", "-Infinity", 0.3333, 1.153e18]


def test_save_knows_three_endings(tmp_path):
    found = from_spec("relu", [1.0, -1.0])
    assert found.save(tmp_path / "t.txt").read_text() == f"{found}\n"
    assert json.loads(found.save(tmp_path / "t.json").read_text()) == json.loads(json.dumps(found.to_json()))
    with pytest.raises(ArgumentError, match=r"\.html, \.json or \.txt"):
        found.save(tmp_path / "t.pdf")


def test_a_loss_that_is_no_number_is_told_in_every_form(tmp_path):
    with np.errstate(all="ignore"):
        numbers = {"linear1.weight": [[1.0], [-1.0]], "linear1.bias": [0.0, 0.0]}
        found = from_spec("flatten -> linear(2) -> softmax", [[[4000.0]]], parameters=numbers, target=1)
    assert found.loss == float("inf")
    assert found.to_json()["loss"]["value"] == "Infinity"
    assert any("share is 0" in note for box in found.boxes for note in box.notes)
    for ending in ("txt", "json", "html"):
        assert "∞" in found.save(tmp_path / f"t.{ending}").read_text(encoding="utf-8") or ending != "txt"
