"""What slides in a recorded call: kernel, stride and padding of convolutions and pools, whether they are modules or functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from torch import nn

from striate.measure.arithmetic import Window
from striate.probe import Call

Kind = Literal["convolution", "transposed", "pool", "local"]


@dataclass(frozen=True)
class Sliding:
    """A window over the last axes of a call's first input; `windows` has one an axis.

    An adaptive pool that shrinks unevenly has `uneven` instead: the largest window and the mean distance between two, one pair an axis.
    """

    kind: Kind
    windows: tuple[Window, ...]
    uneven: tuple[tuple[int, Fraction], ...] = ()
    adaptive: bool = False
    """Whether the windows follow from the input's size."""


CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
MAXIMUM = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode")
AVERAGE = ("input", "kernel_size", "stride", "padding", "ceil_mode")
POWER = ("input", "norm_type", "kernel_size", "stride", "ceil_mode")
ADAPTIVE = ("input", "output_size")

FUNCTIONS: dict[str, tuple[Kind, int, tuple[str, ...]]] = {}
"""A function's name -> what it is, how many axes, and its arguments in order."""
for _n in (1, 2, 3):
    FUNCTIONS |= {
        f"conv{_n}d": ("convolution", _n, CONVOLUTION),
        f"conv_transpose{_n}d": ("transposed", _n, TRANSPOSED),
        f"max_pool{_n}d": ("pool", _n, MAXIMUM),
        f"max_pool{_n}d_with_indices": ("pool", _n, MAXIMUM),
        f"avg_pool{_n}d": ("pool", _n, AVERAGE),
        f"lp_pool{_n}d": ("pool", _n, POWER),
        f"adaptive_max_pool{_n}d": ("pool", _n, ADAPTIVE),
        f"adaptive_avg_pool{_n}d": ("pool", _n, ADAPTIVE),
    }
POOLS = (nn.modules.pooling._MaxPoolNd, nn.modules.pooling._AvgPoolNd, nn.modules.pooling._LPPoolNd)  # noqa: SLF001 - the common bases
ADAPTIVES = (nn.modules.pooling._AdaptiveMaxPoolNd, nn.modules.pooling._AdaptiveAvgPoolNd)  # noqa: SLF001


def sliding(call: Call) -> Sliding | None:
    """Return what slides in this call, or None where nothing does."""
    shape = tuple(call.inputs[0].shape) if call.inputs else ()
    found = _of_module(call.module, shape) if call.module is not None else _of_function(call, shape)
    return found if found is None or len(shape) > len(found.windows or found.uneven) else None


def _of_module(module: nn.Module, shape: tuple[int, ...]) -> Sliding | None:
    if isinstance(module, nn.modules.conv._ConvNd):  # noqa: SLF001
        axes = len(module.kernel_size)
        kind: Kind = "transposed" if module.transposed else "convolution"
        return Sliding(kind, _windows(axes, module.kernel_size, module.stride, module.padding, module.dilation))
    if isinstance(module, ADAPTIVES):
        return _adaptive(_axes_of(module), module.output_size, shape)
    if isinstance(module, POOLS):
        stride = module.stride if module.stride is not None else module.kernel_size
        return _pool(
            _axes_of(module), module.kernel_size, stride, getattr(module, "padding", 0), getattr(module, "dilation", 1), bool(module.ceil_mode)
        )
    return _of_ours(module)


