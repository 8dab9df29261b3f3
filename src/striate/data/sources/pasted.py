"""pasted: handwritten digits pasted on parts of photographs, with their boxes; any size, any number, from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from striate.core.errors import ArgumentError, DataError
from striate.core.runtime import derived_seed
from striate.data.dataset import Dataset, Table
from striate.data.registry import source
from striate.data.stores import Fixed, array_fingerprint

if TYPE_CHECKING:
    from striate.data.stores import Store

Bytes = npt.NDArray[np.uint8]
PARTS = {"train": (0.0, 0.6), "val": (0.6, 0.8), "test": (0.8, 1.0)}
"""Each part's backgrounds come from its own strip of every photograph (shares of the width): no part knows another's."""
GREY = 128.0
INKED = 0.25
"""A box is the hull of the pixels that are ink to at least this share."""


@source("pasted", help="handwritten digits pasted on photographs, with boxes: any size and number, from a seed")
def pasted(
    *,
    count: int = 2000,
    size: int = 48,
    seed: int = 0,
    smallest: float = 0.3,
    largest: float = 0.6,
    texture: float = 0.6,
    of: Literal["digits", "mnist"] = "digits",
    photographs: str | Path | None = None,
) -> Dataset:
    """Return pictures of one digit each on a textured background: classes 0 to 9, `extra["boxes"]` (x, y, w, h in pixels), colour.

    Args:
        count: pictures in `train`; `val` and `test` have a fifth of it each (at least 10).
        size: height and width of the pictures, 16 to 1024 pixels.
        seed: decides everything; the same seed, the same pixels.
        smallest: least height of the digit's field, as a share of `size`.
        largest: greatest height, likewise; the width is 0.7 to 1.3 times the height.
        texture: how strong the background is, from 0 (plain grey) to 1 (the photographs as they are).
        of: whose digits: scikit-learn's own (no download) or MNIST's. Those of `val` and `test` are held out.
        photographs: a folder of backgrounds; None takes scikit-learn's two sample photographs. `train` sees their left three fifths, `val` and `test`
            a strip each of the rest.

    Ink is lighter or darker than what it lies on, of a random colour. Raises `ArgumentError`, `DataError`.
    """
    for name, good, allowed in (
        ("count", count >= 10, "10 or more pictures"),
        ("size", 16 <= size <= 1024, "16 to 1024 pixels"),
        ("largest", 0 < smallest <= largest <= 1 / 1.3, "shares with 0 < smallest <= largest <= 0.76"),
        ("texture", 0 <= texture <= 1, "a share from 0 to 1"),
    ):
        if not good:
            given = {"count": count, "size": size, "largest": f"smallest {smallest}, largest {largest}", "texture": texture}[name]
            raise ArgumentError(f"{name}: got {given}, expected {allowed}")
    grounds = _photographs(photographs)
    shapes = _digits(of, seed)
    tables = {}
    for number, (part, strip) in enumerate(PARTS.items()):
        many = count if part == "train" else max(10, count // 5)
        random = np.random.default_rng(derived_seed(seed, number))
        pixels = np.empty((many, 3, size, size), np.uint8)
        boxes = np.empty((many, 4), np.float32)
        pictures, labels = shapes[part]
        chosen = random.integers(0, len(pictures), many)
        for row, digit in enumerate(chosen):
            ground = background(grounds[int(random.integers(len(grounds)))], strip, size, random)
            ground = np.rint(GREY + texture * (ground - GREY)).astype(np.uint8)
            high = random.uniform(smallest, largest) * size
            wide = min(size, max(4, round(high * random.uniform(0.7, 1.3))))
            ink = inked(pictures[digit], (max(4, round(high)), wide))
            top, left = (int(random.integers(0, size - side + 1)) for side in ink.shape)
            picture, boxes[row] = paste(ground, ink, (left, top), random)
            pixels[row] = picture.transpose(2, 0, 1)
        store = Fixed(pixels, array_fingerprint([pixels]))
        tables[part] = Table(store, labels[chosen].astype(np.int64), extra={"boxes": boxes})
    note = f"{of} pasted on {len(grounds)} photographs; each part has digits and strips of the photographs of its own"
    return Dataset(name="pasted", classes=tuple("0123456789"), tables=tables, spec="pasted", notes=(note,))


def paste(ground: Bytes, ink: npt.NDArray[np.float32], at: tuple[int, int], random: np.random.Generator) -> tuple[Bytes, npt.NDArray[np.float32]]:
    """Return `ground` (H W 3) with `ink` (h w, shares of ink) laid on with its left top corner `at` (x, y), and the box of the ink (x, y, w, h).

    The ink's colour is at least 80 of 255 lighter, or darker, than the ground under it, in every channel; which one, where there is room for both,
    is a coin.
    """
    left, top = at
    high, wide = ink.shape
    under = ground[top : top + high, left : left + wide].astype(np.float32)
    mean = under.reshape(-1, 3).mean(0)
    lighter = mean.max() < 175 and (mean.min() <= 80 or random.random() < 0.5)
    apart = random.uniform(80, 175, 3)
    colour = np.clip(mean + apart if lighter else mean - apart, 0, 255)
    done = ground.copy()
    done[top : top + high, left : left + wide] = np.rint(under + ink[:, :, None] * (colour - under)).astype(np.uint8)
    rows, columns = np.flatnonzero((ink >= INKED).any(1)), np.flatnonzero((ink >= INKED).any(0))
    box = (left + columns[0], top + rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)
    return done, np.array(box, np.float32)


def inked(digit: Bytes, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return a digit (H W uint8) at `size` as shares of ink, its darkest place 1."""
    from striate.pixels.scaling import resized

    ink = resized(digit[:, :, None], size)[:, :, 0].astype(np.float32)
    return ink / max(float(ink.max()), 1.0)


