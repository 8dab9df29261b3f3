import ast
import shlex
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from striate.core.errors import ArgumentError, UnknownNameError
from striate.core.signature import REQUIRED, Parameter, Signature, Source, annotation_of, command_line, python_call

SOURCE = """
def occlusion(model, images, *, target: int | None = None, window: int = 15, mode: Literal["grey", "blur"] = "grey") -> Explanation: ...
"""


def occlusion(model, images, *, target: "int | None" = None, window: "int" = 15, mode: "Literal['grey', 'blur']" = "grey"): ...


def test_source_and_live_function_give_the_same_signature():
    from_source = Signature.of_source(ast.parse(SOURCE).body[0])
    live = Signature.of_callable(occlusion)
    assert from_source == live
    assert [p.required for p in live.parameters] == [True, True, False, False, False]
    assert [p.keyword_only for p in live.parameters] == [False, False, True, True, True]
    assert live["mode"].choices == ("grey", "blur")
    assert live["window"].flag == "--window"


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        ("int", "3", 3),
        ("float", "3", 3.0),
        ("float", "1e-3", 0.001),
        ("bool", "yes", True),
        ("bool", "off", False),
        ("float | None", "none", None),
        ("float | None", "0.5", 0.5),
        ("str", "none", "none"),
        ("int | str", "3", 3),
        ("int | str", "three", "three"),
        ('Literal["none", "ema"]', "none", "none"),
        ("tuple[float, ...]", "0.5,0.75", (0.5, 0.75)),
        ("tuple[float, ...]", "[0.5, 1]", (0.5, 1.0)),
        ("tuple[int, int]", "3,4", (3, 4)),
        ("tuple[str, ...]", "shift(2,3) mirror", ("shift(2,3)", "mirror")),
        ("tuple[str, ...]", "none", ()),
        ("Mapping[str, Any]", '{"nesterov": true}', {"nesterov": True}),
        ("Mapping[str, Any]", "{'betas': (0.9, 0.99)}", {"betas": (0.9, 0.99)}),
    ],
)
def test_text_becomes_a_value_of_the_annotated_type(annotation, text, value):
    parsed = Parameter("x", annotation).parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        ("int", 2.5, "depth: got 2.5, expected a whole number"),
        ("int", True, "depth: got True, expected a whole number"),
        ("int", "3", "depth: got '3', expected a whole number"),
        ("float | None", "high", "depth: got 'high', expected a number or none"),
        ("bool", 1, "depth: got 1, expected true or false"),
        ("tuple[int, int]", (1, 2, 3), r"depth: got \(1, 2, 3\)"),
        ('Literal["grey", "blur"]', "gray", "unknown depth 'gray'. Did you mean grey"),
        ('Literal["grey", "blur"]', 7, "depth: got 7, expected one of grey, blur"),
    ],
)
def test_a_wrong_value_is_refused_with_what_came_and_what_is_allowed(annotation, value, message):
    with pytest.raises(ArgumentError, match=message):
        Parameter("depth", annotation).check(value)


def test_lossless_conversions_are_made():
    assert Parameter("x", "float").check(1) == 1.0
    assert isinstance(Parameter("x", "float").check(1), float)
    assert Parameter("x", "int").check(3.0) == 3
    assert Parameter("x", "tuple[int, ...]").check([1, 2]) == (1, 2)


@dataclass
class Settings:  # live annotations: this file has no `from __future__ import annotations`
    lr: float = 0.1
    weight_decay: float = 0.0
    marks: tuple[str, ...] = ()
    options: dict[str, int] = field(default_factory=dict)
    name: str | None = None


def test_assignments_of_the_command_line_are_checked():
    signature = Signature.of_dataclass(Settings)
    parsed = signature.parse(["lr=3e-4", "weight-decay=1", "marks=a,b", "name=none"])
    assert parsed == {"lr": 3e-4, "weight_decay": 1.0, "marks": ("a", "b"), "name": None}
    with pytest.raises(UnknownNameError, match=r"unknown setting 'wieght_decay'\. Did you mean weight_decay"):
        signature.parse(["wieght_decay=1"])
    with pytest.raises(ArgumentError, match=r"expected key=value, for example lr=0\.1"):
        signature.parse(["lr"])
    with pytest.raises(ArgumentError, match="options: cannot read 'x'"):
        signature.parse(["options=x"])


def test_dataclass_defaults_come_along():
    signature = Signature.of_dataclass(Settings)
    assert signature["options"].default == {}
    assert signature["lr"].default == 0.1
    assert REQUIRED not in [p.default for p in signature.parameters]


def test_a_call_is_spelled_as_python_and_as_a_command():
    assert python_call("st.train", ["resnet18", Source("data")], {"epochs": 20}) == "st.train('resnet18', data, epochs=20)"
    options = {"weight_decay": 0.1, "set": ["a=1", "b=x y"], "quiet": True, "json": False, "seed": None}
    assert command_line(["striate", "train", "my photos"], options) == "striate train 'my photos' --weight-decay 0.1 --set a=1 --set 'b=x y' --quiet"


words = some.text("aZ09 -=_.,:;'\"\\`$&|<>*?!#~%(){}[]\n\t\r\u00e4\u2192\u4e2d\U0001f600", min_size=1, max_size=12)


@given(some.lists(words, min_size=1, max_size=4), some.dictionaries(some.sampled_from(["a_b", "c"]), words))
def test_a_spelled_command_reads_back_as_its_words(positional, options):
    expected = list(positional)
    for name, value in options.items():
        expected += ["--" + name.replace("_", "-"), value]
    assert shlex.split(command_line(positional, options)) == expected


@given(some.one_of(some.integers(), some.floats(allow_nan=False, allow_infinity=False), some.booleans(), words, some.none()))
def test_a_spelled_call_evaluates_to_its_arguments(value):
    call = ast.parse(python_call("f", [value], {"x": value}), mode="eval").body
    assert ast.literal_eval(call.args[0]) == value
    assert ast.literal_eval(call.keywords[0].value) == value


@given(some.floats(allow_nan=False, allow_infinity=False))
def test_a_number_survives_its_own_spelling(value):
    assert Parameter("x", "float").parse(repr(value)) == value


def test_live_annotations_are_spelled_like_source():
    assert annotation_of("int") == "int"
    assert annotation_of(int) == "int"
    assert annotation_of(int | None) == "int | None"
    assert annotation_of(Literal["a"]) == "Literal['a']"
