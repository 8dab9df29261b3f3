"""cifar100: 60,000 photographs of 32x32 pixels in a hundred classes (Krizhevsky 2009)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from striate.data.registry import source
from striate.data.sources.cifar import Layout, load_cifar
from striate.data.sources.official import Download

if TYPE_CHECKING:
    from striate.data.dataset import Dataset

LAYOUT = Layout(
    name="cifar100",
    folder="cifar-100-binary",
    archive=Download("https://www.cs.toronto.edu/~kriz/", "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
    labels=2,
    splits=(("train", ("train.bin",)), ("test", ("test.bin",))),
    names_file="fine_label_names.txt",
    classes=100,
)


@source("cifar100", help="60,000 photographs, 32x32 colour, a hundred classes (161 MB)")
def cifar100(*, progress: Callable[[int, int | None], None] | None = None) -> Dataset:
    """Return CIFAR-100 with its hundred fine classes, 50,000 `train` and 10,000 `test`; `extra["coarse"]` has the twenty coarse ones.

    From `$STRIATE_DATA/cifar-100-binary`, else the cache, else downloaded; `progress(done, total)` is told the bytes of a download.
    Raises `DataError` for malformed files, `StorageError` when it cannot be fetched.
    """
    return load_cifar(LAYOUT, progress)
