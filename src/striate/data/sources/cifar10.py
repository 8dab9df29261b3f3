"""cifar10: 60,000 photographs of 32x32 pixels in ten classes (Krizhevsky 2009)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from striate.data.registry import source
from striate.data.sources.cifar import Layout, load_cifar
from striate.data.sources.official import Download

if TYPE_CHECKING:
    from striate.data.dataset import Dataset

LAYOUT = Layout(
    name="cifar10",
    folder="cifar-10-batches-bin",
    archive=Download("https://www.cs.toronto.edu/~kriz/", "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
    labels=1,
    splits=(("train", tuple(f"data_batch_{n}.bin" for n in range(1, 6))), ("test", ("test_batch.bin",))),
    names_file="batches.meta.txt",
    classes=10,
)


@source("cifar10", help="60,000 photographs, 32x32 colour, ten classes (162 MB)")
def cifar10(*, progress: Callable[[int, int | None], None] | None = None) -> Dataset:
    """Return CIFAR-10, 50,000 `train` and 10,000 `test`, from `$STRIATE_DATA/cifar-10-batches-bin`, else the cache, else downloaded.

    `progress(done, total)` is told the bytes of a download. Raises `DataError` for malformed files, `StorageError` when it cannot be fetched.
    """
    return load_cifar(LAYOUT, progress)
