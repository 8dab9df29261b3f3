"""What would be better, in words: padding that keeps sizes, filter counts the hardware likes, input sizes that halve cleanly (O12)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from striate.measure.arithmetic import Window, fit, spell
from striate.measure.axes import Axes
from striate.measure.boxes import Box
from striate.measure.windows import Sliding

HARDWARE = 16
"""Filter counts in multiples of this fill vector and matrix units (bf16 and 8-bit alike)."""
NAMED = 4
"""How many boxes a sentence names before it only counts the rest."""
LARGEST = 4096
"""Input sizes up to this are tried."""


def advice_of(boxes: Sequence[Box], slid: Mapping[str, Sliding], paths: Mapping[str, Axes]) -> tuple[str, ...]:
    """Return sentences of advice; none where nothing is to be said."""
    windows = {box.address: (box, slid[box.address]) for box in boxes if box.address in slid}
    head = next((box.address for box in reversed(boxes) if box.multiply_adds), "")
    found = [_halving(boxes[0], paths), _same_padding(windows.values()), _filters(windows.values(), head)]
    return tuple(sentence for sentence in found if sentence)


def halves_cleanly(size: int, path: Sequence[Window]) -> bool:
    """Tell whether every window with a stride on the way divides its input evenly (where it is padded) or fits it exactly (where it is not)."""
    for window in path:
        if size + window.before + window.after < window.extent:
            return False
        if window.stride > 1:
            padded = window.before or window.after or window.ceil or window.stride > window.extent
            if size % window.stride if padded else not fit(size, window).exact:
                return False
        size = window.places(size)
    return True


def _halving(given: Box, paths: Mapping[str, Axes]) -> str:
    """Say how the input's size goes down, or which sizes near it go down cleanly."""
    space = given.output_shape[2:]
    every = dict.fromkeys(tuple(axis.path or () for axis in axes) for axes in paths.values())
    strided = [path for path in every if any(w.stride > 1 for axis in path for w in axis)]
    if not space or not strided:
        return ""
    unclean = [axis for axis, size in enumerate(space) if not all(halves_cleanly(size, path[axis]) for path in strided)]
    if not unclean:
        longest = max(strided, key=lambda path: (math.prod(w.stride for w in path[0]), len(path[0])))
        size, sizes = space[0], [space[0]]
        for window in longest[0]:
            size = window.places(size)
            sizes += [size] if window.stride > 1 else []
        return f"{spell(space)} divides cleanly at every stride: {', '.join(map(str, sizes))}" if len(set(space)) == 1 and len(sizes) > 1 else ""
    told = []
    for axis in unclean:
        near = _near(space[axis], [path[axis] for path in strided])
        if near:
            told.append(f"{space[axis]} does not divide cleanly at every stride, {' and '.join(map(str, near))} do{'es' if len(near) == 1 else ''}")
    name = "the sides of the input: " if len(space) > 1 else "the length of the input: "
    return name + "; ".join(dict.fromkeys(told)) if told else ""


def _near(size: int, paths: Sequence[Sequence[Window]]) -> list[int]:
    reach = 4 * max(math.prod(w.stride for w in path) for path in paths)

    def good(candidate: int) -> bool:
        return all(halves_cleanly(candidate, path) for path in paths)

    below = next((s for s in range(size - 1, max(0, size - reach), -1) if good(s)), None)
    above = next((s for s in range(size + 1, min(LARGEST, size + reach)) if good(s)), None)
    return [s for s in (below, above) if s is not None]


def _same_padding(found: Iterable[tuple[Box, Sliding]]) -> str:
    """Name the convolutions of stride 1 that shrink their input, and the padding P = (F − 1)/2 that would keep its size."""
    shrinking: dict[str, list[str]] = {}
    for box, slid in found:
        if slid.kind != "convolution" or any(w.stride > 1 for w in slid.windows) or math.prod(box.output_shape[2:]) == 1:
            continue
        short = [w for w in slid.windows if w.before + w.after < w.extent - 1]
        if not short:
            continue
        kernel = spell([w.kernel for w in slid.windows])
        if any(w.extent % 2 == 0 for w in short):
            way = f"{kernel}: an even extent keeps no size with the same padding on both sides"
        else:
            pads = dict.fromkeys((w.extent - 1) // 2 for w in slid.windows)
            way = f"padding {'x'.join(map(str, pads))} for {kernel} would keep it"
        shrinking.setdefault(way, []).append(f"{box.address} (to {spell(box.output_shape[2:])})")
    if not shrinking:
        return ""
    return "unpadded convolutions shrink the map: " + "; ".join(f"{_named(boxes)}: {way}" for way, boxes in shrinking.items())


def _filters(found: Iterable[tuple[Box, Sliding]], head: str) -> str:
    """Name the convolutions whose number of filters is no multiple of 16, with the next one that is; the head, a filter a class, is left alone."""
    odd: dict[int, list[str]] = {}
    for box, slid in found:
        filters = box.output_shape[1] if len(box.output_shape) > 1 else 0
        if slid.kind in ("convolution", "transposed") and filters % HARDWARE and box.address != head and math.prod(box.output_shape[2:]) > 1:
            odd.setdefault(filters, []).append(box.address)
    if not odd:
        return ""
    told = [f"{_named(names)} {'has' if len(names) == 1 else 'have'} {n}, the next is {-(-n // HARDWARE) * HARDWARE}" for n, names in odd.items()]
    return f"filter counts in multiples of {HARDWARE} use the hardware best: {'; '.join(told[:NAMED])}{'; …' if len(told) > NAMED else ''}"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
