"""Numbers and names as a reader wants them: no more digits than are meant, units beside them, the field's spelling."""

from __future__ import annotations

import math
import re
from typing import Any

from markupsafe import Markup, escape

from striate.training.figures import wilson

_NAMES = {
    "lenet": "LeNet",
    "alexnet": "AlexNet",
    "zfnet": "ZFNet",
    "nin": "NiN",
    "vgg": "VGG",
    "googlenet": "GoogLeNet",
    "inception": "Inception",
    "resnet": "ResNet",
    "preresnet": "Pre-activation ResNet",
    "wrn": "WRN",
    "resnext": "ResNeXt",
    "densenet": "DenseNet",
    "squeezenet": "SqueezeNet",
    "dpn": "DPN",
    "fractalnet": "FractalNet",
}
_SETS = {"digits": "digits", "mnist": "digits", "fashion-mnist": "pieces of clothing"}
THIN = "\u202f"
"""Narrow space that does not break, before units."""
_PARTS = {"test": "test", "val": "validation", "train": "training"}


def model_name(name: str) -> str:
    """Spell a zoo name as the paper does: `lenet5` -> `LeNet-5`; an unknown name stays as it is."""
    if name.endswith("+codes"):
        return f"{model_name(name.removesuffix('+codes'))} with a fitted head"
    if name.endswith("+boxes"):
        return f"{model_name(name.removesuffix('+boxes'))} with a head for boxes"
    match = re.fullmatch(r"([a-z]+?)[-_]?(\d+)?((?:[-_].*)?)", name)
    if not match or match[1] not in _NAMES:
        return name
    return _NAMES[match[1]] + (f"-{match[2]}" if match[2] else "") + match[3].replace("_", "-")


def things(data: str) -> str:
    """Return what a data set's samples are called, in the plural."""
    return _SETS.get(data, "pictures")


def part_name(split: str) -> str:
    """Return a split's name as a word before a noun: `test`, `validation`, `training`."""
    return _PARTS.get(split, split)


def figure_name(name: str) -> str:
    """Spell a figure's name as the terminal does: `train/box_error` -> `training box error`."""
    part, _, figure = name.rpartition("/")
    return f"{part_name(part)} {figure}".strip().replace("top5_error", "top-5 error").replace("_", " ")


def is_share(name: str) -> bool:
    """Tell whether a figure is a share, told in percent: errors of all kinds, and the boxes missed."""
    figure = name.rpartition("/")[2]
    return figure.endswith("error") or figure == "missed"


def decimals(n: int | None) -> int:
    """Return how many decimals a percentage of `n` samples deserves: two from 10,000 on, one from 200, else none."""
    return 1 if n is None else 2 if n >= 10_000 else 1 if n >= 200 else 0


def percent(share: float | None, n: int | None = None, *, places: int | None = None) -> str:
    """Spell a share as a percentage with the decimals `n` samples deserve; never round a rest to 0 or 100."""
    if share is None or not math.isfinite(share):
        return "–"
    digits = decimals(n) if places is None else places
    while digits < 3 and 0 < share < 1 and round(share * 100, digits) in (0.0, 100.0):
        digits += 1
    return f"{share * 100:.{digits}f}{THIN}%"


def interval(errors: int, n: int) -> str:
    """Spell Wilson's 95 % interval of an error rate: `0.4–2.8 %`; two decimals where it is narrower than a point."""
    low, high = wilson(errors, n)
    digits = 1 if high - low >= 0.01 else 2
    return f"{low * 100:.{digits}f}–{high * 100:.{digits}f}{THIN}%"


def count(value: float | None) -> str:
    """Spell a whole number with thousands separators."""
    return "–" if value is None else f"{round(value):,}"


def duration(seconds: float | None) -> str:
    """Spell seconds as `4.2 s`, `3 min 05 s` or `2 h 10 min`."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 99.95:
        return f"{seconds:.1f}{THIN}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{THIN}min {whole % 60:02d}{THIN}s"
    return f"{whole // 3600}{THIN}h {whole % 3600 // 60:02d}{THIN}min"


def rate(value: float | None) -> str:
    """Spell samples a second with three meaningful digits."""
    if value is None or not math.isfinite(value) or value <= 0:
        return "–"
    places = max(0, 2 - math.floor(math.log10(value)))
    step = 10 ** max(0, math.floor(math.log10(value)) - 2)
    return f"{round(value / step) * step:,}" if places == 0 else f"{value:.{places}f}"


def size(amount: int) -> str:
    """Spell a file's bytes: `812 B`, `61 kB`, `3.4 MB`."""
    if amount < 1000:
        return f"{amount}{THIN}B"
    if amount < 1_000_000:
        return f"{amount / 1000:.0f}{THIN}kB"
    return f"{amount / 1e6:.1f}{THIN}MB" if amount < 1e9 else f"{amount / 1e9:.2f}{THIN}GB"


def shape_name(shape: object) -> str:
    """Spell a sample's shape: (1, 28, 28) -> `28 × 28, grey`."""
    if not isinstance(shape, (list, tuple)) or not all(isinstance(side, int) for side in shape):
        return "–"
    if len(shape) == 3:
        channels = {1: "grey", 3: "colour"}.get(shape[0], f"{shape[0]} channels")
        return f"{shape[1]} × {shape[2]}, {channels}"
    return f"{shape[0]} tokens" if len(shape) == 1 else " × ".join(map(str, shape))


def spelled(value: Any) -> str:
    """Spell a JSON value for a reader: none, yes, no, lists with commas, short floats."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(spelled(item) for item in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {spelled(item)}" for name, item in value.items()) or "none"
    return str(value)


def with_code(text: str) -> Markup:
    """Return text as HTML with everything between backticks set as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts))


def plain(text: str) -> str:
    """Return text for a terminal: ordinary spaces."""
    return text.replace(THIN, " ")
