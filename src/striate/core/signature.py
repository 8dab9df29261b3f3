"""A signature as data: read from source without importing it, and turned into checked values, flags, forms, Python and commands."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import numbers
import shlex
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from striate.core.errors import ArgumentError, unknown_name

LONGEST = 80
"""Characters of a value that an error shows; of longer ones only the type."""
REQUIRED: Any = inspect.Parameter.empty
"""The default of a parameter that has none."""


@dataclass(frozen=True)
class Parameter:
    """One parameter: its name, its annotation as written, its default (or `REQUIRED`), and whether it is keyword-only."""

    name: str
    annotation: str = "Any"
    default: Any = REQUIRED
    keyword_only: bool = True

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is REQUIRED

    @property
    def flag(self) -> str:
        """The command-line spelling, `--weight-decay`."""
        return "--" + self.name.replace("_", "-")

    @property
    def choices(self) -> tuple[str, ...]:
        """The words a `Literal[...]` annotation allows; empty when any value of the type will do."""
        return tuple(value for value in _literals(self.annotation) if isinstance(value, str))

    def parse(self, text: str) -> Any:
        """Turn `text` from a command line into a value of the annotated type.

        Raises `ArgumentError` naming the parameter, what came and what is allowed.
        """
        return self.check(_parse(text, self.annotation, self.name))

    def check(self, value: Any) -> Any:
        """Return `value`, coerced to the annotated type where nothing is lost (1 -> 1.0, list -> tuple); else raise `ArgumentError`."""
        try:
            return _coerce(value, _tree(self.annotation))
        except (TypeError, ValueError, OverflowError):
            choices = self.choices
            if choices and isinstance(value, str):
                raise unknown_name(self.name, value, choices) from None
            came = repr(value) if len(repr(value)) <= LONGEST else type(value).__name__
            raise ArgumentError(f"{self.name}: got {came}, expected {_spoken(self.annotation)}") from None


@dataclass(frozen=True)
class Signature:
    """The parameters of one callable, in order."""

    parameters: tuple[Parameter, ...]

    def __getitem__(self, name: str) -> Parameter:
        """Return the parameter called `name`; raises `UnknownNameError` with the nearest names."""
        wanted = name.replace("-", "_")
        for parameter in self.parameters:
            if parameter.name == wanted:
                return parameter
        raise unknown_name("setting", name, self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameter names in order."""
        return tuple(parameter.name for parameter in self.parameters)

    def check(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Check a mapping of options against this signature; unknown names and wrong types raise `ArgumentError`."""
        return {self[name].name: self[name].check(value) for name, value in values.items()}

    def parse(self, assignments: Sequence[str]) -> dict[str, Any]:
        """Parse `["lr=0.1", "clip=none"]` (the form of `--set`) into checked values."""
        values: dict[str, Any] = {}
        for assignment in assignments:
            name, found, text = assignment.partition("=")
            if not found:
                raise ArgumentError(f"--set {assignment!r}: expected key=value, for example {self._sample()}")
            parameter = self[name.strip()]
            values[parameter.name] = parameter.parse(text.strip())
        return values

    def _sample(self) -> str:
        known = [p for p in self.parameters if not p.required and p.default is not None]
        return f"{known[0].name}={known[0].default}" if known else "lr=0.1"

    @classmethod
    def of_source(cls, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Signature:
        """Read the signature of a function from its syntax tree; nothing is imported."""
        arguments = function.args
        positional = [*arguments.posonlyargs, *arguments.args]
        blanks: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
        found = [_from_tree(a, d, False) for a, d in zip(positional, [*blanks, *arguments.defaults], strict=True)]
        found += [_from_tree(a, d, True) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
        return cls(tuple(p for p in found if p.name not in ("self", "cls")))

    @classmethod
    def of_callable(cls, function: Callable[..., Any]) -> Signature:
        """Read the signature of a live function or class (its annotations must be strings, as under `from __future__ import annotations`)."""
        found = []
        for name, parameter in inspect.signature(function).parameters.items():
            spelled = "Any" if parameter.annotation is inspect.Parameter.empty else annotation_of(parameter.annotation)
            found.append(Parameter(name, spelled, parameter.default, parameter.kind is inspect.Parameter.KEYWORD_ONLY))
        return cls(tuple(p for p in found if p.name not in ("self", "cls")))

    @classmethod
    def of_dataclass(cls, kind: type) -> Signature:
        """Read the fields of a dataclass as parameters."""
        found = []
        for field in dataclasses.fields(kind):
            default = field.default
            if default is dataclasses.MISSING:
                default = REQUIRED if field.default_factory is dataclasses.MISSING else field.default_factory()
            found.append(Parameter(field.name, annotation_of(field.type), default))
        return cls(tuple(found))


def python_call(function: str, positional: Sequence[Any], keywords: Mapping[str, Any]) -> str:
    """Spell a call as Python source: `st.train("digits", epochs=20)`."""
    parts = [_spelled(value) for value in positional]
    parts += [f"{name}={_spelled(value)}" for name, value in keywords.items()]
    return f"{function}({', '.join(parts)})"


def command_line(words: Sequence[str], options: Mapping[str, Any]) -> str:
    """Spell the same call as a shell command: `striate train digits --epochs 20`."""
    parts = list(words)
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            parts.append(flag)
        elif isinstance(value, (list, tuple)):
            for item in value:
                parts += [flag, str(item)]
        elif value is not None and value is not False:
            parts += [flag, str(value)]
    return shlex.join(parts)


class Source(str):
    """A piece of Python source that `python_call` prints as it stands instead of quoting it."""

    __slots__ = ()


def _spelled(value: Any) -> str:
    return str(value) if isinstance(value, Source) else repr(value)


def _from_tree(argument: ast.arg, default: ast.expr | None, keyword_only: bool) -> Parameter:
    annotation = ast.unparse(argument.annotation) if argument.annotation else "Any"
    if default is None:
        return Parameter(argument.arg, annotation, REQUIRED, keyword_only)
    try:
        value = ast.literal_eval(default)
    except ValueError:
        raise ArgumentError(f"the default of {argument.arg!r} (line {argument.lineno}) must be a literal, got {ast.unparse(default)}") from None
    return Parameter(argument.arg, annotation, value, keyword_only)


def _tree(annotation: str) -> ast.expr:
    return ast.parse(annotation, mode="eval").body


def _members(node: ast.expr) -> list[ast.expr]:
    """The alternatives of `A | B | None`."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _members(node.left) + _members(node.right)
    return [node]


def _head(node: ast.expr) -> str:
    target = node.value if isinstance(node, ast.Subscript) else node
    return ast.unparse(target).rsplit(".", 1)[-1]


def _items(node: ast.expr) -> list[ast.expr]:
    if not isinstance(node, ast.Subscript):
        return []
    return list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]


