"""Which pictures move each feature map most, found in one pass over a data set; and what of a picture a unit sees (row U6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from striate.core.arguments import whole_number
from striate.core.errors import ArgumentError, StriateError
from striate.measure import ReceptiveField, summary
from striate.probe import edited
from striate.understand.inputs import Prepared

Array = np.ndarray[Any, Any]


class Top:
    """For each channel of one layer the `count` pictures in which its strongest unit is strongest; a picture counts once a channel.

    `values` k F, `pictures` k F (running numbers of the pictures seen), `places` k F (flat place of the unit in its map). Among equals the earlier
    picture stays.
    """

    def __init__(self, count: int, channels: Sequence[int] | None) -> None:
        if channels is not None and not len(channels):
            raise ArgumentError("channels: got none, expected one or more")
        self.count, self.channels = whole_number("count", count, least=1), channels
        self.values = self.pictures = self.places = torch.empty(0)
        self.plane: tuple[int, ...] = ()
        self.seen = 0

    def see(self, output: Tensor) -> Tensor:
        """Take the layer's output N F or N F H W into account and return it as it came."""
        if not isinstance(output, Tensor) or output.ndim not in (2, 4):
            came = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
            raise ArgumentError(f"layer: its output is of {came}, expected maps N C H W or numbers N F")
        values = output.detach()
        if self.channels is not None:
            if bad := [number for number in self.channels if not 0 <= number < values.shape[1]]:
                raise ArgumentError(f"channels: got {bad[0]}, but a layer has channels 0 to {values.shape[1] - 1}")
            values = values[:, list(self.channels)]
        self.plane = tuple(values.shape[2:])
        flat = values.flatten(2) if values.ndim == 4 else values[:, :, None]
        best = flat.amax(2)
        if not self.seen:
            empty = best.new_full((0, best.shape[1]), -math.inf)
            self.values, self.pictures, self.places = empty, empty.long(), empty.long()
        held = len(self.values)
        order = torch.cat([self.values, best]).sort(dim=0, descending=True, stable=True)
        rows = order.indices[: self.count]
        new = rows >= held
        places = torch.zeros_like(rows)
        pictures = torch.where(new, rows - held + self.seen, 0)
        if held:
            places = torch.where(new, places, self.places.gather(0, rows.clamp(max=held - 1)))
            pictures = torch.where(new, pictures, self.pictures.gather(0, rows.clamp(max=held - 1)))
        which, channel = new.nonzero(as_tuple=True)
        places[which, channel] = flat[rows[which, channel] - held, channel].argmax(1)
        self.values, self.pictures, self.places = order.values[: self.count], pictures, places
        self.seen += len(best)
        return output

    def units(self, row: Tensor) -> Tensor:
        """Return the places of `row` (flat) as rows and columns, n 2; zeros where the layer gives numbers."""
        if not self.plane:
            return torch.zeros((len(row), 2), dtype=torch.int64)
        return torch.stack((row // self.plane[1], row % self.plane[1]), 1).cpu()


def strongest(
    p: Prepared, pixels: Tensor, layers: Sequence[str], *, count: int, channels: Sequence[int] | None, watch: Callable[[int], None] | None = None
) -> dict[str, Top]:
    """Return the strongest pictures of every channel of the layers, all found in one pass over `pixels` (N C H W, uint8 or float)."""
    found = {layer: Top(count, channels) for layer in layers}
    asked = {layer if layer.endswith("]") else f"{layer}[0]": top.see for layer, top in found.items()}
    with torch.no_grad(), edited(p.network, asked):
        for start in range(0, len(pixels), p.batch):
            p.output(p.ready(pixels[start : start + p.batch]))
            if watch is not None:
                watch(min(start + p.batch, len(pixels)))
    return found


@dataclass(frozen=True)
class Window:
    """What units of a layer see of a picture H W: windows `size` of it, the whole of it along an axis where the field is as large or unknown."""

    field: ReceptiveField | None
    picture: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the patches."""
        if self.field is None or len(self.field.size) != 2:
            return self.picture
        return min(self.field.size[0], self.picture[0]), min(self.field.size[1], self.picture[1])

    def box(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Return top, left, bottom, right of what the unit sees; may reach past the picture, where padding lies."""
        if self.field is None or len(self.field.size) != 2:
            return 0, 0, *self.picture
        starts = [
            math.floor(offset + stride * place) for offset, stride, place in zip(self.field.offset, self.field.stride, (row, column), strict=True)
        ]
        return starts[0], starts[1], starts[0] + self.field.size[0], starts[1] + self.field.size[1]

    def cut(self, picture: Array, box: Sequence[int], fill: float) -> Array:
        """Return the patch C h w of a picture C H W in `box`, float32; `fill` where the box reaches past the picture."""
        patch = np.full((len(picture), *self.size), fill, dtype=np.float32)
        there, here = overlap(self.size, self.picture, box)
        patch[(slice(None), *here)] = picture[(slice(None), *there)]
        return patch


def overlap(size: Sequence[int], picture: Sequence[int], box: Sequence[int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return which rows and columns of the picture a patch of `size` at `box` shows, and where in the patch they lie."""
    there, here = [], []
    for large, whole, begin in zip(size, picture, box[:2], strict=True):
        start = 0 if large == whole else int(begin)
        first, last = max(start, 0), min(start + large, whole)
        there.append(slice(first, last))
        here.append(slice(first - start, last - start))
    return (there[0], there[1]), (here[0], here[1])


def windows(p: Prepared, layers: Sequence[str]) -> tuple[dict[str, Window], tuple[str, ...]]:
    """Return the windows of the layers' units, and notes on fields that could not be told (then the whole picture is taken)."""
    picture = (p.pixels.shape[-2], p.pixels.shape[-1])
    if tuple(p.inputs.shape[-2:]) != picture:
        return {layer: Window(None, picture) for layer in layers}, ("preprocess changes the pictures' size, so patches are whole pictures",)
    try:
        boxes = {box.address: box.receptive_field for box in summary(p.network, tuple(p.inputs.shape[1:])).boxes}
        for layer in layers:  # a block's output is its last box's
            inside = [address for address in boxes if address.startswith((f"{layer}.", f"{layer}/"))]
            if layer not in boxes and inside:
                boxes[layer] = boxes[inside[-1]]
    except StriateError as error:
        return {layer: Window(None, picture) for layer in layers}, (f"receptive fields cannot be told, so patches are whole pictures: {error}",)
    boxes |= {layer: boxes.get(layer.removesuffix("[0]")) for layer in layers if layer.endswith("[0]")}
    unknown = [layer for layer in layers if boxes.get(layer) is None]
    told = (f"receptive fields cannot be told at {', '.join(unknown[:4])}, so patches there are whole pictures",) if unknown else ()
    return {layer: Window(boxes.get(layer), picture) for layer in layers}, told
