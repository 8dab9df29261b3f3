"""The usual way to batches of MNIST: a Dataset with per-sample transforms behind a DataLoader, nothing done with them."""

from __future__ import annotations

import argparse
import itertools
import time

from common import Pictures, tell
from torch.utils.data import DataLoader


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--batches", type=int, default=None)
    asked = parser.parse_args()
    loader = DataLoader(Pictures("train"), batch_size=asked.batch, shuffle=True)
    began, count = time.perf_counter(), 0
    for _x, y in itertools.islice(loader, asked.batches):
        count += len(y)
    tell(micro=[1e6 * (time.perf_counter() - began) / count])


if __name__ == "__main__":
    main()
