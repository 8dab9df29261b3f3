"""Several operations written on one line, and what they come to: chains, and branches joined side by side. No torch.

    conv(64, 7x7, stride=2, padding=3) -> relu -> maxpool(3, stride=2) -> 2 * conv(64, 3x3, padding=same) -> flatten -> linear(10)

`conv(FILTERS, SIZE)`, `local(FILTERS, SIZE)`, `maxpool(SIZE)`, `avgpool(SIZE)`, `l2pool(SIZE)`, `gap` (the mean of each map), `linear(OUTPUTS)`;
`batchnorm` has two parameters a channel; `relu`, `leaky`, `elu`, `sigmoid`, `tanh`, `softmax`, `dropout`, `lrn` and `flatten` change no figure.
Options are `stride`, `padding` (a number, same or valid), `dilation`, `groups`, `bias`. `5 * conv(...)` stands for five in a row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from striate.core.errors import ArgumentError, unknown_name
from striate.measure.arithmetic import Pads, Sides, spell
from striate.measure.operations import Fields, Figures, batch_norm, convolution, global_pool, linear, locally_connected, pool
from striate.measure.receptive_field import Field, join

ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "conv": ("filters", "size"),
    "local": ("filters", "size"),
    "maxpool": ("size",),
    "avgpool": ("size",),
    "l2pool": ("size",),
    "linear": ("outputs",),
}
"""What stands in the brackets without a name, in order; all of it is needed."""
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "conv": ("stride", "padding", "dilation", "groups", "bias"),
    "local": ("stride", "padding", "bias"),
    "maxpool": ("stride", "padding", "ceil"),
    "avgpool": ("stride", "padding", "ceil"),
    "l2pool": ("stride", "padding", "ceil"),
    "linear": ("bias",),
}
BARE = {"batchnorm": batch_norm, "gap": global_pool}
"""Operations without settings that change a figure."""
PLAIN = ("relu", "leaky", "elu", "sigmoid", "tanh", "flatten", "softmax", "dropout", "lrn")
"""Operations that move no number's place and have no parameters."""
_CALL = re.compile(r"(?:(?P<times>\d+)\s*[*·×]\s*)?(?P<name>[a-z_][a-z_0-9]*)\s*(?:\((?P<inside>[^()]*)\))?")


@dataclass(frozen=True)
class Step:
    """One operation of a chain: its name, as written, and its settings."""

    name: str
    text: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def parse(chain: str) -> tuple[Step, ...]:
    """Read a chain of operations separated by `->`. Raises `ArgumentError` that shows the piece it could not read."""
    steps: list[Step] = []
    for piece in chain.replace("→", "->").split("->"):
        text = piece.strip()
        match = _CALL.fullmatch(text)
        if not match:
            raise ArgumentError(f"cannot read {text or 'nothing'!r} in {chain!r}; write operations as conv(64, 3x3, padding=1), separated by ->")
        steps += [_step(match, text.partition("*")[2].strip() if match["times"] and "*" in text else text)] * int(match["times"] or 1)
    return tuple(steps)


def stack(chain: str | Sequence[Step], input: Sequence[int], *, padding: Pads = 0, fields: Fields | None = None) -> Figures:  # noqa: A002
    """Return the figures of a chain on an input H x W x C: its parts, and their sums.

    `padding` is that of operations which name none. `fields` are the receptive fields of the input's units.
    `activations` are the outputs of all parts together, the input and plain steps such as relu not among them.
    Raises `ArgumentError`, naming the operation.
    """
    steps = parse(chain) if isinstance(chain, str) else tuple(chain)
    shape, seen = tuple(input), fields if fields is not None else tuple(Field() for _ in tuple(input)[:-1])
    parts = []
    for step in steps:
        if step.name in PLAIN:
            continue
        try:
            found = _figures_of(step, shape, seen, padding)
        except ArgumentError as error:
            raise ArgumentError(f"{step.text} on {spell(shape)}: {error}") from None
        parts.append(replace(found, title=step.text))
        shape, seen = found.shape, found.fields
    return _together("stack", tuple(input), shape, seen, parts)


