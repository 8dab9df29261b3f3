"""The weight files that torchvision publishes for architectures of this zoo, what their networks expect, and where they are fetched from. No torch.

The eight digits in a file's name begin the SHA-256 of its content, so a download is verified by its own name. Errors are torchvision's: ImageNet
validation, top 1, one centre crop. They were trained with torchvision's recipes, not the papers'; where two are listed the first is the older,
plainer recipe and the one `published` means.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from striate.core.errors import StorageError, unknown_name
from striate.core.storage import cache_folder, download

if TYPE_CHECKING:
    from striate.pixels import Preprocess

Standard = tuple[tuple[float, float, float], tuple[float, float, float]]
IMAGENET: Standard = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of ImageNet's red, green and blue, in [0, 1]."""
HALVES: Standard = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""The networks that came from TensorFlow expect values in [-1, 1]."""
LICENCE = "BSD-3-Clause (torchvision); trained on ImageNet, whose pictures are for non-commercial research"
ADDRESS = "https://download.pytorch.org/models/"


@dataclass(frozen=True)
class Published:
    """One file: the architecture it fits, torchvision's tag, its name, its top-1 error in %, and the pictures it expects."""

    architecture: str
    tag: str
    file: str
    error: float
    size: int = 224
    short_side: int = 256
    standard: Standard = IMAGENET

    @property
    def url(self) -> str:
        """The official address."""
        return ADDRESS + self.file

    @property
    def checksum(self) -> str:
        """What `download` verifies: the first eight digits of the content's SHA-256."""
        return f"sha256:{re.findall(r'-([0-9a-f]{8})[.]pth$', self.file)[0]}"

    @property
    def preprocess(self) -> Preprocess:
        """The short side scaled, the centre cut out, standardised: what turns a picture into this network's input."""
        return imagenet_preprocess(self.size, short_side=self.short_side, standard=self.standard)


PUBLISHED = (
    Published("alexnet", "IMAGENET1K_V1", "alexnet-owt-7be5be79.pth", 43.48),
    Published("vgg11", "IMAGENET1K_V1", "vgg11-8a719046.pth", 30.98),
    Published("vgg13", "IMAGENET1K_V1", "vgg13-19584684.pth", 30.07),
    Published("vgg16", "IMAGENET1K_V1", "vgg16-397923af.pth", 28.41),
    Published("vgg19", "IMAGENET1K_V1", "vgg19-dcbb9e9d.pth", 27.62),
    Published("vgg11_bn", "IMAGENET1K_V1", "vgg11_bn-6002323d.pth", 29.63),
    Published("vgg13_bn", "IMAGENET1K_V1", "vgg13_bn-abd245e5.pth", 28.41),
    Published("vgg16_bn", "IMAGENET1K_V1", "vgg16_bn-6c64b313.pth", 26.64),
    Published("vgg19_bn", "IMAGENET1K_V1", "vgg19_bn-c79401a0.pth", 25.78),
    Published("googlenet", "IMAGENET1K_V1", "googlenet-1378be20.pth", 30.22, 224, 256, HALVES),
    Published("inception_v3", "IMAGENET1K_V1", "inception_v3_google-0cc3c7bd.pth", 22.71, 299, 342, HALVES),
    Published("squeezenet1_0", "IMAGENET1K_V1", "squeezenet1_0-b66bff10.pth", 41.91),
    Published("squeezenet1_1", "IMAGENET1K_V1", "squeezenet1_1-b8a52dc0.pth", 41.82),
    Published("resnet18", "IMAGENET1K_V1", "resnet18-f37072fd.pth", 30.24),
    Published("resnet34", "IMAGENET1K_V1", "resnet34-b627a593.pth", 26.69),
    Published("resnet50", "IMAGENET1K_V1", "resnet50-0676ba61.pth", 23.87),
    Published("resnet50", "IMAGENET1K_V2", "resnet50-11ad3fa6.pth", 19.14, 224, 232),
    Published("resnet101", "IMAGENET1K_V1", "resnet101-63fe2227.pth", 22.63),
    Published("resnet101", "IMAGENET1K_V2", "resnet101-cd907fc2.pth", 18.11, 224, 232),
    Published("resnet152", "IMAGENET1K_V1", "resnet152-394f9c45.pth", 21.69),
    Published("resnet152", "IMAGENET1K_V2", "resnet152-f82ba261.pth", 17.72, 224, 232),
    Published("wide_resnet50_2", "IMAGENET1K_V1", "wide_resnet50_2-95faca4d.pth", 21.53),
    Published("wide_resnet50_2", "IMAGENET1K_V2", "wide_resnet50_2-9ba9bcbe.pth", 18.4, 224, 232),
    Published("wide_resnet101_2", "IMAGENET1K_V1", "wide_resnet101_2-32ee1156.pth", 21.15),
    Published("wide_resnet101_2", "IMAGENET1K_V2", "wide_resnet101_2-d733dc28.pth", 17.49, 224, 232),
    Published("resnext50_32x4d", "IMAGENET1K_V1", "resnext50_32x4d-7cdf4587.pth", 22.38),
    Published("resnext50_32x4d", "IMAGENET1K_V2", "resnext50_32x4d-1a0047aa.pth", 18.8, 224, 232),
    Published("resnext101_32x8d", "IMAGENET1K_V1", "resnext101_32x8d-8ba56ff5.pth", 20.69),
    Published("resnext101_32x8d", "IMAGENET1K_V2", "resnext101_32x8d-110c445d.pth", 17.17, 224, 232),
    Published("resnext101_64x4d", "IMAGENET1K_V1", "resnext101_64x4d-173b62eb.pth", 16.75, 224, 232),
    Published("densenet121", "IMAGENET1K_V1", "densenet121-a639ec97.pth", 25.57),
    Published("densenet161", "IMAGENET1K_V1", "densenet161-8d451a50.pth", 22.86),
    Published("densenet169", "IMAGENET1K_V1", "densenet169-b2777c0a.pth", 24.4),
    Published("densenet201", "IMAGENET1K_V1", "densenet201-c1103571.pth", 23.1),
)


