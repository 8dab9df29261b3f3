"""How weights start: zeros, Gaussian, Xavier, He, orthogonal, LSUV; and statistics of activations and gradients that show what a start does."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
