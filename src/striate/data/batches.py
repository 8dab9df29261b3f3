"""One split, handed out in whole batches: order, augmentation and standardisation from (seed, epoch, step)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from striate.core.contracts import Batch
from striate.core.errors import ArgumentError
from striate.core.runtime import generator
from striate.data import ragged
from striate.data.augment.base import Augmentation, Draw, unit
from striate.data.placed import PLACED, followed, in_cut, in_input, shapes_of
from striate.data.ragged import Cut
from striate.data.stores import Fixed, Ragged, Tokens, as_tensor

if TYPE_CHECKING:
    from striate.data.dataset import Table
    from striate.pixels import Preprocess


def steps(length: int, size: int) -> int:
    """Return how many steps an epoch of `length` samples has in batches of at most `size`: ceil(length / size)."""
    return -(-length // size)


@dataclass(eq=False)
class TableSplit:
    """One part of a data set (a `contracts.Split`)."""

    name: str
    table: Table
    classes: int
    preprocess: Preprocess | None
    training: bool = False
    augment: Sequence[Augmentation] = ()
    device: str = "cpu"
    shares: bool = False
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def length(self) -> int:
        """How many samples."""
        return len(self.table)

    @property
    def one_by_one(self) -> bool:
        """Whether pictures are resized one by one, in threads: they have many sizes, or another size or depth than the input."""
        store, preprocess = self.table.store, self.preprocess
        if preprocess is None or isinstance(store, Tokens):
            return False
        return isinstance(store, Ragged) or store.shape != (preprocess.channels, *preprocess.size)

    def batches(self, size: int, *, epoch: int, seed: int, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """Yield the epoch's batches from step `start` on; see `contracts.Split.batches`.

        `size` is that of the global batch; rank r of w gets the rows n r // w to n (r + 1) // w of each. Raises `ArgumentError`.
        """
        if size < 1 or start < 0 or not 0 <= rank < world or epoch < 0:
            raise ArgumentError(f"batches: size {size}, start {start}, rank {rank} of {world}, epoch {epoch}; expected size >= 1, 0 <= rank < world")
        if world > size:
            raise ArgumentError(f"batches: {world} ranks cannot share batches of {size}; raise the batch size or use fewer processes")
        return self._batches(size, epoch, seed, start, rank, world)

    def _batches(self, size: int, epoch: int, seed: int, start: int, rank: int, world: int) -> Iterator[Batch]:
        count = steps(self.length, size)
        order = torch.randperm(self.length, generator=generator(seed, epoch)) if self.training else torch.arange(self.length)
        whole = world > 1 and any(augment.mixes for augment in self.augment)  # rows see each other: make the global batch, then slice it

        def draws() -> Iterator[Draw]:
            for step in range(start, count):
                first, last = step * self.length // count, (step + 1) * self.length // count
                rows = last - first
                a, b = (0, rows) if whole else (rows * rank // world, rows * (rank + 1) // world)
                yield Draw(seed, epoch, step, index=order[first + a : first + b], size=rows, first=a, device=self.device)

        for x, draw in self._read(draws()):
            batch = self._finished(x, draw)
            if whole:
                batch = _sliced(batch, draw.size * rank // world, draw.size * (rank + 1) // world)
            yield batch

    def _read(self, draws: Iterator[Draw]) -> Iterator[tuple[Tensor, Draw]]:
        store = self.table.store
        if self.one_by_one:
            cut = self.augment[0] if self.training and self.augment and isinstance(self.augment[0], Cut) else None
            yield from ragged.read(cast("Ragged | Fixed", store), draws, cast("Preprocess", self.preprocess), cut)
        elif isinstance(store, Tokens):
            for draw in draws:
                yield as_tensor(store.tokens)[draw.index].to(self.device), draw
        elif isinstance(store, Fixed):
            whole = store.tensor(self.device)
            for draw in draws:
                if whole is None:
                    yield gathered(as_tensor(store.pixels), draw.index).to(self.device), draw
                else:
                    yield gathered(whole, draw.index.to(self.device, non_blocking=True)), draw

    def _finished(self, x: Tensor, draw: Draw) -> Batch:
        table = self.table
        x = x.to(self.device, non_blocking=True)
        y = None if table.targets is None else self._column("y", table.targets, draw)
        extra = self._extra(draw)
        if isinstance(table.store, Tokens):
            extra["lengths"] = self._column("lengths", table.store.lengths, draw)
            return Batch(x, self._shares(y), draw.index, extra)
        plan = list(enumerate(self.augment)) if self.training else []
        for position, augment in plan:
            if augment.stage == "pixels" and not (isinstance(augment, Cut) and self.one_by_one):
                x = augment(x, draw.part(position))
        x = self._standardised(x)
        for position, augment in plan:
            if augment.stage == "input" and not augment.mixes:
                x = augment(x, draw.part(position))
        cut = 0 if plan and self.one_by_one and isinstance(self.augment[0], Cut) else None
        extra = followed(extra, plan, draw, (x.shape[2], x.shape[3]), skip=cut)
        y = self._shares(y)
        for position, augment in plan:
            if augment.mixes:
                if y is None:
                    raise ArgumentError("augment: mixing needs labels, and this split has none")
                x, y = augment.mix(x, y, draw.part(position))
        return Batch(x, y, draw.index, extra)

    def _extra(self, draw: Draw) -> dict[str, Tensor]:
        """Return the further columns' rows; boxes and points in pixels of the input, as the picture is fitted or cut there."""
        table = self.table
        found = {name: self._column(f"extra {name}", values, draw) for name, values in table.extra.items() if name not in PLACED}
        if len(found) == len(table.extra):
            return found
        preprocess = cast("Preprocess", self.preprocess)
        cut = self.augment[0] if self.training and self.augment else None
        if self.one_by_one and isinstance(cut, Cut):
            parts = cut.boxes(shapes_of(table)[draw.index.numpy()], draw.part(0))
            placed = in_cut(table, parts, draw, preprocess.size)
            return found | {name: values.to(self.device, non_blocking=True) for name, values in placed.items()}
        if "placed" not in self._kept:
            self._kept["placed"] = in_input(self.name, table, preprocess)
        return found | {name: values[draw.index].to(self.device, non_blocking=True) for name, values in self._kept["placed"].items()}

    def _column(self, name: str, values: npt.NDArray[Any], draw: Draw) -> Tensor:
        if name not in self._kept:
            self._kept[name] = as_tensor(values)
        column: Tensor = self._kept[name]
        return column[draw.index].to(self.device, non_blocking=True)

    def _shares(self, y: Tensor | None) -> Tensor | None:
        mixed = self.training and any(augment.mixes for augment in self.augment)
        if y is None or y.ndim != 1 or not (self.shares or mixed):
            return y
        return functional.one_hot(y, self.classes).float()

    def _standardised(self, x: Tensor) -> Tensor:
        preprocess = self.preprocess
        if preprocess is None:
            return unit(x)
        if preprocess.tensors():  # whitening: not a plain scale per channel
            return preprocess(x)
        key = f"{x.dtype == torch.uint8} {x.shape[1:]} {x.device}"
        if key not in self._kept:
            self._kept[key] = _scale_and_bias(preprocess.mean, preprocess.std, x)
        scale, bias = self._kept[key]
        return standardise(x, scale, bias)


