"""Sizes as words of the command line: `3x224x224`, `5`, `3x3`."""

from __future__ import annotations

from striate.core.errors import ArgumentError

COLOURS = (1, 3, 4)
"""Channel counts of pictures: they tell which end of a shape the channels stand at."""


def channels_first(text: str, flag: str = "--input") -> tuple[int, ...]:
    """Read one sample's shape, channels x height x width (or a length alone). Raises `ArgumentError`, also where the channels stand last."""
    shape = numbers(text, flag, "channels x height x width, such as 3x224x224")
    if len(shape) == 2:
        raise ArgumentError(f"{flag} {text}: the channels are missing; write 3x{text} for colour, 1x{text} for grey")
    if len(shape) == 3 and shape[0] not in COLOURS and shape[2] in COLOURS and shape[0] > 4:
        right = f"{shape[2]}x{shape[0]}x{shape[1]}"
        raise ArgumentError(f"{flag} {text}: the channels come first here, channels x height x width: {right}")
    return shape


def channels_last(text: str, flag: str = "--input") -> tuple[int, ...]:
    """Read a shape as the course writes it, height x width x channels. Raises `ArgumentError`, also where the channels stand first."""
    shape = numbers(text, flag, "height x width x channels, such as 32x32x3")
    if len(shape) == 3 and shape[0] in COLOURS and shape[1] == shape[2] and shape[2] > 4:
        right = f"{shape[1]}x{shape[2]}x{shape[0]}"
        raise ArgumentError(f"{flag} {text}: the channels come last here, as the course writes them, height x width x channels: {right}")
    return shape


def numbers(text: str, flag: str, wanted: str, *, least: int = 1) -> tuple[int, ...]:
    """Read whole numbers of `least` or more joined by x. Raises `ArgumentError` naming the flag."""
    parts = text.lower().replace("×", "x").replace("*", "x").replace(",", "x").replace(" ", "").split("x")
    if not all(part.isascii() and part.isdigit() and int(part) >= least for part in parts):
        raise ArgumentError(f"{flag} {text}: expected {wanted}")
    return tuple(map(int, parts))
