"""The registries of data sources and of augmentations, and how an augmentation is written as text: `crop(4)`, `mirror`."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from striate.core.errors import ArgumentError
from striate.core.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from striate.data.augment.base import Augmentation
    from striate.data.dataset import Dataset

Asked = ParamSpec("Asked")

sources = Registry("source", package="striate.data.sources")


def source(name: str, *, help: str) -> Callable[[Callable[Asked, Dataset]], Callable[Asked, Dataset]]:  # noqa: A002
    """Register a source; the data set it returns remembers the options it was asked for, so that a run can open it again."""

    def keep(function: Callable[Asked, Dataset]) -> Callable[Asked, Dataset]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def recording(*arguments: Asked.args, **keywords: Asked.kwargs) -> Dataset:
            made = dataclasses.replace(function(*arguments, **keywords), source=name)
            if made.spec is None:  # made of what is in memory: there is nothing to open again
                return made
            asked = signature.bind(*arguments, **keywords).arguments
            defaults = {key: parameter.default for key, parameter in signature.parameters.items()}
            plain = {key: value for key, value in asked.items() if defaults[key] is not inspect.Parameter.empty and not callable(value)}
            plain = {key: str(value) if isinstance(value, Path) else value for key, value in plain.items()}
            return dataclasses.replace(made, options={key: value for key, value in plain.items() if value != defaults[key]})

        return sources.register(name, help=help)(recording)

    return keep


augmentations = Registry("augmentation", package="striate.data.augment")
augmentation = augmentations.register


def parse_spec(spec: str) -> tuple[str, dict[str, Any]]:
    """Read `crop(2, mode='reflect')` into a name and its checked arguments, without importing anything.

    Raises `UnknownNameError` with the nearest names, `ArgumentError` for anything that is not a literal call.
    """
    form = f"augment: cannot read {spec!r}; write a name with literal arguments, such as mirror, crop(4) or crop(2, mode='reflect')"
    word, bracket, rest = spec.strip().partition("(")
    try:
        tree = ast.parse(word.replace("-", "_") + bracket + rest, mode="eval").body
    except (SyntaxError, ValueError):
        raise ArgumentError(form) from None
    name_node = tree.func if isinstance(tree, ast.Call) else tree
    if not isinstance(name_node, ast.Name):
        raise ArgumentError(form)
    name = name_node.id
    signature = augmentations.entry(name).signature
    if not isinstance(tree, ast.Call):
        return name, {}
    try:
        positional = [ast.literal_eval(argument) for argument in tree.args]
        keywords = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in tree.keywords}
    except ValueError:
        raise ArgumentError(form) from None
    takers = [parameter for parameter in signature.parameters if not parameter.keyword_only]
    if len(positional) > len(takers):
        raise ArgumentError(
            f"augment: {spec!r} gives {len(positional)} arguments in a row, {name} takes {len(takers)} ({', '.join(signature.names)})"
        )
    values = {parameter.name: value for parameter, value in zip(takers, positional, strict=False)}
    twice = values.keys() & keywords.keys()
    if twice:
        raise ArgumentError(f"augment: {spec!r} gives {min(twice)} twice")
    try:
        return name, signature.check({**values, **keywords})
    except ArgumentError as error:
        raise type(error)(f"augment {spec!r}: {error}") from None


def build(specs: Iterable[str]) -> tuple[Augmentation, ...]:
    """Turn specs such as `("crop(4)", "mirror")` into augmentations, in order."""
    built = []
    for spec in specs:
        name, values = parse_spec(spec)
        built.append(augmentations.get(name)(**values))
    return tuple(built)