def _literals(annotation: str) -> tuple[Any, ...]:
    found: list[Any] = []
    for member in _members(_tree(annotation)):
        if _head(member) == "Literal":
            found += [ast.literal_eval(item) for item in _items(member)]
    return tuple(found)


def _coerce(value: Any, node: ast.expr) -> Any:
    members = _members(node)
    if len(members) > 1:
        exact = [m for m in members if _matches(value, m)]
        for member in [*exact, *members]:
            try:
                return _coerce(value, member)
            except (TypeError, ValueError, OverflowError):
                continue
        raise ValueError(value)
    return _coerce_one(value, node)


def _matches(value: Any, node: ast.expr) -> bool:
    return _head(node) == type(value).__name__ or (value is None and _head(node) == "None")


def _coerce_one(value: Any, node: ast.expr) -> Any:
    head, items = _head(node), _items(node)
    if head == "None":
        return _only(value is None, value)
    if head == "Literal":
        return _only(value in [ast.literal_eval(item) for item in items], value)
    if head == "bool":
        return _only(isinstance(value, bool), value)
    if head == "int":
        return int(_only(not isinstance(value, (bool, str)) and value == int(value), value))
    if head == "float":
        return float(_only(isinstance(value, numbers.Real) and not isinstance(value, bool), value))
    if head in ("str", "Path"):
        return str(_only(isinstance(value, str) or head == "Path", value))
    if head in ("tuple", "list", "Sequence"):
        value = value.tolist() if hasattr(value, "tolist") else value  # an array's or a tensor's numbers
        _only(isinstance(value, Sequence) and not isinstance(value, (str, bytes)), value)
        if len(items) == 2 and ast.unparse(items[1]) == "...":
            items = items[:1]
        elif head == "tuple" and items:
            _only(len(value) == len(items), value)
            return tuple(_coerce(v, i) for v, i in zip(value, items, strict=True))
        converted = [_coerce(v, items[0]) if items else v for v in value]
        return converted if head == "list" else tuple(converted)
    if head in ("dict", "Mapping"):
        return dict(_only(isinstance(value, Mapping), value))
    return value


