"""Batches alone: striate's loader over one data set, whole epochs or so many batches, nothing done with them."""

from __future__ import annotations

import argparse
import itertools
import time

from common import tell


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--augment", nargs="*", default=[])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batches", type=int, default=None, help="stop each epoch after so many")
    parser.add_argument("--size", type=int, default=None, help="of a folder's pictures")
    asked = parser.parse_args()

    from striate.core.runtime import keep_freed_memory

    keep_freed_memory()
    import striate

    data = striate.data.folder(asked.data, size=asked.size, val=0.0) if asked.size else striate.data.load(asked.data)
    split = data.prepared(augment=asked.augment).split("train", training=True)
    next(iter(split.batches(asked.batch, epoch=0, seed=1)))
    micro = []
    for epoch in range(asked.epochs):
        began, count = time.perf_counter(), 0
        for batch in itertools.islice(split.batches(asked.batch, epoch=epoch, seed=0), asked.batches):
            count += len(batch)
        micro.append(1e6 * (time.perf_counter() - began) / count)
    tell(micro=micro, shape=list(data.shape))


if __name__ == "__main__":
    main()
