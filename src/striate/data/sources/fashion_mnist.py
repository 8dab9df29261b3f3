"""fashion-mnist: 70,000 pictures of clothes, 28x28, a drop-in replacement for MNIST (Xiao, Rasul and Vollgraf 2017)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from striate.data.registry import source
from striate.data.sources.idx import load_idx

if TYPE_CHECKING:
    from striate.data.dataset import Dataset

BASE = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
PACKED = {
    "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
}


@source("fashion-mnist", help="70,000 pictures of clothes, 28x28 grey, ten kinds (30 MB)")
def fashion_mnist(*, progress: Callable[[int, int | None], None] | None = None) -> Dataset:
    """Return Fashion-MNIST, 60,000 `train` and 10,000 `test`, from `$STRIATE_DATA/fashion-mnist`, else the cache, else downloaded.

    `progress(done, total)` is told the bytes of a download. Raises `DataError` for malformed files, `StorageError` when it cannot be fetched.
    """
    return load_idx("fashion-mnist", CLASSES, base=BASE, packed=PACKED, plain={}, progress=progress)
