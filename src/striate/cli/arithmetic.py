"""`striate arithmetic`: one operation's output, parameters and work from its settings, with the sums that lead there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.cli.registry import command

if TYPE_CHECKING:
    from striate.measure.operations import Figures


@command(
    "arithmetic conv",
    help="A convolution: output, parameters, work, and what fits.",
    group="Work out a layer by hand: a convolution, or pool, linear, stack.",
    section="Reference",
    options={
        "input": "What it reads: height x width x channels, or length x channels.",
        "filters": "How many filters: the channels of the output.",
        "size": "Extent of a filter: 5, or 3x5.",
        "stride": "Pixels from one place to the next: 2, or 2x1.",
        "pad": "Pixels of padding on each side, or same, or valid.",
        "dilation": "Distance between a filter's values.",
        "groups": "Parts of the channels that do not see each other.",
        "bias": "A bias for each filter.",
        "strict": "Refuse a stride that does not fit.",
        "json": "Print JSON.",
    },
    metavars={"input": "HxWxC", "size": "F", "stride": "S", "pad": "P", "filters": "K", "dilation": "D"},
    examples=(
        "striate arithmetic conv --input 32x32x3 --filters 10 --size 5 --pad 2",
        "striate arithmetic conv --input 7x7x1 --size 3 --stride 3",
        "striate arithmetic conv --input 7x1 --size 3 --stride 2 --no-bias",
    ),
)
def conv(
    *,
    input: str,  # noqa: A002 - the field's word
    filters: int = 1,
    size: str = "3",
    stride: str = "1",
    pad: str = "0",
    dilation: str = "1",
    groups: int = 1,
    bias: bool = True,
    strict: bool = False,
    json: bool = False,
) -> None:
    """Work out a convolution; torch is not imported."""
    from striate.cli.shapes import channels_last
    from striate.measure.operations import convolution

    shape = channels_last(input)
    extent, step, gap = _sides(size, "--size"), _sides(stride, "--stride"), _sides(dilation, "--dilation")
    made = convolution(shape, filters, extent, stride=step, padding=_pads(pad), dilation=gap, groups=groups, bias=bias)
    _tell(made, strict=strict, json=json)


@command(
    "arithmetic pool",
    help="A pooling layer: output, and what fits.",
    section="Reference",
    options={
        "input": "What it reads: height x width x channels, or length x channels.",
        "size": "Extent of a window: 2, or 2x3.",
        "stride": "Pixels from one window to the next. By default the size.",
        "pad": "Pixels of padding on each side.",
        "ceil": "A last window may hang over the edge (torch's ceil_mode).",
        "strict": "Refuse a stride that does not fit.",
        "json": "Print JSON.",
    },
    metavars={"input": "HxWxC", "size": "F", "stride": "S", "pad": "P"},
    examples=("striate arithmetic pool --input 224x224x64 --size 2", "striate arithmetic pool --input 55x55x96 --size 3 --stride 2"),
)
def pool(
    *,
    input: str,  # noqa: A002
    size: str = "2",
    stride: str | None = None,
    pad: str = "0",
    ceil: bool = False,
    strict: bool = False,
    json: bool = False,
) -> None:
    """Work out a pool; torch is not imported."""
    from striate.cli.shapes import channels_last
    from striate.measure.operations import pool as pooling

    step = None if stride is None else _sides(stride, "--stride")
    _tell(pooling(channels_last(input), _sides(size, "--size"), stride=step, padding=_pads(pad), ceil=ceil), strict=strict, json=json)


@command(
    "arithmetic linear",
    help="A fully connected layer: parameters and multiply-adds.",
    section="Reference",
    options={
        "input": "What it reads: 32x32x3, or a number of values.",
        "outputs": "How many outputs: 10, or a shape such as 32x32.",
        "bias": "A bias for each output.",
        "json": "Print JSON.",
    },
    metavars={"input": "HxWxC", "outputs": "K"},
    examples=("striate arithmetic linear --input 32x32 --outputs 32x32", "striate arithmetic linear --input 7x7x512 --outputs 4096"),
)
def linear(*, input: str, outputs: str = "10", bias: bool = True, json: bool = False) -> None:  # noqa: A002
    """Work out a fully connected layer; torch is not imported."""
    from math import prod

    from striate.cli.shapes import numbers
    from striate.measure.operations import linear as dense

    shape = numbers(input, "--input", "height x width x channels, such as 32x32x3, or a number of values")
    _tell(dense(shape, prod(numbers(outputs, "--outputs", "a number, or a shape such as 32x32")), bias=bias), strict=False, json=json)


@command(
    "arithmetic local",
    help="A locally connected layer: own weights at every position.",
    section="Reference",
    options={
        "input": "What it reads: height x width x channels, or length x channels.",
        "filters": "Outputs at each position.",
        "size": "Extent of the field: 3, or 3x5.",
        "stride": "Pixels from one place to the next.",
        "pad": "Pixels of padding on each side, or same, or valid.",
        "bias": "A bias for each output.",
        "strict": "Refuse a stride that does not fit.",
        "json": "Print JSON.",
    },
    metavars={"input": "HxWxC", "size": "F", "stride": "S", "pad": "P", "filters": "K"},
    examples=("striate arithmetic local --input 32x32x3 --size 3", "striate arithmetic local --input 7x1 --size 3 --stride 2 --no-bias"),
)
def local(
    *,
    input: str,  # noqa: A002
    filters: int = 1,
    size: str = "3",
    stride: str = "1",
    pad: str = "0",
    bias: bool = True,
    strict: bool = False,
    json: bool = False,
) -> None:
    """Work out a locally connected layer; torch is not imported."""
    from striate.cli.shapes import channels_last
    from striate.measure.operations import locally_connected

    shape, field, step = channels_last(input), _sides(size, "--size"), _sides(stride, "--stride")
    _tell(locally_connected(shape, field, filters=filters, stride=step, padding=_pads(pad), bias=bias), strict=strict, json=json)


@command(
    "arithmetic stack",
    help="Several operations in a row: sums, and what a unit sees.",
    section="Reference",
    options={
        "operations": "A chain such as '3 * conv(64, 3x3)' or 'conv(8, 5x5) -> relu -> maxpool(2)'.",
        "input": "What the first one reads: height x width x channels.",
        "pad": "Padding of operations that name none: a number, same or valid.",
        "strict": "Refuse strides that do not fit.",
        "json": "Print JSON.",
    },
    metavars={"operations": "CHAIN", "input": "HxWxC", "pad": "P"},
    examples=(
        "striate arithmetic stack '5 * conv(96, 3x3, bias=false)' --input 227x227x3",
        "striate arithmetic stack 'conv(1, 5x5) -> conv(1, 3x3)' --input 32x32x1",
    ),
)
def stack(operations: str, *, input: str, pad: str = "0", strict: bool = False, json: bool = False) -> None:  # noqa: A002
    """Work out a chain; torch is not imported."""
    from striate.cli.shapes import channels_last
    from striate.measure.stacks import stack as chain

    _tell(chain(operations, channels_last(input), padding=_pads(pad)), strict=strict, json=json)


@command(
    "arithmetic inception",
    help="Branches that read one input and are joined along the channels.",
    section="Reference",
    options={
        "branches": "A chain for each branch, such as 'conv(64, 1x1) -> conv(192, 3x3)'.",
        "input": "What all of them read: height x width x channels.",
        "pad": "Padding of operations that name none: a number, same or valid.",
        "strict": "Refuse strides that do not fit.",
        "json": "Print JSON.",
    },
    metavars={"branches": "CHAIN", "input": "HxWxC", "pad": "P"},
    examples=(
        "striate arithmetic inception 'conv(128, 1x1)' 'conv(192, 3x3)' 'conv(96, 5x5)' 'maxpool(3)' --input 28x28x256",
        "striate arithmetic inception 'conv(128, 1x1)' 'conv(64, 1x1) -> conv(192, 3x3)' --input 28x28x256",
    ),
)
def inception(branches: tuple[str, ...], *, input: str, pad: str = "same", strict: bool = False, json: bool = False) -> None:  # noqa: A002
    """Work out branches and their join; torch is not imported."""
    from striate.cli.shapes import channels_last
    from striate.measure.stacks import inception as joined

    _tell(joined(branches, channels_last(input), padding=_pads(pad)), strict=strict, json=json)


def _tell(found: Figures, *, strict: bool, json: bool) -> None:
    """Print figures: the parts as a table where there are any, then sums, then how they come about."""
    from striate.cli.output import facts, print_json, say, table
    from striate.core.errors import ArgumentError
    from striate.measure.arithmetic import spell
    from striate.measure.text import size_of

    if strict and found.warnings:
        raise ArgumentError("; ".join(found.warnings))
    if json:
        print_json(found.to_json())
        return
    if found.parts:
        table(["operation", "output", "parameters", "multiply-adds", "sees"], _rows(found))
        say()
    steps = dict(found.steps)
    shape = spell(found.shape)
    told = {
        "input": spell(found.input),
        "output": f"{shape}   {steps['output']}" if "output" in steps else shape,
        **{name: line for name, line in steps.items() if name not in ("output", "parameters", "multiply-adds", "shared instead")},
        "parameters": steps.get("parameters", f"{found.parameters:,}"),
        "multiply-adds": steps.get("multiply-adds", f"{found.multiply_adds:,}" if found.multiply_adds else None),
        "activations": f"{found.activations:,}, {size_of(found.bytes)} in float32" + (", of all outputs together" if found.parts else ""),
        "sees": _seen(found),
        "instead": steps.get("shared instead"),
    }
    facts(told)
    for warning in found.warnings:
        say()
        say(f"! {warning}", style="yellow")


def _rows(found: Figures) -> list[list[str]]:
    from striate.measure.arithmetic import spell

    def row(part: Figures, mark: str = "") -> list[str]:
        sees = spell([field.size for field in part.fields])
        return [f"{mark}{part.title or part.operation}", spell(part.shape), f"{part.parameters:,}", f"{part.multiply_adds:,}", sees]

    lines = []
    for number, part in enumerate(found.parts, start=1):
        if part.parts:
            lines += [row(step, f"branch {number}: " if place == 0 else "    -> ") for place, step in enumerate(part.parts)]
        else:
            lines.append(row(part))
    return lines


def _seen(found: Figures) -> str | None:
    from striate.measure.arithmetic import spell

    if found.operation == "linear":
        return "all of the input"
    return f"{spell([field.size for field in found.fields])} of the input"


def _sides(text: str, flag: str) -> int | tuple[int, ...]:
    from striate.cli.shapes import numbers

    found = numbers(text, flag, "a whole number, or one for each side such as 3x5")
    return found[0] if len(found) == 1 else found


def _pads(text: str) -> int | Sequence[int] | str:
    from striate.cli.shapes import numbers

    if text in ("same", "valid"):
        return text
    found = numbers(text, "--pad", "a whole number, one for each side such as 1x2, same, or valid", least=0)
    return found[0] if len(found) == 1 else found
