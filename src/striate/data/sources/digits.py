"""digits: 1,797 real handwritten digits of 8x8 pixels, bundled with scikit-learn; needs no file and no network."""

from __future__ import annotations

import gzip
from importlib import util
from pathlib import Path

import numpy as np

from striate.core.errors import ArgumentError, DataError
from striate.data.dataset import Dataset, Table
from striate.data.registry import source
from striate.data.splits import stratified
from striate.data.stores import Fixed, array_fingerprint

SEED = 1998
"""Decides which fifth is the test part; never changes."""


@source("digits", help="1,797 handwritten digits, 8x8 grey, bundled with scikit-learn (no download)")
def digits(*, enlarge: int = 2) -> Dataset:
    """Return the digits (Alpaydin and Kaynak 1998): `train` four fifths, `test` a stratified fifth, the same every time.

    Pixels 0 to 16 become 0 to 255. Each pixel is repeated `enlarge` times both ways (a note says so): 16x16 is the smallest multiple that LeNet-5's
    two 5x5 convolutions and two pools fit into; 1 keeps 8x8. Raises `DataError` when scikit-learn has no such file, `ArgumentError`.
    """
    if enlarge < 1:
        raise ArgumentError(f"enlarge: got {enlarge!r}, expected a whole number from 1 on")
    spec = util.find_spec("sklearn")
    path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz" if spec is not None and spec.origin else None
    if path is None or not path.exists():
        raise DataError("digits: scikit-learn's digits.csv.gz is missing; install scikit-learn again")
    with gzip.open(path, "rb") as stream:  # read here: importing scikit-learn takes a second
        table = np.array(stream.read().replace(b"\n", b",").split(b",")[:-1], dtype=np.float64).reshape(-1, 65)
    targets = table[:, 64].astype(np.int64)
    pixels = np.round(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    pixels = np.ascontiguousarray(pixels.repeat(enlarge, axis=2).repeat(enlarge, axis=3))
    store = Fixed(pixels, array_fingerprint([pixels]))
    whole = Table(store, targets)
    kept, held = stratified(targets, len(targets), 0.2, SEED)
    notes = (f"the 8x8 pictures are enlarged to {8 * enlarge}x{8 * enlarge} by repeating pixels",) if enlarge > 1 else ()
    return Dataset(
        name="digits", classes=tuple("0123456789"), tables={"train": whole.take(kept), "test": whole.take(held)}, spec="digits", notes=notes
    )
