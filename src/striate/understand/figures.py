"""An Explanation drawn: the method's own way where its file has `figure`, else a way for each kind."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import numpy as np

from striate import draw
from striate.core.errors import ArgumentError
from striate.draw import Figure
from striate.understand.registry import methods

if TYPE_CHECKING:
    from striate.understand.explanation import Explanation

MOST = 64
"""Pictures a figure shows; the title says when there are more."""


def figure(explanation: Explanation) -> Figure:
    """Draw an explanation. Raises `ArgumentError` when it holds nothing that can be drawn."""
    if explanation.method in methods:
        module = importlib.import_module(methods.entry(explanation.method).module)
        own = getattr(module, "figure", None)
        if own is not None:
            drawn: Figure = own(explanation)
            return drawn
    return of_kind(explanation)


def of_kind(explanation: Explanation) -> Figure:
    """Draw an explanation the way of its kind."""
    title = titled(explanation)
    arrays = explanation.arrays
    if explanation.kind == "map" and "map" in arrays:
        return draw.maps(list(arrays["map"][:MOST]), captions(explanation)[:MOST], title=title)
    if explanation.kind == "image" and "image" in arrays:
        pictures = list(np.clip(arrays["image"][:MOST], 0, 1))
        return draw.grid(pictures, captions(explanation)[:MOST], title=title)
    raise ArgumentError(f"{explanation.method}: nothing to draw in {', '.join(arrays) or 'no arrays'}; it can be saved as .npz")


def titled(explanation: Explanation) -> str:
    """Return a title: the method's name, and the layer."""
    name = explanation.method.replace("_", " ").replace("-", " ")
    return (name[:1].upper() + name[1:]) + (f" at {explanation.layer}" if explanation.layer else "")


def captions(explanation: Explanation) -> list[str]:
    """Return a caption for each sample: the class explained, else the file's name, else nothing."""
    if explanation.target is not None and len(explanation.target) == len(explanation):
        return [class_name(explanation, number) for number in explanation.target]
    return list(explanation.names) if len(explanation.names) == len(explanation) else [""] * len(explanation)


def class_name(explanation: Explanation, number: int) -> str:
    """Return a class's name, or its number where names are unknown."""
    return explanation.classes[number] if 0 <= number < len(explanation.classes) else f"class {number}"
