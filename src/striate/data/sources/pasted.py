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
PARTS = {"train": 3, "val": 1, "test": 1}
"""How many of every photograph's five upright strips are each part's backgrounds: no part knows another's. Which ones, the seed draws for each
photograph, so that no part gets all the edges or all the hard ones."""
STRIPS = sum(PARTS.values())
GROUNDS = 3
"""Keeps the random numbers of the strips apart from those of the parts' pictures."""
INSTALLED = {
    "sklearn": ("datasets/images", ("china.jpg", "flower.jpg")),
    "skimage": (
        "data",
        (
            "astronaut.png",
            "brick.png",
            "camera.png",
            "chelsea.png",
            "coffee.png",
            "grass.png",
            "gravel.png",
            "hubble_deep_field.jpg",
            "ihc.png",
            "rocket.jpg",
        ),
    ),
}
"""Photographs that come with scikit-learn (CC BY 2.0) and scikit-image (CC0 or the public domain, as it documents): package, folder, files."""
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
    light: float = 0.3,
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
        texture: how strong the background is, from 0 (plain grey) to 1 (the photographs in their own contrast).
        light: how much brightness and contrast of the backgrounds vary, from 0 (not at all) to 1: contrast 1 - light to 1 + light times, the mean
            darker or lighter by up to half as large a share of 255.
        of: whose digits: scikit-learn's own (no download) or MNIST's. Those of `val` and `test` are held out.
        photographs: a folder of backgrounds; None takes the twelve that scikit-learn and scikit-image bring with them. Of the five upright strips of
            each, three are for `train`, one for `val`, one for `test`; the seed draws which.

    A background is a square of a strip, as large as fits or smaller, mirrored and turned by quarters at random. Ink is lighter or darker than what it
    lies on, of a random colour. Raises `ArgumentError`, `DataError`.
    """
    for name, good, allowed in (
        ("count", count >= 10, "10 or more pictures"),
        ("size", 16 <= size <= 1024, "16 to 1024 pixels"),
        ("largest", 0 < smallest <= largest <= 1 / 1.3, "shares with 0 < smallest <= largest <= 0.76"),
        ("texture", 0 <= texture <= 1, "a share from 0 to 1"),
        ("light", 0 <= light <= 1, "a share from 0 to 1"),
    ):
        if not good:
            given = {"count": count, "size": size, "largest": f"smallest {smallest}, largest {largest}", "texture": texture, "light": light}[name]
            raise ArgumentError(f"{name}: got {given}, expected {allowed}")
    taken = _photographs(photographs)
    grounds = strips(taken, np.random.default_rng(derived_seed(seed, GROUNDS)))
    shapes = _digits(of, seed)
    tables = {}
    for number, part in enumerate(PARTS):
        many = count if part == "train" else max(10, count // 5)
        random = np.random.default_rng(derived_seed(seed, number))
        pixels = np.empty((many, 3, size, size), np.uint8)
        boxes = np.empty((many, 4), np.float32)
        pictures, labels = shapes[part]
        chosen = random.integers(0, len(pictures), many)
        for row, digit in enumerate(chosen):
            ground = background(grounds[part][int(random.integers(len(grounds[part])))], size, random)
            ground = lit(ground, texture, light, random)
            high = random.uniform(smallest, largest) * size
            wide = min(size, max(4, round(high * random.uniform(0.7, 1.3))))
            ink = inked(pictures[digit], (max(4, round(high)), wide))
            top, left = (int(random.integers(0, size - side + 1)) for side in ink.shape)
            picture, boxes[row] = paste(ground, ink, (left, top), random)
            pixels[row] = picture.transpose(2, 0, 1)
        store = Fixed(pixels, array_fingerprint([pixels]))
        tables[part] = Table(store, labels[chosen].astype(np.int64), extra={"boxes": boxes})
    note = f"{of} pasted on strips of {len(taken)} photographs; each part has digits and strips of its own"
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


def strips(photographs: Sequence[Bytes], random: np.random.Generator) -> dict[str, list[Bytes]]:
    """Return each part's backgrounds (H W 3): every photograph is cut into five upright strips of one width, dealt out at random as `PARTS` says."""
    found: dict[str, list[Bytes]] = {part: [] for part in PARTS}
    owners = [part for part, many in PARTS.items() for _ in range(many)]
    for photograph in photographs:
        wide = photograph.shape[1] // STRIPS
        for owner, place in zip(owners, random.permutation(STRIPS).tolist(), strict=True):
            found[owner].append(photograph[:, place * wide : (place + 1) * wide])
    return found


def background(strip: Bytes, size: int, random: np.random.Generator) -> Bytes:
    """Return a random square of the strip (H W 3) at `size` pixels a side, mirrored by a coin and turned by quarters."""
    from striate.pixels.scaling import resized

    most = min(strip.shape[:2])
    side = int(random.integers(min(size, most), most + 1))
    top, left = (int(random.integers(0, whole - side + 1)) for whole in strip.shape[:2])
    part = resized(strip[top : top + side, left : left + side], (size, size))
    part = part[:, ::-1] if random.random() < 0.5 else part
    return np.ascontiguousarray(np.rot90(part, int(random.integers(4))))


def lit(ground: Bytes, texture: float, light: float, random: np.random.Generator) -> Bytes:
    """Return `ground` drawn towards grey (`texture` 0 is grey), its contrast and brightness changed by up to `light`."""
    contrast, brighter = texture * random.uniform(1 - light, 1 + light), light * random.uniform(-GREY, GREY)
    changed: Bytes = np.clip(np.rint(GREY + brighter + contrast * (ground - GREY)), 0, 255).astype(np.uint8)
    return changed


def _photographs(folder: str | Path | None) -> list[Bytes]:
    from striate.pixels.decoding import decode

    if folder is None:
        paths = _installed()
    else:
        place = Path(folder).expanduser()
        if not place.is_dir():
            raise DataError(f"{place}: no such folder of photographs; give one with .jpg or .png files, or none")
        paths = sorted(path for path in place.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
        if not paths:
            raise DataError(f"{place}: holds no .jpg, .jpeg, .png or .webp files to paste on")
    found = [decode(path, channels=3, short_side=512) for path in paths]
    small = [path for path, photograph in zip(paths, found, strict=True) if min(photograph.shape[0], photograph.shape[1] // STRIPS) < 16]
    if small:
        raise DataError(f"{small[0]}: is too small to cut backgrounds from; photographs need {16 * STRIPS} pixels across and 16 down")
    return found


def _installed() -> list[Path]:
    """Return the files of `INSTALLED`, none of which may be missing: another number of photographs would be another data set under the same seed."""
    found = []
    for package, (folder, names) in INSTALLED.items():
        spec = util.find_spec(package)
        library = {"sklearn": "scikit-learn", "skimage": "scikit-image"}[package]
        if spec is None or not spec.origin:
            raise DataError(f"pasted: {library} is missing, whose photographs it pastes on; install it, or give photographs=FOLDER")
        paths = [Path(spec.origin).parent / folder / name for name in names]
        missing = ", ".join(path.name for path in paths if not path.is_file())
        if missing:
            raise DataError(f"pasted: files of {library} are missing ({missing}); install it again, or give photographs=FOLDER")
        found += paths
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
