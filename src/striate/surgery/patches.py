"""Parts of maps: what changed of each picture's map, where it lies, and how parts are cut out of a known map, widened and put back.

Positions are NumPy integers, one for each picture; sizes are the same for all pictures, so that a part is one tensor N C h w.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Places: TypeAlias = "np.ndarray[Any, np.dtype[np.int64]]"


@dataclass(frozen=True, eq=False)
class Patch:
    """What may differ from the known map: `values` N C h w, and for each picture the row and column of its upper left corner."""

    values: Tensor
    top: Places
    left: Places

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return int(self.values.shape[-2]), int(self.values.shape[-1])

    def like(self, values: Tensor) -> Patch:
        """Return other values at the same places."""
        return Patch(values, self.top, self.left)


class Known:
    """A map 1 C H W, ready to be cut: with `fill` above, below, left and right of it, as many rows and columns as `padding` says."""

    def __init__(self, values: Tensor, padding: tuple[int, int, int, int], fill: float) -> None:
        above, below, before, after = padding
        wide = F.pad(values, (before, after, above, below), value=fill) if any(padding) else values
        self.rows = wide[0].permute(1, 2, 0).contiguous()
        """H W C: a part of a row lies in one piece."""

    def cut(self, top: Places, left: Places, height: int, width: int) -> Tensor:
        """Return N C h w, channels last, one part for each place (counted with the padding)."""
        full, channels = self.rows.shape[1:]
        pieces = self.rows.as_strided((len(self.rows), full - width + 1, width * channels), (full * channels, channels, 1))
        down = torch.from_numpy(top[:, None] + np.arange(height)).to(pieces.device)
        across = torch.from_numpy(left[:, None]).to(pieces.device)
        return pieces[down, across].view(len(top), height, width, channels).permute(0, 3, 1, 2)


def changed(inputs: Tensor, known: Tensor) -> Patch:
    """Return the smallest patch that holds every difference of inputs N C H W from a known one 1 C H W."""
    count, channels, height, width = inputs.shape
    differs = (inputs != known).permute(0, 2, 3, 1).reshape(count, height, width * channels)
    top, high = _span(differs.any(2).cpu().numpy())
    left, wide = _span(differs.any(1).view(count, width, channels).any(2).cpu().numpy())
    top, left = np.minimum(top, height - high), np.minimum(left, width - wide)
    parts = [each[:, y : y + high, x : x + wide] for each, y, x in zip(inputs, top.tolist(), left.tolist(), strict=True)]
    return Patch(torch.stack(parts).contiguous(memory_format=torch.channels_last), top, left)


def _span(marks: np.ndarray[Any, Any]) -> tuple[Places, int]:
    """Return where each row's marks begin, and how far they go in the row where they go farthest (1 where there are none)."""
    first = marks.argmax(1)
    last = marks.shape[1] - 1 - marks[:, ::-1].argmax(1)
    return first, max(1, int((last - first + 1)[marks.any(1)].max(initial=1)))


@dataclass(frozen=True)
class Slide:
    """How a window slides along one axis."""

    kernel: int
    stride: int
    padding: int
    dilation: int = 1

    @property
    def reach(self) -> int:
        """How many inputs one window spans."""
        return (self.kernel - 1) * self.dilation + 1

    def reached(self, start: Places, length: int, out: int) -> tuple[Places, int]:
        """Return the outputs (the first for each picture, and how many) whose windows touch inputs `start` to `start + length`, of `out` in all."""
        first = np.clip(-((self.reach - 1 - self.padding - start) // self.stride), 0, out - 1)
        last = np.clip((start + length - 1 + self.padding) // self.stride, 0, out - 1)
        count = max(1, int((last - first + 1).max()))
        return np.minimum(first, out - count), count

    def needed(self, count: int) -> int:
        """Return how many inputs (with padding) `count` neighbouring outputs are made of."""
        return (count - 1) * self.stride + self.reach


def pasted(into: Tensor, patch: Patch, top: Places, left: Places) -> Tensor:
    """Write a patch into parts N C h w that begin at `top` and `left` of the same map; what lies outside of them is left away."""
    offsets = np.stack([patch.top - top, patch.left - left], 1)
    for offset in np.unique(offsets, axis=0).tolist():
        here, there = zip(*(_overlap(at, size, room) for at, size, room in zip(offset, patch.size, into.shape[-2:], strict=True)), strict=True)
        same = (offsets == offset).all(1)
        if same.all():
            into[:, :, there[0], there[1]] = patch.values[:, :, here[0], here[1]]
        else:
            which = torch.from_numpy(np.flatnonzero(same)).to(into.device)
            into[which, :, there[0], there[1]] = patch.values[which, :, here[0], here[1]]
    return into


def _overlap(offset: int, size: int, room: int) -> tuple[slice, slice]:
    """Return what of `size` values beginning at `offset` lies in a room, as seen from the values and from the room."""
    begin = min(max(0, offset), room)
    end = max(begin, min(room, offset + size))
    return slice(begin - offset, end - offset), slice(begin, end)


def whole(patch: Patch, known: Tensor) -> Tensor:
    """Return the maps N C H W: the known one 1 C H W with each picture's patch in it."""
    made = known.repeat(len(patch.top), 1, 1, 1).contiguous(memory_format=torch.channels_last)
    height, width = patch.size
    for number, (y, x) in enumerate(zip(patch.top.tolist(), patch.left.tolist(), strict=True)):
        made[number, :, y : y + height, x : x + width] = patch.values[number]
    return made


def joined(patches: list[Patch], known: list[Known], room: Sequence[int]) -> list[Patch]:
    """Return the patches of several maps of one height and width (`room`), widened to what any of them covers."""
    top, height = _cover([patch.top for patch in patches], [patch.size[0] for patch in patches], room[0])
    left, width = _cover([patch.left for patch in patches], [patch.size[1] for patch in patches], room[1])
    made = []
    for patch, values in zip(patches, known, strict=True):
        fits = patch.size == (height, width) and np.array_equal(patch.top, top) and np.array_equal(patch.left, left)
        made.append(patch if fits else Patch(pasted(values.cut(top, left, height, width), patch, top, left), top, left))
    return made


def _cover(starts: list[Places], lengths: list[int], room: int) -> tuple[Places, int]:
    first = np.minimum.reduce(starts)
    end = np.maximum.reduce([start + length for start, length in zip(starts, lengths, strict=True)])
    length = int((end - first).max())
    return np.minimum(first, room - length), length
