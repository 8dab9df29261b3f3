"""Architectures, one file a family: `build`, `names`, `card`, `spec_of`, `load_weights`.

Names load on first use, so importing this does not import torch.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
