"""Several methods on the same pictures, one after the other: what `striate explain` runs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from striate.core.errors import ArgumentError, StriateError, unknown_name
from striate.core.registry import Entry
from striate.understand.explanation import Explanation
from striate.understand.registry import methods, options_of

Receipts = Literal["cheap", "full"]
ALL = "all"
"""Stands for every method that answers about pictures with a map: quick ones. What makes pictures or looks at a data set is run when named."""


@dataclass(frozen=True)
class Explained:
    """What `explain` returns: explanations by method, in the order asked for, how long each took, and which had nothing to say and why.

    `left_out`: with `all`, the methods that are run only when named (see `named_only`).
    """

    explanations: Mapping[str, Explanation]
    seconds: Mapping[str, float]
    failures: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def __getitem__(self, method: str) -> Explanation:
        """Return one method's explanation; raises `UnknownNameError`."""
        if method not in self.explanations:
            raise unknown_name("method", method, self.explanations)
        return self.explanations[method]

    def named(self, names: Sequence[str]) -> Explained:
        """Return a copy whose samples are called `names`."""
        renamed = {
            name: dataclasses.replace(each, names=tuple(names)) if len(each) == len(names) else each for name, each in self.explanations.items()
        }
        return dataclasses.replace(self, explanations=renamed)

    def html(self, *, title: str = "", lead: str = "") -> str:
        """Return one page with a section a method; what had nothing to say is told at the end."""
        from striate.understand.pages import page

        told = [f"{name}: {reason}" for name, reason in self.failures.items()]
        return page(list(self.explanations.values()), title=title, lead=lead, failures=told, more=unasked(self.left_out))


def explain(
    model: Any,
    images: Any = None,
    *,
    method: str | Sequence[str] = "all",
    data: Any = None,
    receipts: Receipts = "cheap",
    target: Any = None,
    preprocess: Any = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    watch: Callable[[str, int, int], None] | None = None,
) -> Explained:
    """Run one or several methods with the same target, preprocess and seed: names, or `all`, every map of the pictures, alone or among names.

    `images`: what every method takes, or None where none needs them; `data`: for methods that look at a data set; a method of pairs takes two images.
    `options`: a mapping for each method that needs one, `{"occlusion": {"window": 15}}`. `receipts="full"`: check each explanation (`receipts.py`;
    slow). Of `all`, a method that cannot say anything about this model (guided backpropagation where there is no ReLU) is named in `failures`, and
    `left_out` names what `all` does not stand for; one asked for by name raises. `watch(name, number, of)` is called before each.
    Raises `UnknownNameError`, and `ArgumentError` for what is missing.
    """
    names = chosen(method)
    named = {_plain(part) for part in _parts(method)}
    checked = checked_options(options or {}, names)
    if receipts not in ("cheap", "full"):
        raise unknown_name("receipts", str(receipts), ("cheap", "full"))
    subjects = {name: subject_of(name, images, data) for name in names}
    found: dict[str, Explanation] = {}
    seconds: dict[str, float] = {}
    failures: dict[str, str] = {}
    first: StriateError | None = None
    for number, name in enumerate(names):
        if watch is not None:
            watch(name, number, len(names))
        began = time.perf_counter()
        try:
            made = run(name, model, subjects[name], target=target, preprocess=preprocess, seed=seed, options=checked.get(name, {}))
            if receipts == "full" and methods.entry(name).facts["needs"] == "images":
                made = _with_receipts(model, images, made, preprocess, seed)
        except StriateError as error:
            if name in named:
                raise
            failures[name], first = str(error), first or error
            continue
        found[name] = made
        seconds[name] = time.perf_counter() - began
    if not found:
        if first is not None and len(set(failures.values())) == 1:  # it lies in the model or the pictures, not in the methods
            raise first
        raise ArgumentError("no method had anything to say: " + "; ".join(f"{name}: {reason}" for name, reason in failures.items()))
    return Explained(found, seconds, failures, tuple(name for name in named_only() if name not in names) if ALL in named else ())


def subject_of(method: str, images: Any, data: Any) -> tuple[Any, ...]:
    """Return what a method is given after the model: the images, the data, two images, or nothing. Raises `ArgumentError` where that is missing."""
    needs = methods.entry(method).facts["needs"]
    if needs == "nothing":
        return ()
    if needs == "data":
        if data is None:
            raise ArgumentError(f"{method} looks at a data set: give data=")
        return (data,)
    if images is None or (isinstance(images, (list, tuple)) and not images):
        raise ArgumentError(f"{method} needs {'two pictures' if needs == 'pair' else 'pictures'}, got none")
    if needs == "images":
        return (images,)
    if isinstance(images, str) or not hasattr(images, "__len__") or len(images) != 2:
        raise ArgumentError(f"{method} needs exactly two pictures")
    return images[0], images[1]


