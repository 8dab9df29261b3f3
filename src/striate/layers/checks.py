"""What every layer asks of its arguments and inputs, and the words in which it refuses: the argument, what came, what is allowed.

Shapes are compared on every call: a few comparisons of whole numbers, which torch.compile turns into guards. Values are looked at only where
asked for, inside `finite_inputs`, because that costs a pass over the data and, on an accelerator, a wait.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import index
from typing import Any, SupportsIndex

import torch
from torch import Tensor, nn

from striate.core.errors import ArgumentError

_look_at_values = False


@contextmanager
def finite_inputs() -> Iterator[None]:
    """Within it every layer and loss of striate looks at its inputs and raises `ArgumentError` where one holds NaN or infinity.

    It names the layer, how many values are not finite and where the first is: the quickest way to the layer that went wrong.
    It holds for the whole process, costs a pass over each input, and does nothing inside compiled code.
    """
    global _look_at_values  # noqa: PLW0603 - one flag for the process, read by every layer
    before, _look_at_values = _look_at_values, True
    try:
        yield
    finally:
        _look_at_values = before


def looking() -> bool:
    """Tell whether values are looked at: inside `finite_inputs`."""
    return _look_at_values


def maps(layer: nn.Module, x: Tensor, channels: int | None = None, *, places: int = 2, batch_only: bool = False, name: str = "input") -> None:
    """Ask for N C L (`places` 1) or N C H W (2), with or without the N, of `channels` channels; raises `ArgumentError`."""
    rank = x.dim()
    if (rank != places + 2 and (batch_only or rank != places + 1)) or (channels is not None and x.size(-places - 1) != channels):
        axes = [str(channels) if channels is not None else "C", *("HW" if places == 2 else "L")]
        allowed = spell(["N", *axes]) + ("" if batch_only else f" or {spell(axes)}")
        if rank in (places + 1, places + 2):
            allowed += f"; axis {rank - places - 1} is the channels"
        refuse(layer, name, x, allowed)
    values(layer, x, name=name)


def windows(
    layer: nn.Module,
    x: Tensor,
    kernel: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int] = (1, 1),
    *,
    spare: Sequence[int] = (0, 0),
    name: str = "input",
) -> None:
    """Ask for places that a window fits into once they are padded; `spare` of its cells may hang over (ceil_mode). Raises `ArgumentError`."""
    places = len(kernel)
    for axis, (size, pad, step, over) in enumerate(zip(kernel, padding, dilation, spare, strict=True), start=-places):
        reach = step * (size - 1) + 1 - over
        if x.size(axis) + 2 * pad < reach:
            dilated = f" (dilated by {step}: {reach})" if step > 1 else ""
            raise ArgumentError(
                f"{type(layer).__name__}: {name}: got shape {spell(x.shape)}, padded by {pad} the {_axis(axis, places)} is {x.size(axis) + 2 * pad}; "
                f"kernel_size {size}{dilated} needs at least {reach}: take a larger input, more padding or a smaller kernel"
            )


def last(layer: nn.Module, x: Tensor, features: int, *, name: str = "input") -> None:
    """Ask for `features` numbers along the last axis; raises `ArgumentError`."""
    if x.dim() == 0 or x.size(-1) != features:
        refuse(layer, name, x, f"… x {features}; the last axis is the features")
    values(layer, x, name=name)


def same(layer: nn.Module, x: Tensor, other: Tensor, *, names: tuple[str, str]) -> None:
    """Ask for two tensors of one shape; raises `ArgumentError`."""
    if x.shape != other.shape:
        refuse(layer, names[1], other, f"that of {names[0]}, {spell(x.shape)}")
    values(layer, x, name=names[0])
    values(layer, other, name=names[1])


def values(layer: nn.Module, x: Tensor, *, name: str = "input") -> None:
    """Ask for finite values, inside `finite_inputs` only."""
    if _look_at_values:
        finite(layer, x, name=name)


def refuse(layer: nn.Module, name: str, x: Tensor, allowed: str) -> None:
    """Raise `ArgumentError`: `layer` cannot take `x`, its argument `name`; `allowed` is the shape it can take."""
    raise ArgumentError(f"{type(layer).__name__}: {name}: got shape {spell(x.shape)}, expected {allowed}")


def finite(layer: nn.Module | str, x: Tensor, *, name: str) -> None:
    """Ask for values that are neither NaN nor infinite; says how many are and where the first is. Looks at no value inside compiled code."""
    if not (x.is_floating_point() or x.is_complex()) or not has_values(x) or bool(torch.isfinite(x).all()):
        return
    wrong = (~torch.isfinite(x)).nonzero()
    first = tuple(wrong[0].tolist())
    owner = layer if isinstance(layer, str) else type(layer).__name__
    raise ArgumentError(
        f"{owner}: {name}: {len(wrong)} of {x.numel()} values are not finite, the first is {x[first].item()} at {list(first)}; "
        "expected finite numbers"
    )


def classes(loss: nn.Module, scores: Tensor, target: Tensor) -> None:
    """Ask for scores N K … and class numbers N … between 0 and K-1; values are compared on the CPU only, elsewhere the device would have to wait."""
    if scores.dim() < 2 or not scores.is_floating_point():
        raise ArgumentError(
            f"{type(loss).__name__}: scores: got {scores.dtype} of shape {spell(scores.shape)}, expected floating point, N x K or N x K x …"
        )
    if target.shape != scores.shape[:1] + scores.shape[2:]:
        refuse(
            loss, "target", target, f"{spell([*scores.shape[:1], *scores.shape[2:]])}, one class number for each row of scores {spell(scores.shape)}"
        )
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise ArgumentError(f"{type(loss).__name__}: target: got {target.dtype}, expected class numbers (int64)")
    values(loss, scores, name="scores")
    if readable(target) and target.numel():
        low, high = (int(value) for value in target.aminmax())
        if low < 0 or high >= scores.size(1):
            wrong = low if low < 0 else high
            raise ArgumentError(f"{type(loss).__name__}: target: got class {wrong}, expected 0 to {scores.size(1) - 1}, the classes scores have")


def pair(name: str, value: int | Sequence[int], *, least: int = 1, places: int = 2) -> tuple[int, ...]:
    """Return `value`, a whole number or one for each of `places` axes, as a tuple; raises `ArgumentError` for what is smaller than `least`."""
    found = (value,) * places if isinstance(value, int) else tuple(value) if isinstance(value, (tuple, list)) else ()
    if len(found) != places or not all(isinstance(one, int) and not isinstance(one, bool) and one >= least for one in found):
        many = f" or {places} of them" if places > 1 else ""
        raise ArgumentError(f"{name}: got {value!r}, expected a whole number{many}, at least {least}")
    return found


def count(name: str, value: int, *, least: int = 1) -> int:
    """Return `value`, a whole number; raises `ArgumentError` for what is smaller than `least`."""
    if not isinstance(value, SupportsIndex) or isinstance(value, bool) or index(value) < least:
        raise ArgumentError(f"{name}: got {value!r}, expected a whole number, at least {least}")
    return index(value)


def number(name: str, value: float, *, above: float = -math.inf, up_to: float = math.inf, also: float | None = None) -> float:
    """Return `value`, finite, greater than `above` (or equal to `also`) and not greater than `up_to`; raises `ArgumentError`."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not (above < value <= up_to or value == also):
        limits = [f"at least {also:g}"] if also is not None else [f"above {above:g}"] if above > -math.inf else []
        limits += [f"at most {up_to:g}"] if up_to < math.inf else []
        raise ArgumentError(f"{name}: got {value!r}, expected a finite number" + (" " + " and ".join(limits) if limits else ""))
    return value


