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
WORDS = ("maps", "all")
"""What stands for many methods; those that have nothing to say on a model are then told, not raised."""


@dataclass(frozen=True)
class Explained:
    """What `explain` returns: explanations by method, in the order asked for, how long each took, and which had nothing to say and why."""

    explanations: Mapping[str, Explanation]
    seconds: Mapping[str, float]
    failures: Mapping[str, str] = field(default_factory=dict)

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
        return page(list(self.explanations.values()), title=title, lead=lead, failures=told)


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
    """Run one or several methods with the same target, preprocess and seed: names, `maps` (those that say where) or `all` that explain pictures.

    `images`: what every method takes, or None where none needs them; `data`: for methods that look at a data set; a method of pairs takes two images.
    `options`: a mapping for each method that needs one, `{"occlusion": {"window": 15}}`. `receipts="full"`: check each explanation (`receipts.py`;
    slow). With `maps` and `all`, a method that cannot say anything about this model (guided backpropagation where there is no ReLU) is named in
    `failures`; one asked for by name raises. `watch(name, number, of)` is called before each. Raises `UnknownNameError`, and `ArgumentError` for
    what is missing.
    """
    names = chosen(method)
    checked = checked_options(options or {}, names)
    if receipts not in ("cheap", "full"):
        raise unknown_name("receipts", str(receipts), ("cheap", "full"))
    subjects = {name: subject_of(name, images, data) for name in names}
    found: dict[str, Explanation] = {}
    seconds: dict[str, float] = {}
    failures: dict[str, str] = {}
    for number, name in enumerate(names):
        if watch is not None:
            watch(name, number, len(names))
        began = time.perf_counter()
        try:
            made = run(name, model, subjects[name], target=target, preprocess=preprocess, seed=seed, options=checked.get(name, {}))
            if receipts == "full" and methods.entry(name).facts["needs"] == "images":
                made = _with_receipts(model, images, made, preprocess, seed)
        except StriateError as error:
            if method not in WORDS:
                raise
            failures[name] = str(error)
            continue
        found[name] = made
        seconds[name] = time.perf_counter() - began
    if not found:
        raise ArgumentError("no method had anything to say: " + "; ".join(f"{name}: {reason}" for name, reason in failures.items()))
    return Explained(found, seconds, failures)


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


def for_images(*, maps: bool = False) -> tuple[str, ...]:
    """Return the methods that explain pictures, in alphabetical order: what `all` means; with `maps` only those whose answer is a map."""
    return tuple(entry.name for entry in methods if entry.facts["needs"] == "images" and (not maps or entry.facts["kind"] == "map"))


def chosen(method: str | Sequence[str]) -> tuple[str, ...]:
    """Return method names: one, several (a list, or with commas), `maps` or `all`. Raises `UnknownNameError`; `ArgumentError` for none."""
    asked = [part.strip() for part in method.split(",")] if isinstance(method, str) else list(method)
    if len(asked) == 1 and asked[0] in WORDS:
        return for_images(maps=asked[0] == "maps")
    names = tuple(dict.fromkeys(methods.entry(_plain(name)).name for name in asked if name))
    if not names:
        raise ArgumentError(f"method: got none, expected all, or some of {', '.join(methods.names())}")
    return names


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