def _of_ours(module: nn.Module) -> Sliding | None:
    """Layers of striate that slide: torch's attribute names, or the older two's `kernel` and `size`."""
    if not type(module).__module__.startswith("striate.layers."):
        return None
    name, axes = type(module).__name__, _axes_of(module)
    if name == "PartialConv2d":
        return Sliding("convolution", _windows(2, getattr(module, "kernel", getattr(module, "kernel_size", 1)), 1, 0, 1))
    if name == "Subsampling":
        size = getattr(module, "size", getattr(module, "kernel_size", 1))
        return _pool(2, size, size, 0, 1, False)
    if not hasattr(module, "kernel_size") or not axes:
        return None
    size, dilation = module.kernel_size, getattr(module, "dilation", 1)
    stride = getattr(module, "stride", None)
    padding = getattr(module, "padding", 0)
    if "Unpool" in name:
        return Sliding("transposed", _windows(axes, size, size if stride is None else stride, padding, 1))
    if "Pool" in name:
        return _pool(axes, size, size if stride is None else stride, padding, dilation, getattr(module, "ceil_mode", False))
    kind: Kind = "local" if "Locally" in name else "transposed" if "Transpose" in name else "convolution"
    return Sliding(kind, _windows(axes, size, 1 if stride is None else stride, padding, dilation))


def _of_function(call: Call, shape: tuple[int, ...]) -> Sliding | None:
    if call.operation not in FUNCTIONS:
        return None
    kind, axes, names = FUNCTIONS[call.operation]
    given: dict[str, Any] = dict(zip(names, call.args, strict=False)) | call.kwargs
    if "output_size" in names:
        return _adaptive(axes, given["output_size"], shape)
    if kind == "pool":
        size = given["kernel_size"]
        return _pool(axes, size, given.get("stride") or size, given.get("padding", 0), given.get("dilation", 1), bool(given.get("ceil_mode", False)))
    kernel = tuple(given["weight"].shape[-axes:])
    return Sliding(kind, _windows(axes, kernel, given.get("stride", 1), given.get("padding", 0), given.get("dilation", 1)))


def _pool(axes: int, size: Any, stride: Any, padding: Any, dilation: Any, ceil: bool) -> Sliding:
    return Sliding("pool", _windows(axes, size, stride, padding, dilation, ceil=ceil))


def _adaptive(axes: int, wanted: Any, shape: tuple[int, ...]) -> Sliding:
    """An adaptive pool: even windows where the sizes divide, else places `size/output` apart that overlap by up to a pixel."""
    sizes = shape[-axes:]
    outputs = [size if out is None else int(out) for size, out in zip(sizes, _each(wanted, axes), strict=True)]
    if all(size % out == 0 for size, out in zip(sizes, outputs, strict=True)):
        return Sliding("pool", tuple(Window(size // out, size // out) for size, out in zip(sizes, outputs, strict=True)), adaptive=True)
    largest = [max(-(-(i + 1) * size // out) - i * size // out for i in range(out)) for size, out in zip(sizes, outputs, strict=True)]
    return Sliding("pool", (), tuple((kernel, Fraction(size, out)) for kernel, size, out in zip(largest, sizes, outputs, strict=True)))


def _windows(axes: int, size: Any, stride: Any, padding: Any, dilation: Any, *, ceil: bool = False) -> tuple[Window, ...]:
    kernels, strides, spreads = _each(size, axes), _each(stride, axes), _each(dilation, axes)
    if isinstance(padding, str):
        pads = [(d * (k - 1) // 2, d * (k - 1) - d * (k - 1) // 2) if padding == "same" else (0, 0) for k, d in zip(kernels, spreads, strict=True)]
    else:
        pads = [(p, p) for p in _each(padding, axes)]
    return tuple(Window(k, s, *p, d, ceil) for k, s, p, d in zip(kernels, strides, pads, spreads, strict=True))


def _each(value: Any, axes: int) -> tuple[int, ...]:
    found: Sequence[Any] = value if isinstance(value, (tuple, list)) else (value,) * axes
    return tuple(found) * axes if len(found) == 1 and axes > 1 else tuple(found)


def _axes_of(module: nn.Module) -> int:
    """1, 2 or 3 for `…1d`, `…2d`, `…3d` anywhere among the class's names; 0 for any other."""
    for kind in type(module).__mro__:
        if kind.__name__[-1:] == "d" and kind.__name__[-2:-1] in "123":
            return int(kind.__name__[-2])
    return 0
