"""Where methods of understanding register. A method is one function in `methods/NAME.py`; names, help and facts are literals, read without torch.

    @method("occlusion", help="Where covering the picture lowers the score", needs="images", kind="map")
    def occlusion(model, images, *, target=None, window: int = 15, stride: int = 8, preprocess=None, seed: int = 0) -> Explanation: ...

`needs`: `images` (the second parameter is images), `data` (a data set), `pair` (two images or two sets), `nothing` (the model alone).
`kind`: what the Explanation is: `map`, `image`, `table` or `embedding`.
The keyword-only parameters are the flags of the command line and the page's form, but for those in `GIVEN`, which every method may have and the
command gives itself. A file may also hold `figure(explanation) -> draw.Figure`, its own way of drawing; else the kind's is used (`figures.py`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from striate.core.errors import ArgumentError
from striate.core.registry import Entry, Registry
from striate.core.signature import Parameter, Signature

if TYPE_CHECKING:
    from striate.understand.explanation import Explanation

Method = TypeVar("Method", bound="Callable[..., Explanation]")
Needs = Literal["images", "data", "pair", "nothing"]
Kind = Literal["map", "image", "table", "embedding"]
GIVEN = ("target", "preprocess", "seed", "batch")
"""Keyword-only parameters that are the caller's affair, not one method's option."""

methods = Registry("method", package="striate.understand.methods")


def method(name: str, *, help: str, needs: Needs, kind: Kind) -> Callable[[Method], Method]:  # noqa: A002 - the registry's word
    """Decorate a function as the method `name`; all arguments are literals.

    Whoever calls it, its options are checked against its signature and brought to their types (1 -> 1.0, list -> tuple); what is no such value, or
    no finite number, raises `ArgumentError` before anything is computed.
    """
    register = methods.register(name, help=help, needs=needs, kind=kind)

    def keep(function: Method) -> Method:
        own = _options(Signature.of_callable(function))

        @functools.wraps(function)
        def called(*subject: Any, **named: Any) -> Explanation:
            return function(*subject, **{key: _checked(own[key], value) if key in own.names else value for key, value in named.items()})

        return register(cast("Method", called))

    return keep


def options_of(entry: Entry) -> Signature:
    """Return a method's own options: its keyword-only parameters without those in `GIVEN`."""
    return _options(entry.signature)


def _options(signature: Signature) -> Signature:
    return Signature(tuple(p for p in signature.parameters if p.keyword_only and p.name not in GIVEN))


def _checked(parameter: Parameter, value: Any) -> Any:
    found = parameter.check(value)
    if isinstance(found, float) and not math.isfinite(found):
        raise ArgumentError(f"{parameter.name}: got {value!r}, expected a finite number")
    return found