def inception(branches: Sequence[str], input: Sequence[int], *, padding: Pads = "same") -> Figures:  # noqa: A002
    """Return the figures of branches that all read one input and whose outputs are joined along the channels (Szegedy et al. 2014).

    Pools of a branch have stride 1 unless told, so that all outputs have one size. Raises `ArgumentError` where the sizes differ.
    """
    if not branches:
        raise ArgumentError("branches: got none, expected at least one such as conv(64, 1x1) -> conv(192, 3x3)")
    found = [stack([_stride_one(step) for step in parse(branch)], input, padding=padding) for branch in branches]
    if len({part.shape[:-1] for part in found}) > 1:
        told = "; ".join(f"{branch} gives {spell(part.shape)}" for branch, part in zip(branches, found, strict=True))
        raise ArgumentError(f"the branches' outputs differ in size and cannot be joined: {told}. Padding same keeps the size at stride 1")
    shape = (*found[0].shape[:-1], sum(part.shape[-1] for part in found))
    seen = tuple(join(axis) for axis in zip(*(part.fields for part in found), strict=True))
    return _together("inception", tuple(input), shape, seen, found)


def _together(operation: str, given: tuple[int, ...], shape: tuple[int, ...], seen: Fields, parts: Sequence[Figures]) -> Figures:
    return Figures(
        operation,
        given,
        shape,
        sum(part.parameters for part in parts),
        sum(part.multiply_adds for part in parts),
        sum(part.activations for part in parts),
        seen,
        misfits=tuple(fit for part in parts for fit in part.misfits),
        parts=tuple(parts),
    )


def _figures_of(step: Step, shape: tuple[int, ...], seen: Fields, padding: Pads) -> Figures:
    settings = dict(step.settings)
    if step.name in BARE:
        return BARE[step.name](shape, fields=seen)
    if step.name == "linear":
        return linear(shape, settings.pop("outputs"), fields=seen, **settings)
    settings.setdefault("padding", 0 if padding == "same" and settings.get("stride", 1) != 1 else padding)
    size = settings.pop("size")
    if step.name == "conv":
        return convolution(shape, settings.pop("filters"), size, fields=seen, **settings)
    if step.name == "local":
        return locally_connected(shape, size, filters=settings.pop("filters"), fields=seen, **settings)
    if "stride" not in settings and settings["padding"] == "same":
        settings["padding"] = 0
    return pool(shape, size, fields=seen, **settings)


def _stride_one(step: Step) -> Step:
    if step.name not in ("maxpool", "avgpool", "l2pool") or "stride" in step.settings:
        return step
    return Step(step.name, step.text, {**step.settings, "stride": 1})


def _step(match: re.Match[str], text: str) -> Step:
    name, inside = match["name"], match["inside"]
    if name in PLAIN or name in BARE:
        return Step(name, text)
    if name not in ARGUMENTS:
        raise unknown_name("operation", name, [*ARGUMENTS, *BARE, *PLAIN])
    wanted, given = list(ARGUMENTS[name]), [word.strip() for word in (inside or "").split(",") if word.strip()]
    settings: dict[str, Any] = {}
    for word in given:
        key, named, value = (part.strip() for part in word.partition("="))
        if not named:
            key, value = next((slot for slot in wanted if slot not in settings), ""), key
        if key not in (*wanted, *OPTIONS[name]):
            if not key:
                raise ArgumentError(f"{text}: {value!r} is one too many; {name} takes {', '.join(wanted)}, and by name {', '.join(OPTIONS[name])}")
            raise unknown_name(f"option of {name}", key, [*wanted, *OPTIONS[name]])
        settings[key] = _value(key, value, text)
    if missing := [slot for slot in wanted if slot not in settings]:
        raise ArgumentError(f"{text}: {', '.join(missing)} is missing; write {name}({', '.join(slot.upper() for slot in wanted)})")
    return Step(name, text, settings)


def _value(key: str, text: str, whole: str) -> Any:
    if key in ("bias", "ceil"):
        if text.lower() not in ("true", "false", "yes", "no"):
            raise ArgumentError(f"{whole}: {key} is {text!r}, expected true or false")
        return text.lower() in ("true", "yes")
    if key == "padding" and text in ("same", "valid"):
        return text
    return sides_of(text, f"{whole}: {key}")


def sides_of(text: str, name: str) -> Sides:
    """Read `3` or `3x5`. Raises `ArgumentError` naming what it is for."""
    parts = text.lower().replace("×", "x").split("x")
    if not all(part.isdigit() for part in parts):
        raise ArgumentError(f"{name} is {text!r}, expected a whole number or a size such as 3x3")
    return int(parts[0]) if len(parts) == 1 else tuple(map(int, parts))
