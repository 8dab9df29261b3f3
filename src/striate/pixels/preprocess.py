"""Preprocess: from any picture to a network's input, the same in training, prediction and export; it travels with the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from striate.core.errors import ArgumentError, unknown_name
from striate.pixels.decoding import WHITE, decode
from striate.pixels.scaling import Filter, resized, with_channels

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

Resize = Literal["none", "squash", "crop", "pad"]
FORMAT = 1
MEAN, MATRIX = "whitening.mean", "whitening.matrix"


@dataclass(frozen=True, kw_only=True, eq=False)
class Preprocess:
    """What turns pixels into a network's input (implements `contracts.Preprocess`).

    `size`        H W of the input
    `channels`    C of the input; pictures become grey (1) or colour (3) to match
    `mean`, `std` per channel, of values in [0, 1]; one number serves all channels
    `resize`      how a picture comes to `size`: `crop` (scale until it covers, cut the centre), `squash` (both sides on their own), `pad`
                  (scale until it fits, centre it on `background`), `none` (refuse any other size)
    `short_side`  for `crop`: scale the short side to this many pixels before the centre is cut (the 256 of 256 -> 224); None: just cover
    `background`  R G B laid under transparent pixels and around padded ones
    `kind`        `bilinear` or `bicubic`; `antialias`: widen the filter when shrinking
    `whitening`   mean (D) and matrix (D, D), D = C H W: after standardising, flatten, subtract the mean, multiply by the matrix

    Raises `ArgumentError` for values that do not fit together.
    """

    size: tuple[int, int]
    channels: int = 3
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    resize: Resize = "crop"
    short_side: int | None = None
    background: tuple[int, int, int] = WHITE
    kind: Filter = "bilinear"
    antialias: bool = True
    whitening: tuple[Tensor, Tensor] | None = field(default=None, repr=False)
    _kept: dict[str, Any] = field(default_factory=dict, repr=False, init=False)

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            values = tuple(float(value) for value in getattr(self, name))
            if len(values) not in (1, self.channels) or not all(map(math.isfinite, values)):
                raise ArgumentError(f"{name}: got {getattr(self, name)!r}, expected {self.channels} finite numbers, one per channel")
            object.__setattr__(self, name, values * self.channels if len(values) == 1 else values)
        object.__setattr__(self, "size", tuple(int(side) for side in self.size))
        object.__setattr__(self, "background", tuple(int(part) for part in self.background))
        for name, allowed in (("resize", ("none", "squash", "crop", "pad")), ("kind", ("bilinear", "bicubic"))):
            if getattr(self, name) not in allowed:
                raise unknown_name(name, str(getattr(self, name)), allowed)
        for name, good, expected in (
            ("size", len(self.size) == 2 and min(self.size) > 0, "height and width, 1 or more"),
            ("channels", self.channels > 0, "1 or more"),
            ("std", min(self.std) > 0, "numbers above 0"),
            ("short_side", self.short_side is None or self.short_side >= max(self.size), f"None or at least the larger side of size, {self.size}"),
            ("background", len(self.background) == 3 and all(0 <= part <= 255 for part in self.background), "three numbers from 0 to 255"),
        ):
            if not good:
                raise ArgumentError(f"{name}: got {getattr(self, name)!r}, expected {expected}")
        if self.whitening is not None:
            mean, matrix = self.whitening
            length = self.channels * self.size[0] * self.size[1]
            if mean.shape != (length,) or matrix.shape != (length, length):
                raise ArgumentError(
                    f"whitening: got shapes {tuple(mean.shape)} and {tuple(matrix.shape)}, expected ({length},) and ({length}, {length})"
                )

    @property
    def detail(self) -> int:
        """How many pixels decoding keeps of a large photograph's short side; a pack and a prediction reduce alike, so they see the same pixels."""
        return detail(max(*self.size, self.short_side or 0))

    def __call__(self, images: Tensor) -> Tensor:
        """Standardise (and whiten) images N C H W, uint8 or float in [0, 1]: float32 (float64 stays float64), differentiable for floats.

        The images keep their size: a network that takes other sizes than `size` may be given them; whitening needs `size` itself.
        Raises `ArgumentError` for another number of channels and for floats that are plainly not in [0, 1].
        """
        import torch

        if images.ndim != 4 or images.shape[1] != self.channels:
            raise ArgumentError(f"images: got shape {tuple(images.shape)}, expected N {self.channels} H W")
        if images.dtype == torch.uint8:
            values = images.to(torch.float32).div_(255.0)
        elif images.is_floating_point():
            self._check_range(images)
            values = images if images.dtype == torch.float64 else images.to(torch.float32)
        else:
            raise ArgumentError(f"images: got {images.dtype}, expected uint8 (0 to 255) or floats (0 to 1)")
        mean = values.new_tensor(self.mean).view(1, -1, 1, 1)
        std = values.new_tensor(self.std).view(1, -1, 1, 1)
        values = (values - mean) / std
        return values if self.whitening is None else self._whitened(values)

    def _check_range(self, images: Tensor) -> None:
        import torch

        if images.device.type != "cpu" or torch.compiler.is_compiling() or not images.numel():
            return
        high = float(images.detach().amax())
        if high > 16:  # far outside: a small step over 1, as optimised inputs make, is nobody's mistake
            raise ArgumentError(f"images: floats up to {high:g}, expected 0 to 1; divide by 255, or give uint8")

    def _whitened(self, values: Tensor) -> Tensor:
        if tuple(values.shape[2:]) != self.size:
            raise ArgumentError(f"images: got {tuple(values.shape[2:])} pixels, expected {self.size}: whitening is tied to its size")
        key = f"{values.device} {values.dtype}"
        if key not in self._kept:
            self._kept[key] = tuple(part.to(values.device, values.dtype) for part in cast("tuple[Tensor, Tensor]", self.whitening))
        mean, matrix = self._kept[key]
        return cast("Tensor", ((values.flatten(1) - mean) @ matrix).view(values.shape))

    def open(self, path: str | Path) -> Tensor:
        """Read a picture file and return it as C H W uint8 at `size`. Raises `PictureError`."""
        channels = cast("Literal[1, 3] | None", self.channels if self.channels in (1, 3) else None)
        return self.fit(decode(path, channels=channels, background=self.background, short_side=self.detail))

    def fit(self, picture: npt.NDArray[np.uint8]) -> Tensor:
        """Bring a decoded picture (H W C or H W, uint8) to C H W uint8 at `size`. Raises `ArgumentError`."""
        import torch

        picture = picture[:, :, None] if picture.ndim == 2 else picture
        if picture.dtype != np.uint8 or picture.ndim != 3 or not picture.size:
            raise ArgumentError(f"picture: got {picture.dtype} of shape {picture.shape}, expected H W C, uint8")
        if picture.shape[2] != self.channels and (picture.shape[2], self.channels) not in ((1, 3), (3, 1)):
            raise ArgumentError(f"picture: got {picture.shape[2]} channels, expected {self.channels}")
        # Grey pictures are resized before they are repeated, colour ones before they turn grey: the same values, in one order everywhere.
        done = with_channels(self._placed(picture), self.channels)
        return torch.from_numpy(np.array(done.transpose(2, 0, 1), order="C"))

    def _placed(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        (height, width), (high, wide) = picture.shape[:2], self.size
        if (height, width) == (high, wide) and self.short_side is None:
            return picture
        if self.resize == "none":
            raise ArgumentError(f"picture: got {height} x {width} pixels, expected {high} x {wide}: this network's pictures are never resized")
        if self.resize == "squash":
            return resized(picture, self.size, kind=self.kind, antialias=self.antialias)
        if self.resize == "crop":
            scale = self.short_side / min(height, width) if self.short_side else max(high / height, wide / width)
            across, down = min(wide / scale, width), min(high / scale, height)
            left, top = (width - across) / 2, (height - down) / 2
            return resized(picture, self.size, box=(left, top, left + across, top + down), kind=self.kind, antialias=self.antialias)
        scale = min(high / height, wide / width)
        inner = (min(high, max(1, round(height * scale))), min(wide, max(1, round(width * scale))))
        part = resized(picture, inner, kind=self.kind, antialias=self.antialias)
        ground = with_channels(np.array(self.background, np.uint8).reshape(1, 1, 3), part.shape[2]) if part.shape[2] in (1, 3) else 255
        placed = np.empty((high, wide, part.shape[2]), np.uint8)
        placed[:] = ground
        top, left = (high - inner[0]) // 2, (wide - inner[1]) // 2
        placed[top : top + inner[0], left : left + inner[1]] = part
        return placed

    def tensors(self) -> dict[str, Tensor]:
        """Return what JSON cannot hold, to be kept beside the weights: whitening's mean and matrix, else nothing."""
        return {} if self.whitening is None else {MEAN: self.whitening[0], MATRIX: self.whitening[1]}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `from_json` with `tensors()` rebuilds an equal Preprocess."""
        return {
            "format": FORMAT,
            "size": list(self.size),
            "channels": self.channels,
            "mean": list(self.mean),
            "std": list(self.std),
            "resize": self.resize,
            "short_side": self.short_side,
            "background": list(self.background),
            "kind": self.kind,
            "antialias": self.antialias,
            "whitening": self.whitening is not None,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> Preprocess:
        """Rebuild from `to_json`'s values (and `tensors()`, where whitening was used). Raises `ArgumentError`."""
        known = {"size", "channels", "mean", "std", "resize", "short_side", "background", "kind", "antialias"}
        unknown = set(values) - known - {"format", "whitening"}
        if unknown or values.get("format", FORMAT) != FORMAT:
            raise ArgumentError(f"preprocess: written by a newer striate (format {values.get('format')!r}, fields {sorted(unknown)}); update striate")
        whitening = None
        if values.get("whitening"):
            if not tensors or MEAN not in tensors or MATRIX not in tensors:
                raise ArgumentError(f"preprocess: it whitens, but the tensors {MEAN} and {MATRIX} are not there; they lie beside the weights")
            whitening = (tensors[MEAN], tensors[MATRIX])
        given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if name in known}
        return cls(**given, whitening=whitening)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Preprocess):
            return NotImplemented
        mine, theirs = self.tensors(), other.tensors()
        return self.to_json() == other.to_json() and all(bool((mine[name] == theirs[name]).all()) for name in mine)

    def __hash__(self) -> int:
        return hash((self.size, self.channels, self.mean, self.std, self.resize, self.short_side))


def detail(side: int) -> int:
    """Return the short side that decoding keeps of large photographs, for an input of `side` pixels: twice that, and never under 448."""
    return 2 * max(224, side)
