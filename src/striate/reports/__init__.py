"""What a run is worth showing as: its report, a comparison of several, a list of all. Names load on first use."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
