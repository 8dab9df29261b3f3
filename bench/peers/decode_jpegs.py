"""Decoding alone: every JPEG under a folder through simplejpeg (Pillow where it is not installed) on all cores, the pixels thrown away."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

try:
    import simplejpeg
except ImportError:
    simplejpeg = None


def decoded(path):
    data = Path(path).read_bytes()
    if simplejpeg is not None:
        return simplejpeg.decode_jpeg(data, "RGB").nbytes
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB")).nbytes


def some(paths):
    return sum(map(decoded, paths))


def main():
    files = sorted(str(path) for path in Path(sys.argv[1]).rglob("*.jpg"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    chunks = [files[i : i + 16] for i in range(0, len(files), 16)]
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(some, chunks[: 2 * cores]))
        began = time.perf_counter()
        total = sum(pool.map(some, chunks))
        seconds = time.perf_counter() - began
    decoder = "Pillow" if simplejpeg is None else "simplejpeg"
    print("@@ " + json.dumps({"seconds": seconds, "rate": len(files) / seconds, "bytes": total, "decoder": decoder, "threads": cores}))


if __name__ == "__main__":
    main()
