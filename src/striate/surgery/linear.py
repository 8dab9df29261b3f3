"""Back from the convolutional form: linear layers are linear again."""

from __future__ import annotations

from torch import nn

from striate.core.errors import ArgumentError
from striate.surgery.following import copied, note, replace_module
from striate.surgery.marks import KeptMaps, KeptSize, SlidLinear, SlidNorm, SlidPool


def to_linear(model: nn.Module) -> nn.Module:
    """Return a copy of what `to_convolutional` made, as the classifier it was: one size of input, N K scores, weights as they are now.

    Raises `ArgumentError` for a network that `to_convolutional` did not make.
    """
    changed = copied(model)
    found = 0
    for path, module in list(changed.named_modules()):
        new: nn.Module | None = None
        if isinstance(module, SlidLinear):
            new = module.linear()
        elif isinstance(module, SlidNorm):
            new = module.flat()
        elif isinstance(module, KeptMaps):
            new = nn.Flatten()
        elif isinstance(module, (SlidPool, KeptSize)):
            new = module.was
        if new is not None:
            replace_module(changed, path, new)
            found += 1
    if not found:
        raise ArgumentError("model: nothing in it was made by to_convolutional, so there is nothing to turn back")
    note(changed, f"{found} boxes are what they were before to_convolutional")
    return changed
