"""Writing alone: as many bytes as a pack holds, from memory into one file by as many threads, unbuffered where the system allows it, then synced."""

from __future__ import annotations

import json
import mmap
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TRAY = 4 << 20


def main():
    path, total = Path(sys.argv[1]) / "bytes", int(sys.argv[2])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_DIRECT", 0))
    tray = mmap.mmap(-1, TRAY)
    tray.write(os.urandom(TRAY))
    with ThreadPoolExecutor(cores + 1) as pool:
        began = time.perf_counter()
        list(pool.map(lambda at: os.pwrite(file, tray, at), range(0, total, TRAY)))
        os.fsync(file)
        seconds = time.perf_counter() - began
    os.close(file)
    path.unlink()
    print("@@ " + json.dumps({"seconds": seconds, "rate": total / seconds / 2**30, "direct": hasattr(os, "O_DIRECT")}))


if __name__ == "__main__":
    main()
