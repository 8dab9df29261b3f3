"""Changing a network without retraining it: cut it, give it another head or first layer, fold batch norms, turn linear layers into convolutions.

Every function returns a changed copy; `notes` tells in words what was done to it.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