def _only(good: bool, value: Any) -> Any:
    if not good:
        raise ValueError(value)
    return value


_WORDS: dict[str, Any] = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False, "none": None, "null": None}


def _parse(text: str, annotation: str, name: str) -> Any:
    members = [_head(member) for member in _members(_tree(annotation))]
    lowered = text.lower()
    if lowered in _WORDS and ("None" if _WORDS[lowered] is None else "bool") in members:
        return _WORDS[lowered]
    if {"tuple", "list", "Sequence"} & set(members):
        if text.startswith(("[", "(")):
            return _literal(text, name)
        parts = [] if lowered == "none" else _split_outside_brackets(text)  # such as augment=none
        if len(parts) == 1 and {"int", "float"} & set(members):  # one number where a pair may stand, such as size=96
            return _scalar(parts[0])
        return [_scalar(part) for part in parts] if "str" not in annotation else parts
    if {"dict", "Mapping"} & set(members):
        return _literal(text, name)
    if "str" in members and not ({"int", "float", "bool"} & set(members)):
        return text
    if "Literal" in members and text in _literals(annotation):
        return text
    return _scalar(text)


def _split_outside_brackets(text: str) -> list[str]:
    """Split at commas and blanks that stand outside brackets: `shift(2,3) mirror` -> two parts."""
    parts: list[str] = []
    depth, current = 0, ""
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and character in ", ":
            parts, current = [*parts, current], ""
        else:
            current += character
    return [part for part in (*parts, current) if part]


def _scalar(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _literal(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            raise ArgumentError(f'{name}: cannot read {text!r}; write a list or mapping such as [1, 2] or {{"a": 1}}') from None


_MANY = {"int": "whole numbers", "float": "numbers", "str": "words"}
_SPOKEN = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "None": "none"}


def _spoken(annotation: str) -> str:
    return " or ".join(_said(member) for member in _members(_tree(annotation)))


def _said(node: ast.expr) -> str:
    """Spell one type: `a whole number`, `one of mean, blur`, `a list of numbers`, `2 whole numbers`."""
    head, items = _head(node), _items(node)
    if head == "Literal":
        return "one of " + ", ".join(map(str, _literals(ast.unparse(node))))
    if head in ("tuple", "list", "Sequence") and items:
        plain = [item for item in items if ast.unparse(item) != "..."]
        each = _MANY.get(_head(plain[0]), ast.unparse(plain[0]))
        if head == "tuple" and len(plain) == len(items):
            return f"{len(items)} {each}" if len({ast.unparse(item) for item in items}) == 1 else f"{len(items)} values, {ast.unparse(node)}"
        return f"a list of {each}"
    return _SPOKEN.get(head, ast.unparse(node))


def annotation_of(kind: Any) -> str:
    """Spell a live annotation the way source would: `int | None`, `tuple[int, ...]`."""
    if isinstance(kind, str):
        return kind
    if isinstance(kind, types.UnionType) or typing.get_origin(kind):
        return str(kind).replace("typing.", "")
    return getattr(kind, "__name__", str(kind))