def sides(layer: nn.Module, output_size: Sequence[int]) -> tuple[int, int]:
    """Return the last two numbers of an `output_size`, height and width; raises `ArgumentError` where it has not two whole numbers."""
    found = output_size[-2:] if isinstance(output_size, (tuple, list)) else ()
    if len(found) != 2 or not all(isinstance(side, (int, torch.SymInt)) and side >= 0 for side in found):
        raise ArgumentError(f"{type(layer).__name__}: output_size: got {output_size!r}, expected height and width, such as (32, 32)")
    return found[0], found[1]


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """Return `value`, one of the words in `allowed`; raises `ArgumentError` naming them."""
    if value not in allowed:
        raise ArgumentError(f"{name}: got {value!r}, expected one of {', '.join(allowed)}")
    return value


def wide(x: Tensor) -> Tensor:
    """Return `x` in float32 where it is bf16 or fp16, else as it is: sums of squares, powers and losses need the digits."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def spell(shape: Sequence[Any]) -> str:
    """Spell a shape, `2 x 3 x 32 x 32`."""
    return " x ".join(map(str, shape)) or "() (a single number)"


def _axis(axis: int, places: int) -> str:
    return {(-2, 2): "height", (-1, 2): "width"}.get((axis, places), "length")


def readable(x: Tensor) -> bool:
    """Whether looking at the values of `x` costs little: it is on the CPU, real, and nothing is being compiled or traced."""
    return x.device.type == "cpu" and has_values(x)


def has_values(x: Tensor) -> bool:
    """Whether there are values to look at: nothing is being compiled, traced or run under vmap, and `x` lies on a device with memory."""
    if torch.compiler.is_compiling() or type(x) not in (Tensor, nn.Parameter) or x.is_meta:
        return False
    return not torch._C._functorch.is_functorch_wrapped_tensor(x)  # noqa: SLF001 - torch has no public way to tell that vmap is at work
