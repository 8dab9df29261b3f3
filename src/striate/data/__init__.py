"""Data sets: where pictures come from, checked, split, packed, and handed out in whole batches. Names load on first use."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
