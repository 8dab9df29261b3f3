"""The names of initialisations, readable without importing torch.

An initialisation is a function (shape, fans, gain, generator, *, its options) -> values, float64; `follows` tells whether its gain
is that of the nonlinearity behind the layer.
"""

from __future__ import annotations

from striate.core.registry import Registry

initialisations = Registry("initialisation", package="striate.init")
initialisation = initialisations.register