def background(photograph: Bytes, strip: tuple[float, float], size: int, random: np.random.Generator) -> Bytes:
    """Return a random square of the photograph's strip (shares of its width) at `size` pixels a side, mirrored by a coin."""
    from striate.pixels.scaling import resized

    height, width = photograph.shape[:2]
    first, last = int(strip[0] * width), int(strip[1] * width)
    most = min(height, last - first)
    side = int(random.integers(min(size, most), most + 1))
    left, top = int(random.integers(first, last - side + 1)), int(random.integers(0, height - side + 1))
    part = resized(photograph[top : top + side, left : left + side], (size, size))
    return part[:, ::-1] if random.random() < 0.5 else part


def _photographs(folder: str | Path | None) -> list[Bytes]:
    from striate.pixels.decoding import decode

    if folder is None:
        spec = util.find_spec("sklearn")
        base = Path(spec.origin).parent / "datasets" / "images" if spec is not None and spec.origin else None
        paths: Sequence[Path] = [base / "china.jpg", base / "flower.jpg"] if base is not None else []
        if not paths or not all(path.exists() for path in paths):
            raise DataError("pasted: scikit-learn's sample photographs are missing; install scikit-learn again, or give photographs=FOLDER")
    else:
        place = Path(folder).expanduser()
        if not place.is_dir():
            raise DataError(f"{place}: no such folder of photographs; give one with .jpg or .png files, or none")
        paths = sorted(path for path in place.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
        if not paths:
            raise DataError(f"{place}: holds no .jpg, .jpeg, .png or .webp files to paste on")
    found = [decode(path, channels=3, short_side=512) for path in paths]
    small = [path for path, photograph in zip(paths, found, strict=True) if min(photograph.shape[0], photograph.shape[1] // 5) < 16]
    if small:
        raise DataError(f"{small[0]}: is too small to cut backgrounds from; photographs need 80 pixels across and 16 down")
    return found


def _digits(of: str, seed: int) -> dict[str, tuple[Bytes, npt.NDArray[np.int64]]]:
    """Return the digits (N H W uint8) and labels of each part; `val` is a stratified sixth of the training digits."""
    if of == "mnist":
        from striate.data.sources.mnist import mnist

        whole = mnist()
    else:
        from striate.data.sources.digits import digits

        whole = digits(enlarge=1)
    parted = whole.held_out(1 / 6, seed)
    return {part: _taken(parted.tables[part].store, parted.tables[part].targets) for part in PARTS}


def _taken(store: Store, targets: npt.NDArray[np.int64] | None) -> tuple[Bytes, npt.NDArray[np.int64]]:
    if not isinstance(store, Fixed) or targets is None:
        raise DataError("pasted: these digits are not pictures of one size with labels")
    return np.asarray(store.pixels)[:, 0], targets
