"""mnist: 70,000 handwritten digits of 28x28 pixels (LeCun, Bottou, Bengio and Haffner 1998)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from striate.data.registry import source
from striate.data.sources.idx import load_idx

if TYPE_CHECKING:
    from striate.data.dataset import Dataset

BASE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
"""The mirror PyTorch keeps of the original page, which answers no longer."""

PACKED = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
PLAIN = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


@source("mnist", help="70,000 handwritten digits, 28x28 grey (11 MB)")
def mnist(*, progress: Callable[[int, int | None], None] | None = None) -> Dataset:
    """Return MNIST, 60,000 `train` and 10,000 `test`, from `$STRIATE_DATA/mnist`, else the cache, else downloaded.

    `progress(done, total)` is told the bytes of a download. Raises `DataError` for malformed files, `StorageError` when it cannot be fetched.
    """
    return load_idx("mnist", tuple("0123456789"), base=BASE, packed=PACKED, plain=PLAIN, progress=progress)
