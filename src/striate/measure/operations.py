"""The figures of one operation from its settings alone: output, parameters, multiply-adds, activations. No torch.

Shapes here are written as the course writes them, height x width x channels (length x channels in one dimension); figures are of one sample.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from striate.core.errors import ArgumentError
from striate.measure.arithmetic import Fit, Pads, Sides, Window, counted, fit, sides, spell, window
from striate.measure.receptive_field import Field

Fields = tuple[Field, ...]
BYTES = 4
"""Of one float32 number."""


@dataclass(frozen=True)
class Figures:
    """What one operation costs and gives for one sample, with the sums that lead there.

    `shape` is the output, `activations` the numbers it holds, `steps` pairs of a name and a worked formula, `misfits` the axes whose stride does
    not fit, `fields` the receptive field along height and width (in pixels of the first input), `windows` one an axis where the operation has any.
    """

    operation: str
    input: tuple[int, ...]
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    activations: int
    fields: Fields
    windows: tuple[Window, ...] = ()
    misfits: tuple[Fit, ...] = ()
    steps: tuple[tuple[str, str], ...] = ()
    parts: tuple[Figures, ...] = field(default=(), repr=False)
    title: str = ""
    """As it was written in a chain; else the operation."""

    @property
    def bytes(self) -> int:
        """Memory of the output in float32."""
        return BYTES * self.activations

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is lost where a stride does not fit, and what fits; one sentence for axes that agree."""
        return misfit_sentences(self.input[:-1], self.misfits)

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        told: dict[str, object] = {
            "operation": self.title or self.operation,
            "input": list(self.input),
            "output": list(self.shape),
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "activations": self.activations,
            "bytes": self.bytes,
            "receptive_field": [{"size": f.size, "stride": float(f.stride), "start": float(f.start)} for f in self.fields],
            "warnings": list(self.warnings),
            "steps": dict(self.steps),
        }
        if self.parts:
            told["parts"] = [part.to_json() for part in self.parts]
        return told


