"""Build a network by name for any input and number of classes, and ask what is known about it."""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.core.contracts import Card, ModelSpec
from striate.core.errors import ArgumentError, unknown_name
from striate.core.signature import Signature
from striate.zoo import outside
from striate.zoo.registry import Shape, architectures, cards

if TYPE_CHECKING:
    from torch import nn


def build(
    name: str,
    *,
    classes: int | Sequence[str],
    input: Sequence[int],  # noqa: A002 - the field's word, and the spec's
    weights: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    partial: bool = False,
) -> nn.Module:
    """Build the architecture `name`, freshly initialised from torch's random state, or with `weights`: a file, or `published`.

    `name` may also be `timm:NAME`, `torchvision:NAME` or `package.module:factory`, whose options are passed on unchecked.

    `classes` is a number or the class names; `input` is one sample's shape, C H W, or (L,) for a sentence; `options` are the factory's own keywords
    (`names` lists architectures, `striate models NAME` their options); with `partial`, tensors that the file lacks stay fresh.
    Raises `UnknownNameError` for an unknown name or option, `ArgumentError` for an input too small or an option out of range,
    `StorageError` for weights that do not fit. What was left fresh, such as a head for another number of classes, is told by a warning.
    """
    _check_name(name)
    model: nn.Module
    if name.endswith(("+codes", "+boxes")):
        from striate.zoo import coded, two_heads

        kind = coded if name.endswith(coded.SUFFIX) else two_heads
        model = kind.build(name, _class_count(classes), input, options or {})
        spec = getattr(model, "spec")  # noqa: B009 - both set it
    elif outside.is_outside(name):
        shape = _shape(name, input, 1)
        spec = ModelSpec(name, _class_count(classes), shape, dict(options or {}))
        model = outside.build(name, spec.classes, shape, spec.options)
    else:
        spec = _spec(name, classes, input, options or {})
        model = architectures.get(name)(spec.classes, spec.input, **spec.options)
    object.__setattr__(model, "spec", spec)
    if weights is not None:
        from striate.zoo.weights import load_weights

        loaded = load_weights(model, weights, partial=partial)
        if loaded.fresh:
            warnings.warn(f"{loaded.path.name}: {'; '.join(loaded.notes[1:])}", stacklevel=2)
    return model


def _spec(name: str, classes: int | Sequence[str], given_input: Sequence[int], options: Mapping[str, Any]) -> ModelSpec:
    entry, rank = architectures.entry(name), len(card(name).input)
    allowed = Signature(tuple(p for p in entry.signature.parameters if p.keyword_only))
    given = _checked_options(name, allowed, options)
    defaults = {p.name: p.default for p in allowed.parameters}
    check = _shape if rank == 3 else _length
    return ModelSpec(name, _class_count(classes), check(name, given_input, entry.facts["smallest"]), defaults | given)


def names(pattern: str = "*") -> tuple[str, ...]:
    """Return the architectures' names that match a shell pattern such as `resnet*`, alphabetical; nothing is imported.

    `timm:resnet*` and `torchvision:*` list those libraries, which are imported for it.
    """
    if outside.is_outside(pattern):
        return outside.names(pattern)
    return tuple(name for name in architectures.names() if fnmatch.fnmatchcase(name, pattern))


def card(name: str) -> Card:
    """Return what is known about an architecture: paper, recipe, cut points, layer groups, deviations.

    Raises `UnknownNameError`; networks from outside the zoo have no card.
    """
    if outside.is_outside(name):
        raise ArgumentError(f"name: {name} comes from outside the zoo and has no card")
    architectures.get(name)
    return cards[name]


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        came = f"the class {name.__name__}" if isinstance(name, type) else f"a {type(name).__name__}"
        raise ArgumentError(f"name: got {came}, expected the name of an architecture (`striate models` lists them)")


def spec_of(model: nn.Module) -> ModelSpec | None:
    """Return how `build` made this network, or None for a network from elsewhere."""
    spec = getattr(model, "spec", None)
    return spec if isinstance(spec, ModelSpec) else None


def _checked_options(name: str, allowed: Signature, options: Mapping[str, Any]) -> dict[str, Any]:
    for option in options:
        if option.replace("-", "_") not in allowed.names:
            raise unknown_name(f"option of {name}", option, allowed.names)
    return allowed.check(options)


def _class_count(classes: int | Sequence[str]) -> int:
    if isinstance(classes, str) or not isinstance(classes, (int, Sequence)) or isinstance(classes, bool):
        raise ArgumentError(f"classes: got {classes!r}, expected a number or a list of class names")
    count = classes if isinstance(classes, int) else len(classes)
    if count < 1:
        raise ArgumentError(f"classes: got {classes!r}, expected at least one class")
    return count


def _length(name: str, given: Sequence[int], smallest: int) -> tuple[int]:
    if len(given) != 1 or not isinstance(given[0], int) or given[0] < smallest:
        raise ArgumentError(f"input: got {given!r}, but {name} takes sentences of {smallest} words or more: expected (length,), for example (56,)")
    return (given[0],)


def _shape(name: str, given: Sequence[int], smallest: int) -> Shape:
    if len(given) != 3 or not all(isinstance(n, int) and n >= 1 for n in given):
        raise ArgumentError(f"input: got {given!r}, expected (channels, height, width), for example (3, 224, 224)")
    channels, height, width = given
    if min(height, width) < smallest:
        raise ArgumentError(
            f"input: {height}x{width} is too small for {name}; the smallest size that fits is {smallest}x{smallest}. "
            f"Enlarge the pictures, or choose a network for smaller ones"
        )
    return channels, height, width
