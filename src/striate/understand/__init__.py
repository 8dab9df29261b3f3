"""See through any network: one file a method in `methods/`, each a function from a model and images to an Explanation. No torch at import."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
