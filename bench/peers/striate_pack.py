"""Open a folder with striate: the first time builds its pack in `$STRIATE_CACHE`, the second finds it there.

A tiny folder, given second, is opened before the clock starts, so that importing is not counted.
"""

from __future__ import annotations

import sys
import time

from common import tell


def main():
    import striate

    striate.data.load(sys.argv[2])
    began = time.perf_counter()
    data = striate.data.load(sys.argv[1])
    opened = time.perf_counter() - began
    batches = data.prepared(augment=("resized_crop", "mirror")).split("train", training=True).batches(32, epoch=0, seed=0)
    first = next(iter(batches))
    count = sum(data.split(name).length for name in data.splits)
    tell(seconds=opened, until_first_batch=time.perf_counter() - began, count=count, problems=len(data.problems), batch=list(first.x.shape))


if __name__ == "__main__":
    main()