def published(architecture: str, tag: str | None = None) -> Published:
    """Return the published file for an architecture, the first listed unless `tag` (such as IMAGENET1K_V2) names another.

    Raises `StorageError` where nothing is published for it, `UnknownNameError` for a tag nobody knows.
    """
    files = [item for item in PUBLISHED if item.architecture == architecture]
    if not files:
        have = ", ".join(sorted({item.architecture for item in PUBLISHED}))
        raise StorageError(f"weights: nothing is published for {architecture!r} under torchvision's names; there are files for {have}")
    if tag is None:
        return files[0]
    for item in files:
        if item.tag.lower() == tag.lower():
            return item
    raise unknown_name(f"published weights of {architecture}", tag, (item.tag for item in files))


def known_file(name: str) -> Published | None:
    """Return what is known of a file by its name, wherever it lies; None for any other name."""
    return next((item for item in PUBLISHED if item.file == Path(name).name), None)


def fetch(item: Published, *, progress: Callable[[int, int | None], None] | None = None) -> Path:
    """Return the file in the cache, downloaded and verified on first use. Raises `StorageError` that says where to put it by hand."""
    return download(
        item.url, cache_folder("weights") / item.file, checksum=item.checksum, progress=progress, otherwise=", and give that path as weights"
    )


def imagenet_preprocess(size: int = 224, *, short_side: int | None = None, standard: Standard = IMAGENET) -> Preprocess:
    """Return ImageNet's usual preprocessing: short side to `short_side` (8/7 of `size` unless told), the centre `size` x `size`, standardised."""
    from striate.pixels import Preprocess

    mean, std = standard
    return Preprocess(size=(size, size), mean=mean, std=std, resize="crop", short_side=short_side or round(size * 8 / 7))


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Return ImageNet's 1,000 class names in the order of every published network's outputs."""
    return tuple(resources.files("striate.zoo").joinpath("imagenet_classes.txt").read_text(encoding="utf-8").splitlines())
