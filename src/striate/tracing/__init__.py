"""The tracer: every number of a small network's forward pass, parameter gradients and backward messages, with the terms that made it."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
