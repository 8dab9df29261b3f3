"""Named things found by walking a folder and reading the source: help and did-you-mean never import what they list."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from striate.core.errors import ArgumentError, unknown_name
from striate.core.signature import Signature

Thing = TypeVar("Thing", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry:
    """What the source says about one named thing: all literals, nothing imported."""

    name: str
    help: str
    module: str
    attribute: str
    signature: Signature
    facts: dict[str, Any] = field(default_factory=dict)
    """The decorator's other literal keywords (year, parameters, ...)."""


class Registry:
    """All things of one kind. A thing registers by standing, decorated, in a file of the package's folder.

    >>> architectures = Registry("architecture", package="striate.zoo")
    >>> architecture = architectures.register      # the decorator; the *name it is used under* must equal the kind

    `kind` is the field's word for the thing and the decorator's name in the source.
    """

    def __init__(self, kind: str, *, package: str) -> None:
        self.kind, self.package = kind, package
        self._live: dict[str, Callable[..., Any]] = {}

    def register(self, name: str, *, help: str, **facts: Any) -> Callable[[Thing], Thing]:  # noqa: A002
        """Decorate a thing as `name`. All arguments except `card=` must be literals; the function's defaults too."""

        def keep(thing: Thing) -> Thing:
            entry = self.entries.get(name)
            if entry is not None and (entry.module, entry.attribute) != (thing.__module__, thing.__name__):
                raise ArgumentError(f"{self.kind} {name!r} is defined in {thing.__module__} and in {entry.module}; rename one")
            setattr(thing, "registered", {"name": name, "help": help, "facts": facts})  # noqa: B010 - a class has no writable __dict__
            self._live[name] = thing
            return thing

        return keep

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Every entry by name, in alphabetical order, read from source. A duplicate raises `ArgumentError`."""
        found: dict[str, Entry] = {}
        for module, path in _sources(self.package):
            for entry in _read(path, module, self.kind):
                if entry.name in found:
                    raise ArgumentError(f"{self.kind} {entry.name!r} is defined in {found[entry.name].module} and in {module}; rename one")
                found[entry.name] = entry
        return dict(sorted(found.items()))

    def names(self) -> tuple[str, ...]:
        """All names, alphabetical."""
        return tuple(self.entries)

    def entry(self, name: str) -> Entry:
        """Return the entry called `name`, or raise `UnknownNameError` with the nearest names."""
        if name not in self.entries:
            raise unknown_name(self.kind, name, self.entries)
        return self.entries[name]

    def get(self, name: str) -> Callable[..., Any]:
        """Import and return the thing called `name`, or raise `UnknownNameError`."""
        entry = self.entry(name)
        thing: Callable[..., Any] = getattr(importlib.import_module(entry.module), entry.attribute)
        return thing

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self.entries


def _sources(package: str) -> Iterator[tuple[str, Path]]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ArgumentError(f"{package} is not a package")
    for folder in spec.submodule_search_locations:
        root = Path(folder)
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if parts[-1] != "__init__":
                yield ".".join([package, *parts]), path


def _read(path: Path, module: str, kind: str) -> Iterator[Entry]:
    text = path.read_text(encoding="utf-8")
    if f"@{kind}(" not in text:
        return
    for node in ast.parse(text, filename=str(path)).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == kind:
                    yield _entry(node, decorator, module, kind)


def _entry(node: ast.FunctionDef | ast.ClassDef, decorator: ast.Call, module: str, kind: str) -> Entry:
    where = f"{module}, line {decorator.lineno}"
    facts = {}
    for keyword in decorator.keywords:
        try:
            facts[str(keyword.arg)] = ast.literal_eval(keyword.value)
        except ValueError:
            if keyword.arg != "card":
                raise ArgumentError(f"{where}: {keyword.arg}= of @{kind} must be a literal") from None
    if not decorator.args or not isinstance(decorator.args[0], ast.Constant) or not isinstance(facts.get("help"), str):
        raise ArgumentError(f'{where}: write @{kind}("name", help="one line")')
    function = node if isinstance(node, ast.FunctionDef) else _constructor(node)
    signature = Signature.of_source(function) if function else Signature(())
    return Entry(str(decorator.args[0].value), facts.pop("help"), module, node.name, signature, facts)


def _constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    """Return the constructor that is written out; a dataclass (`striate.formulas`) has none, and its fields are told by its module alone."""
    return next((item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None)
