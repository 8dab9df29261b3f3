"""Models whose inside cannot be watched, and what to do about it, in words."""

from __future__ import annotations

from torch import nn

from striate.probe.walking import modules_of
from striate.probe.watching import scripted


def closed(model: nn.Module) -> str:
    """Return why parts of a model cannot be looked into and what to pass instead, as the end of a sentence; empty where nothing is closed."""
    if scripted(model):
        return "what its scripted or traced modules do inside cannot be watched: pass the network they were made from"
    if any("quantized" in type(module).__module__ and "dynamic" not in type(module).__module__ for module in modules_of(model)):
        return "its quantised layers give whole numbers, which have no gradients: pass the network before it was converted"
    return ""
