"""Pictures of many sizes: cut and resized one by one in threads, a few batches ahead, the same bits whatever the thread count."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from striate.core.errors import ArgumentError
from striate.data.augment.base import Augmentation
from striate.data.stores import Fixed, Ragged
from striate.pixels.scaling import resized, with_channels

if TYPE_CHECKING:
    from striate.data.augment.base import Draw
    from striate.pixels import Preprocess

AHEAD = 3
"""How many batches are prepared ahead of the one in use."""


class Cut(Augmentation):
    """A random part of the whole picture, resized to the input's size: the one augmentation that needs the picture's own size."""

    places = True

    def boxes(self, shapes: npt.NDArray[np.int64], draw: Draw) -> npt.NDArray[np.float64]:
        """Return a box (left, top, right, bottom, in pixels) for each picture of shape H W."""
        raise NotImplementedError


def read(store: Ragged | Fixed, draws: Iterator[Draw], preprocess: Preprocess, cut: Cut | None) -> Iterator[tuple[Tensor, Draw]]:
    """Yield each step's pictures as N C H W uint8 (channels last): cut at random, or fitted as `preprocess` says when `cut` is None.

    Raises `ArgumentError` for float pictures, which are not resized.
    """
    if isinstance(store, Fixed) and store.pixels.dtype != np.uint8:
        raise ArgumentError(
            f"float pictures of {store.shape} cannot be brought to {(preprocess.channels, *preprocess.size)}; resize them before, or give uint8"
        )
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    height, width = preprocess.size

    def some(draw: Draw, boxes: npt.NDArray[np.float64] | None, out: npt.NDArray[np.uint8], first: int, last: int) -> None:
        for row in range(first, last):
            picture = store.picture(int(draw.index[row]))
            if boxes is None:
                out[row] = preprocess.fit(picture).permute(1, 2, 0).numpy()
            else:
                left, top, right, bottom = (float(edge) for edge in boxes[row])
                part = resized(picture, (height, width), box=(left, top, right, bottom))
                out[row] = with_channels(part, preprocess.channels)

    def begin(draw: Draw) -> tuple[Draw, npt.NDArray[np.uint8], list[Future[None]]]:
        count = len(draw.index)
        boxes = None if cut is None else cut.boxes(_sizes(store, draw.index), draw.part(0))
        out = np.empty((count, height, width, preprocess.channels), dtype=np.uint8)
        block = max(1, -(-count // (4 * workers)))
        return draw, out, [pool.submit(some, draw, boxes, out, first, min(first + block, count)) for first in range(0, count, block)]

    pool = ThreadPoolExecutor(workers, thread_name_prefix="striate-read")
    try:
        waiting = deque(begin(draw) for draw in islice(draws, AHEAD))
        while waiting:
            draw, out, parts = waiting.popleft()
            following = next(draws, None)
            if following is not None:
                waiting.append(begin(following))
            for part in parts:
                part.result()
            yield torch.from_numpy(out).permute(0, 3, 1, 2), draw
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _sizes(store: Ragged | Fixed, index: Tensor) -> npt.NDArray[np.int64]:
    if isinstance(store, Fixed):
        return np.tile(np.array(store.shape[1:], dtype=np.int64), (len(index), 1))
    return store.shapes[index.numpy(), :2].astype(np.int64)