def convolution(
    input: Sequence[int],  # noqa: A002 - the field's word
    filters: int,
    size: Sides,
    *,
    stride: Sides = 1,
    padding: Pads = 0,
    dilation: Sides = 1,
    groups: int = 1,
    bias: bool = True,
    fields: Fields | None = None,
) -> Figures:
    """Return the figures of a convolution with `filters` filters of extent `size` on H x W x C, or L x C (O3).

    `fields` are the receptive fields of the input's units; pixels where none are given. Raises `ArgumentError`.
    """
    *space, channels = _shape(input)
    _at_least("filters", filters)
    _at_least("groups", groups)
    if channels % groups or filters % groups:
        raise ArgumentError(f"groups: got {groups}, expected a number that divides both the {channels} input channels and the {filters} filters")
    windows = _windows(len(space), size, stride, padding, dilation)
    out = _places(space, windows)
    field_size = math.prod(w.kernel for w in windows)
    weights = filters * field_size * (channels // groups)
    places = math.prod(out)
    each = "·".join([*(str(w.kernel) for w in windows), str(channels // groups)])
    steps = {
        **_size_steps(space, windows, out),
        "parameters": f"{counted(filters, 'filter')} of ({each}{' + 1 bias' if bias else ''}) = {weights + filters * bias:,}",
        "multiply-adds": f"{'·'.join(map(str, out))}·{filters} outputs of {each} each = {weights * places:,}",
    }
    return _figures("convolution", input, (*out, filters), weights + filters * bias, weights * places, fields, windows, steps)


def pool(
    input: Sequence[int],  # noqa: A002
    size: Sides,
    *,
    stride: Sides | None = None,
    padding: Pads = 0,
    ceil: bool = False,
    fields: Fields | None = None,
) -> Figures:
    """Return the figures of max, average or L2 pooling over `size`; `stride` is the size where none is given (O5).

    Raises `ArgumentError`, also where the padding is more than half the window.
    """
    *space, channels = _shape(input)
    windows = _windows(len(space), size, size if stride is None else stride, padding, 1, ceil=ceil)
    for w in windows:
        if 2 * max(w.before, w.after) > w.kernel:
            raise ArgumentError(f"padding: got {w.before} for a window of {w.kernel}, expected at most half of it: a window must see the input")
    out = _places(space, windows)
    steps = {**_size_steps(space, windows, out), "parameters": "none: a pool has nothing to learn", "channels": f"{channels}, as in the input"}
    return _figures("pool", input, (*out, channels), 0, 0, fields, windows, steps)


def global_pool(input: Sequence[int], *, fields: Fields | None = None) -> Figures:  # noqa: A002
    """Return the figures of global average pooling: one number a channel, as a vector (O9). Raises `ArgumentError`."""
    *space, channels = _shape(input)
    seen = _whole(fields, space)
    steps = {"output": f"the mean of {'·'.join(map(str, space))} values of each of {channels} channels", "parameters": "none: a mean has none"}
    return _figures("global pool", input, (channels,), 0, 0, seen, (), steps)


def batch_norm(input: Sequence[int], *, fields: Fields | None = None) -> Figures:  # noqa: A002
    """Return the figures of batch normalisation: a scale and a shift for each channel; its output is not counted, as `summary` does not."""
    shape = _shape(input, least=1)
    steps = {"parameters": f"2 for each of {counted(shape[-1], 'channel')} = {2 * shape[-1]:,}"}
    return replace(_figures("batch norm", shape, shape, 2 * shape[-1], 0, fields, (), steps), activations=0)


def linear(input: Sequence[int] | int, outputs: int, *, bias: bool = True, fields: Fields | None = None) -> Figures:  # noqa: A002
    """Return the figures of a fully connected layer on all values of the input (O1): every output has its own weight for every value."""
    shape = _shape((input,) if isinstance(input, int) else input, least=1)
    _at_least("outputs", outputs)
    values = math.prod(shape)
    seen = fields if fields is not None and len(shape) == 1 else _whole(fields, shape[:-1])
    many = f"{'·'.join(map(str, shape))} = {values:,}" if len(shape) > 1 else f"{values:,}"
    steps = {
        "inputs": many,
        "parameters": f"{outputs:,}·({values:,}{' + 1' if bias else ''}) = {outputs * (values + bias):,}",
        "multiply-adds": f"{outputs:,}·{values:,} = {outputs * values:,}",
    }
    return _figures("linear", shape, (outputs,), outputs * (values + bias), outputs * values, seen, (), steps)


def locally_connected(
    input: Sequence[int],  # noqa: A002
    size: Sides,
    *,
    filters: int = 1,
    stride: Sides = 1,
    padding: Pads = 0,
    bias: bool = True,
    fields: Fields | None = None,
) -> Figures:
    """Return the figures of a layer that slides like a convolution but has its own weights at every position (O2). Raises `ArgumentError`."""
    *space, channels = _shape(input)
    _at_least("filters", filters)
    windows = _windows(len(space), size, stride, padding, 1)
    out = _places(space, windows)
    values = math.prod(w.kernel for w in windows) * channels
    units = math.prod(out) * filters
    each = "·".join([*(str(w.kernel) for w in windows), str(channels)])
    steps = {
        **_size_steps(space, windows, out),
        "parameters": f"{'·'.join(map(str, (*out, filters)))} units of ({each}{' + 1 bias' if bias else ''}) = {units * (values + bias):,}",
        "multiply-adds": f"{counted(units, 'unit')} of {each} each = {units * values:,}",
        "shared instead": f"a convolution has {filters * (values + bias):,} parameters for the same output",
    }
    return _figures("locally connected", input, (*out, filters), units * (values + bias), units * values, fields, windows, steps)


def _whole(fields: Fields | None, space: Sequence[int]) -> Fields:
    """The fields of what sees all places."""
    given = fields if fields is not None else tuple(Field() for _ in space)
    return tuple(f.over(units) for f, units in zip(given, space, strict=True))


def misfit_sentences(space: Sequence[int], misfits: Sequence[Fit]) -> tuple[str, ...]:
    """Return one sentence where all axes misfit alike (`7x7 does not fit …`), else one for each that does."""
    if len(misfits) == len(space) and len({found.sentence() for found in misfits}) == 1:
        return (misfits[0].sentence(spell(space)),)
    return tuple(dict.fromkeys(found.sentence() for found in misfits))


def _figures(
    operation: str,
    given: Sequence[int],
    shape: tuple[int, ...],
    parameters: int,
    multiply_adds: int,
    fields: Fields | None,
    windows: tuple[Window, ...],
    steps: Mapping[str, str],
) -> Figures:
    seen = fields if fields is not None else tuple(Field() for _ in given[:-1])
    if windows:
        seen = tuple(f.through(w) for f, w in zip(seen, windows, strict=True))
    misfits = tuple(found for found in (fit(side, w) for side, w in zip(given, windows, strict=False)) if not found.exact)
    whole = tuple(steps.items())
    return Figures(operation, tuple(given), shape, parameters, multiply_adds, math.prod(shape), seen, windows, misfits, whole)


def _windows(axes: int, size: Sides, stride: Sides, padding: Pads, dilation: Sides, *, ceil: bool = False) -> tuple[Window, ...]:
    kernels, strides, spreads = sides(size, axes, "size"), sides(stride, axes, "stride"), sides(dilation, axes, "dilation")
    pads: tuple[Pads, ...] = (padding,) * axes if isinstance(padding, str) else sides(padding, axes, "padding")
    return tuple(window(k, stride=s, padding=p, dilation=d, ceil=ceil) for k, s, p, d in zip(kernels, strides, pads, spreads, strict=True))


def _places(space: Sequence[int], windows: Sequence[Window]) -> tuple[int, ...]:
    return tuple(w.places(side) for side, w in zip(space, windows, strict=True))


def _size_steps(space: Sequence[int], windows: Sequence[Window], out: Sequence[int]) -> dict[str, str]:
    lines = [_size_line(side, w, places) for side, w, places in zip(space, windows, out, strict=True)]
    if len(set(lines)) == 1:
        return {"output": lines[0]}
    return dict(zip(("height", "width", "depth")[: len(lines)], lines, strict=True))


def _size_line(side: int, w: Window, places: int) -> str:
    pads = f" + 2·{w.before}" if w.before == w.after and w.before else f" + {w.before + w.after}" if w.before or w.after else ""
    brackets = ("⌈", "⌉") if w.ceil else ("⌊", "⌋")
    spread = f"{w.kernel}" if w.dilation == 1 else f"({w.dilation}·({w.kernel} − 1) + 1)"
    room = f"({side}{pads} − {spread})"
    return f"{brackets[0]}{room}/{w.stride}{brackets[1]} + 1 = {places}" if w.stride > 1 else f"{room[1:-1]} + 1 = {places}"


def _shape(given: Sequence[int], least: int = 2) -> tuple[int, ...]:
    shape = tuple(given)
    if not least <= len(shape) <= 4 or not all(isinstance(n, int) and n >= 1 for n in shape):
        raise ArgumentError(f"input: got {spell(shape)}, expected height x width x channels, such as 32x32x3 (or length x channels)")
    return shape


def _at_least(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"{name}: got {value!r}, expected a whole number of 1 or more")
