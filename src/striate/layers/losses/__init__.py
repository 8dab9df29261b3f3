"""Losses as modules, and regularisers as functions of a module. In formulas: s the scores of one sample, y its class, N samples, K classes."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
