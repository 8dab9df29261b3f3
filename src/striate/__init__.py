"""striate: a workbench for convolutional networks. Names load on first use, so importing it does not import torch."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
