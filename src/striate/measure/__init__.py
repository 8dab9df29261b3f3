"""Shapes, parameters, multiply-adds, memory and receptive fields, computed before a network is run.

Names load on first use, so importing this does not import torch; `arithmetic`, `operations` and `stacks` never need it.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
