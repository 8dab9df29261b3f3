"""What a net has to beat: features and baselines of the field as scikit-learn estimators on 2-D X with `image_shape`, and their table (row C)."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
