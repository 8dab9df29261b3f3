"""Where layers register. A layer's file holds one decorated class and an `example()` beside it: the layer and its inputs, for the contract suite."""

from __future__ import annotations

from striate.core.registry import Registry

layers = Registry("layer", package="striate.layers")
layer = layers.register