def gathered(whole: Tensor, index: Tensor) -> Tensor:
    """Return the pictures at `index` as they are laid out: N C H W, channels last for colour."""
    if whole.shape[1] > 1 and whole.is_contiguous(memory_format=torch.channels_last):
        return whole.permute(0, 2, 3, 1).index_select(0, index).permute(0, 3, 1, 2)
    return whole.index_select(0, index)


def standardise(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Return x * scale + bias as float32; both are (1, W * C) rows repeating the channels, so the innermost loop is long."""
    count, channels, height, width = x.shape
    lines = x.permute(0, 2, 3, 1).reshape(count, height, width * channels)
    floats = lines.to(torch.float32) if lines.dtype != torch.float32 else lines.clone()
    floats = torch.addcmul(bias, floats, scale, out=floats)
    return floats.view(count, height, width, channels).permute(0, 3, 1, 2)


def _scale_and_bias(mean: Sequence[float], std: Sequence[float], x: Tensor) -> tuple[Tensor, Tensor]:
    largest = 255.0 if x.dtype == torch.uint8 else 1.0
    scale = torch.tensor([1 / (s * largest) for s in std], dtype=torch.float64)
    bias = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], dtype=torch.float64)
    width = x.shape[3]
    return scale.repeat(width).float().to(x.device), bias.repeat(width).float().to(x.device)


def _sliced(batch: Batch, first: int, last: int) -> Batch:
    y = None if batch.y is None else batch.y[first:last]
    return Batch(batch.x[first:last], y, batch.index[first:last], {name: values[first:last] for name, values in batch.extra.items()})
