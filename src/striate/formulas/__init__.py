"""Every operation's forward pass, parameter gradient and backward message in plain NumPy, float64, as slow and as readable as the formula."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
