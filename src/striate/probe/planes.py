"""Which two axes of a run's values are rows and columns: told by the operations that are two-dimensional by their nature."""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import Tensor

from striate.probe.calls import tensors
from striate.probe.keeping import Keeper, operator

_WINDOWS = ("pool2d", "upsample", "pixel_shuffle", "pixel_unshuffle", "grid_sampler_2d", "reflection_pad2d", "replication_pad2d")
_MEANS = ("mean", "amax", "amin", "sum")


class Planes(Keeper):  # type: ignore[no-untyped-call]
    """Besides what a `Keeper` does, `sizes` are the heights and widths that went through a two-dimensional operation while it was active.

    Such are convolutions with more than one weight a channel or a stride, pooling (also as a mean, a sum or a maximum over axes 2 and 3), resampling,
    and shuffling of pixels. Attention, heads beside tokens, and maps laid out N H W C have other last axes, and no such operation takes them so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sizes: set[tuple[int, int]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        output = super().__torch_dispatch__(func, types, args, kwargs)
        kind = _kind(func)
        if kind and args and isinstance(args[0], Tensor) and args[0].ndim == 4 and _is_plane(kind, args, kwargs or {}):
            self.sizes |= {(each.shape[2], each.shape[3]) for each in (args[0], *tensors(output)) if each.ndim == 4}
        return output


@cache
def _kind(func: Any) -> str:
    name = operator(func)
    if "convolution" in name:
        return "convolution"
    if any(word in name for word in _WINDOWS):
        return "window"
    return "mean" if name in _MEANS else ""


def _is_plane(kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if kind == "convolution":  # one of 1 by 1 goes over any two axes, attention's too
        stride = kwargs.get("stride", args[3] if len(args) > 3 else ())
        return any(side > 1 for side in (*args[1].shape[2:], *(stride if isinstance(stride, (list, tuple)) else (stride,))))
    if kind == "mean":
        axes = kwargs.get("dim", args[1] if len(args) > 1 else ())
        return isinstance(axes, (list, tuple)) and {axis % 4 for axis in axes} == {2, 3}
    return True
