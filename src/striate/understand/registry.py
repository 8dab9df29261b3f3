"""Where methods of understanding register. A method is one function in `methods/NAME.py`; names, help and facts are literals, read without torch.

    @method("occlusion", help="Where covering the picture lowers the score", needs="images", kind="map")
    def occlusion(model, images, *, target=None, window: int = 15, stride: int = 8, preprocess=None, seed: int = 0) -> Explanation: ...

`needs`: `images` (the second parameter is images), `data` (a data set), `pair` (two images or two sets), `nothing` (the model alone).
`kind`: what the Explanation is: `map`, `image`, `table` or `embedding`.
The keyword-only parameters are the flags of the command line and the page's form, but for those in `GIVEN`, which every method may have and the
command gives itself. A file may also hold `figure(explanation) -> draw.Figure`, its own way of drawing; else the kind's is used (`figures.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

from striate.core.registry import Entry, Registry
from striate.core.signature import Signature

if TYPE_CHECKING:
    from striate.understand.explanation import Explanation

Method = TypeVar("Method", bound="Callable[..., Explanation]")
Needs = Literal["images", "data", "pair", "nothing"]
Kind = Literal["map", "image", "table", "embedding"]
GIVEN = ("target", "preprocess", "seed", "batch")
"""Keyword-only parameters that are the caller's affair, not one method's option."""

methods = Registry("method", package="striate.understand.methods")


def method(name: str, *, help: str, needs: Needs, kind: Kind) -> Callable[[Method], Method]:  # noqa: A002 - the registry's word
    """Decorate a function as the method `name`; all arguments are literals."""
    return methods.register(name, help=help, needs=needs, kind=kind)


def options_of(entry: Entry) -> Signature:
    """Return a method's own options: its keyword-only parameters without those in `GIVEN`."""
    return Signature(tuple(p for p in entry.signature.parameters if p.keyword_only and p.name not in GIVEN))