def run(
    name: str, model: Any, subject: Sequence[Any], *, options: Mapping[str, Any], target: Any = None, preprocess: Any = None, seed: int = 0
) -> Explanation:
    """Call one method on its subject (see `subject_of`) with those of target, preprocess and seed that it takes."""
    known = methods.entry(name).signature.names
    given = {"target": target, "preprocess": preprocess, "seed": seed}
    keywords = {key: value for key, value in given.items() if key in known and value is not None}
    made: Explanation = methods.get(name)(model, *subject, **keywords, **options)
    return made


def maps() -> tuple[str, ...]:
    """Return the methods that answer about pictures with a map, in alphabetical order: what `all` stands for."""
    return tuple(entry.name for entry in methods if entry.facts["needs"] == "images" and entry.facts["kind"] == "map")


def named_only() -> tuple[str, ...]:
    """Return the other methods: those that make pictures, step by step, and those that look at a data set."""
    return tuple(name for name in methods.names() if name not in maps())


def unasked(names: Sequence[str]) -> str:
    """Say which of these methods `all` leaves out and why; empty for none."""
    of_data = [name for name in names if methods.entry(name).facts["needs"] == "data"]
    others = [name for name in names if name not in of_data]
    told = [f"{', '.join(group)} ({why})" for group, why in ((others, "they make pictures"), (of_data, "they look at a data set")) if group]
    return f"all is every map; to be asked for by name: {'; '.join(told)}" if told else ""


def chosen(method: str | Sequence[str]) -> tuple[str, ...]:
    """Return method names: one, several (a list, or with commas), `all` alone or among them. Raises `UnknownNameError`; `ArgumentError` for none."""
    names: list[str] = []
    for part in _parts(method):
        names += maps() if _plain(part) == ALL else (_known(part),)
    if not names:
        raise ArgumentError(f"method: got none, expected all, or some of {', '.join(methods.names())}")
    return tuple(dict.fromkeys(names))


def _parts(method: str | Sequence[str]) -> list[str]:
    return [part for part in ([part.strip() for part in method.split(",")] if isinstance(method, str) else method) if part]


def _known(name: str) -> str:
    if _plain(name) not in methods:
        raise unknown_name("method", name, (ALL, *methods.names()))
    return methods.entry(_plain(name)).name


def checked_options(options: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return each method's options checked against its signature. Raises `UnknownNameError`, `ArgumentError`."""
    found: dict[str, dict[str, Any]] = {}
    for name, values in options.items():
        if _plain(name) not in names:
            methods.entry(_plain(name))
            raise ArgumentError(f"options: {name} is not among the methods asked for: {', '.join(names)}")
        found[_plain(name)] = options_of(methods.entry(_plain(name))).check(values)
    return found


def parsed_options(assignments: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read `occlusion.window=15`, or `window=15` for every method that has it. Raises `UnknownNameError`, `ArgumentError`."""
    found: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        key, given, text = assignment.partition("=")
        if not given:
            raise ArgumentError(f"--set {assignment!r}: expected METHOD.KEY=VALUE, for example occlusion.window=15")
        head, dot, tail = key.strip().partition(".")
        owners = [_plain(head)] if dot else [name for name in names if head.replace("-", "_") in options_of(methods.entry(name)).names]
        if dot and owners[0] not in names:
            raise unknown_name("method", head, names)
        if not owners:
            allowed = {option for name in names for option in options_of(methods.entry(name)).names}
            raise unknown_name("setting", head, allowed)
        for name in owners:
            entry: Entry = methods.entry(name)
            parameter = options_of(entry)[tail if dot else head]
            found.setdefault(name, {})[parameter.name] = parameter.parse(text.strip())
    return found


def _plain(name: str) -> str:
    return name.replace("-", "_").lower()


def _with_receipts(model: Any, images: Any, made: Explanation, preprocess: Any, seed: int) -> Explanation:
    import importlib

    full = importlib.import_module("striate.understand.receipts").full
    checked: Explanation = full(model, images, made, preprocess=preprocess, seed=seed)
    return checked
