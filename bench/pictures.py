"""Photographs that nobody took: JPEGs of 500 x 375 with the spectrum of natural pictures, so that decoding costs what it costs on real ones.

python bench/pictures.py --count 5000      # bench/.work/jpegs-5000, about a minute; kept for the next time
"""

from __future__ import annotations

import argparse
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from harness import HERE, ROOT, say

WIDTH, HEIGHT, CLASSES, TEXTURES = 500, 375, 10, 24


def textures(draw: np.random.Generator) -> list[np.ndarray]:
    """Return noise of all scales, each octave weaker the finer it is: H W 3 float32."""
    made = []
    for _ in range(TEXTURES):
        total = np.zeros((HEIGHT, WIDTH, 3), np.float32)
        for cells, weight in ((3, 60.0), (8, 38.0), (24, 24.0), (64, 16.0), (160, 13.0), (375, 10.0)):
            grid = Image.fromarray(draw.integers(0, 256, (cells, cells * 4 // 3, 3), dtype=np.uint8))
            total += (np.asarray(grid.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32) - 127.5) / 74 * weight
        made.append(total)
    return made


def write(path: Path, number: int, made: list[np.ndarray]) -> int:
    """Write picture `number`: two textures, moved and mixed; returns its bytes."""
    draw = np.random.default_rng((1, number))
    a, b = draw.integers(0, TEXTURES, 2)
    share = draw.uniform(0.3, 0.7)
    moved = np.roll(made[a], tuple(draw.integers(0, (HEIGHT, WIDTH))), axis=(0, 1))
    picture = 127.5 + draw.uniform(0.6, 1.3) * (share * moved + (1 - share) * made[b][:, :: draw.choice((-1, 1))])
    Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return path.stat().st_size


def jpegs(count: int) -> Path:
    """Return a folder of `count` JPEGs in ten class folders, made if it is not there whole."""
    folder = HERE / ".work" / f"jpegs-{count}"
    note = folder.with_name(folder.name + ".whole")
    if note.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    places = [folder / "train" / f"class{number}" for number in range(CLASSES)]
    for place in places:
        place.mkdir(parents=True)
    made = textures(np.random.default_rng(0))
    with ThreadPoolExecutor() as pool:
        sizes = list(pool.map(lambda i: write(places[i % CLASSES] / f"{i:05}.jpg", i, made), range(count)))
    note.write_text(f"{sum(sizes)}\n", encoding="utf-8")
    say(f"{count} JPEGs of {sum(sizes) / count / 1024:.0f} KiB in {folder.relative_to(ROOT)}")
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    jpegs(parser.parse_args().count)
